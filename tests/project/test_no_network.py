"""Indexing and searching with the built-in model open no socket in any of their processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PHOTOS, full_only
from tests.crash.process import CLI

pytestmark = [pytest.mark.slow, full_only]

PICTURES = ["tabby_cat_face.jpg", "polar_bear.jpg", "sunset_hills.jpg", "coffee_cup.jpg"]
GUARD = '''
"""Imported by every Python process at start-up: refuses network access and logs attempts."""
import os
import sys

FORBIDDEN = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg",
             "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")

def note(line):
    with open(os.environ["GUARD_NOTES"], "a") as file:
        file.write(f"{os.getpid()} {line}\\n")

def guard(event, arguments):
    if event in FORBIDDEN:
        note(f"{event} {arguments[1:]!r}")
        raise OSError("network access is forbidden")

note("started " + " ".join(sys.orig_argv[-1:]))
sys.addaudithook(guard)
'''


def commands(library: Path, photos: Path) -> list[list[str]]:
    here = ["--library", str(library)]
    cat = str(photos / PICTURES[0])
    return [
        ["index", str(photos), *here, "--json", "--workers", "2"],
        ["search", "a", "cat", *here, "--all", "--format", "paths"],
        ["similar", str(photos.parent / "stranger.jpg"), *here, "--all", "--format", "paths"],
        ["similar", cat, *here, "--all", "--format", "paths"],
        ["similar", "#1", *here, "--all", "--format", "paths"],
        ["search", "--more", "1", "--less", "2", *here, "--all", "--format", "paths"],
        ["similarity", cat, "a cat", *here],
        ["status", *here, "--json"],
    ]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in PICTURES:
        shutil.copy(PHOTOS / name, folder / name)
    shutil.copy(PHOTOS / "two_dogs_at_window.jpg", tmp_path / "stranger.jpg")
    return folder


def run(prefix: list[str], arguments: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    # Without HF_HUB_OFFLINE, because users may not set it.
    free = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "OMP_NUM_THREADS")}
    return subprocess.run(
        [*prefix, sys.executable, *CLI, *arguments],
        env={**free, "OMP_NUM_THREADS": "1", **more},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def check(arguments: list[str], done: subprocess.CompletedProcess[str], photos: Path) -> None:
    assert done.returncode == 0, (arguments, done.stderr)
    if arguments[0] == "index":
        assert json.loads(done.stdout)["added"] == len(PICTURES)
    if done.stdout.startswith("/"):
        paths = done.stdout.splitlines()
        assert sorted(paths) == sorted(str(photos / name) for name in PICTURES)
        if arguments[0] == "search" or arguments[1] == paths[0]:
            assert paths[0].endswith(PICTURES[0])


def test_no_process_opens_a_connection(photos: Path, tmp_path: Path) -> None:
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    notes = tmp_path / "notes"
    path = os.pathsep.join(p for p in (str(guard), os.environ.get("PYTHONPATH", "")) if p)
    for arguments in commands(tmp_path / "library", photos):
        done = run([], arguments, PYTHONPATH=path, GUARD_NOTES=str(notes))
        check(arguments, done, photos)
    address = ["search", "http://127.0.0.1:9/cat.jpg", "--library", str(tmp_path / "library")]
    refused = run([], address, PYTHONPATH=path, GUARD_NOTES=str(notes))
    assert refused.returncode == 1 and "--allow-url" in refused.stderr
    lines = notes.read_text().splitlines()
    attempts = [line for line in lines if line.split()[1] != "started"]
    assert attempts == []
    processes = {line.split()[0] for line in lines}
    assert len(processes) >= 9 + 2, "the decoder processes must be watched, too"


def test_the_guard_sees_attempts(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    attempt = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "GUARD_NOTES": str(tmp_path / "n")}
    done = subprocess.run([sys.executable, "-c", attempt], env=environment, check=False,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 1
    assert "socket.connect (('127.0.0.1', 9),)" in (tmp_path / "n").read_text()


def works(prefix: list[str]) -> bool:
    """True if the tool is available and permitted."""
    try:
        return subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def test_the_system_sees_no_connection_either(photos: Path, tmp_path: Path) -> None:
    """Covers code in Rust or C++: everything works without a network, and no system call uses
    one."""
    trace = tmp_path / "trace"
    nowhere = ["unshare", "--net"]
    traced = ["strace", "-f", "-qq", "-e", "trace=socket,connect,sendto", "-o", str(trace)]
    prefix = [word for tool in (nowhere, traced) if works(tool) for word in tool]
    if not prefix:
        pytest.skip("needs unshare or strace, and permission to use them")
    for arguments in commands(tmp_path / "library", photos)[:2]:
        check(arguments, run(prefix, arguments), photos)
        calls = trace.read_text().splitlines() if trace.exists() else []
        # Local sockets are the C library's, for the look-up of the user name.
        assert [line for line in calls if "AF_INET" in line] == []
