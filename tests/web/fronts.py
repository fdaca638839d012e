"""Debian's nginx and caddy with the recipes of docs/SERVER.md, on free ports."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.page.page_server import free_port
from tests.web.server_process import TIMEOUT_SECONDS, Reply, exchange

_GLOBAL = """{{
\tadmin off
\tauto_https disable_redirects
\tlocal_certs
\tskip_install_trust
\tdefault_sni photos.example
\tstorage file_system {folder}
}}
"""


@dataclass(frozen=True)
class Front:
    """A running proxy, and the address of its client, which is not the proxy's."""

    port: int
    client: str

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request over TLS."""
        anyone = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=TIMEOUT_SECONDS, context=anyone,
            source_address=(self.client, 0),
        )  # fmt: skip
        return exchange(connection, method, path, body, headers)


def recipe(name: str, changes: Mapping[str, str]) -> str:
    """The configuration of docs/SERVER.md for a proxy, the block behind its name, with other texts
    in place of some."""
    page = (CHECKOUT / "docs" / "SERVER.md").read_text(encoding="utf-8")
    match = re.search(rf"^{name}.*?:\n\n```\w*\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    assert match is not None
    server = match[1]
    for old, new in changes.items():
        assert old in server, f"the recipe has no {old}"
        server = server.replace(old, new)
    return server


def program(name: str) -> str:
    """Path of a program of Debian. Where it is missing: fail in CI, skip elsewhere."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        reason = f"{name} is not installed: apt-get install nginx-light caddy openssl"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@contextmanager
def behind_nginx(folder: Path, port: int) -> Iterator[Front]:
    """Run nginx before a server on this port. Without nginx: fail in CI, skip elsewhere."""
    nginx, front = program("nginx"), free_port()
    configuration = _nginx_configuration(folder, port, front)
    with _running([nginx, "-c", configuration, "-p", folder], front):
        yield Front(front, "127.0.0.2")


@contextmanager
def behind_caddy(folder: Path, port: int) -> Iterator[Front]:
    """Run caddy before a server on this port. Without caddy: fail in CI, skip elsewhere."""
    caddy, front = program("caddy"), free_port()
    configuration = _caddy_configuration(folder, port, front)
    with _running([caddy, "run", "--adapter", "caddyfile", "--config", configuration], front):
        yield Front(front, "127.0.0.3")


@contextmanager
def _running(command: Sequence[str | Path], port: int) -> Iterator[None]:
    """Run a proxy that listens on a port."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _await_port(port, process)
        yield
    finally:
        process.terminate()
        process.wait(20)
        assert process.stderr is not None
        process.stderr.close()


def _nginx_configuration(folder: Path, port: int, front: int) -> Path:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "ec",
         "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=photos.example", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    changes = {
        "listen 443 ssl": f"listen 127.0.0.1:{front} ssl",
        "127.0.0.1:8765": f"127.0.0.1:{port}",
        "/etc/ssl/photos.example.pem": str(certificate),
        "/etc/ssl/photos.example.key": str(key),
    }
    server = recipe("nginx", changes)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    path.write_text(
        f"{'user root;' if os.geteuid() == 0 else ''}\ndaemon off;\nworker_processes 1;\n"
        f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{places}{server}}}\n"
    )
    return path


def _caddy_configuration(folder: Path, port: int, front: int) -> Path:
    changes = {
        "photos.example {": f"photos.example:{front} {{\n\tbind 127.0.0.1",
        "127.0.0.1:8765": f"127.0.0.1:{port}",
    }
    path = folder / "Caddyfile"
    path.write_text(_GLOBAL.format(folder=folder) + recipe("Caddy", changes))
    return path


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when a proxy listens on its port; raises `AssertionError` if it does not start."""
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    assert process.stderr is not None
    process.kill()
    raise AssertionError(f"the proxy did not start: {process.stderr.read().decode()}")
