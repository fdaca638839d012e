#!/bin/sh
# Builds Dockerfile and Dockerfile.model, and runs them together, on a machine that reaches Debian's
# packages and PyPI but no registry of images. Their base image is replaced by one of debootstrap
# with Debian's Python 3.11, in a storage of its own that is removed at the end. Needs root, ports
# 8000, 8001 and 8765, and: apt-get install buildah podman runc debootstrap
#
#   sh deploy/try-without-registry.sh [OPTION OF 'buildah build'...]
#
# README.md beside this file says what it leaves out.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
user=1000
storage="--root $work/storage --runroot $work/run"
engine="podman $storage --runtime runc"

clean_up() {
  $engine rm --all --force --volumes >"$work/log" 2>&1 || cat "$work/log"
  rm -rf --one-file-system "$work" # debootstrap mounts /proc in it
}
trap clean_up EXIT

mkdir "$work/base"
debootstrap --variant=minbase \
  --include=ca-certificates,libpython3.11,python-is-python3,python3-venv bookworm "$work/base" >"$work/log"
tar -C "$work/base" -c . | $engine import - docker.io/library/python:3.11-slim-bookworm

build() {
  # shellcheck disable=SC2086 # two options
  buildah $storage build --isolation chroot --network host --format docker --pull-never "$@" .
}
build --file deploy/Dockerfile --tag imgsearch "$@"
build --file deploy/Dockerfile.model --tag imgsearch-model "$@"
$engine images

# As in the compose files, except that all containers share the network of this machine.
run() {
  $engine run --detach --network host --add-host model:127.0.0.1 --ulimit nofile=1024:1024 \
    --ulimit nproc=1000:1000 --read-only --read-only-tmpfs=false --tmpfs /tmp \
    --cap-drop all --security-opt no-new-privileges "$@"
}
healthy() {
  for _ in $(seq 150); do
    if $engine healthcheck run "$1" >"$work/log" 2>&1; then
      return
    fi
    sleep 2
  done
  $engine logs "$1"
  exit 1
}

openssl rand -base64 32 >"$work/token.txt"
sed '/^catalog\|^index/d' deploy/servers.toml >"$work/servers.toml"
chown "$user" "$work/token.txt" && chmod 600 "$work/token.txt"
chmod 644 "$work/servers.toml" && chmod 755 "$work"
run --name model --shm-size 512m --volume models:/models imgsearch-model
run --name imgsearch --volume library:/library --volume "$PWD/data/photos:/photos:ro" \
  --volume "$work/token.txt:/run/secrets/imgsearch_token:ro" \
  --volume "$work/servers.toml:/etc/imgsearch.toml:ro" --env IMGSEARCH_CONFIG=/etc/imgsearch.toml \
  imgsearch serve --host 0.0.0.0 --token-file /run/secrets/imgsearch_token --watch
healthy model
healthy imgsearch
$engine exec imgsearch id
$engine exec imgsearch imgsearch index /photos
$engine exec imgsearch imgsearch search a crab
$engine exec imgsearch imgsearch doctor
$engine exec imgsearch sh -c '! touch /opt/imgsearch/x && ! touch /photos/x'
$engine stop imgsearch model
$engine ps --all
