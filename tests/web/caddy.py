"""Debian's caddy with the recipe of docs/SERVER.md, on a free port, with its own certificate."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.page.serving import free_port
from tests.web.nginx import Front, await_front, program, recipe

_GLOBAL = """{{
\tadmin off
\tauto_https disable_redirects
\tlocal_certs
\tskip_install_trust
\tdefault_sni photos.example
\tstorage file_system {folder}
}}
"""


@contextmanager
def behind_caddy(folder: Path, port: int) -> Iterator[Front]:
    """Run caddy before a server on this port. Without caddy: fail in CI, skip elsewhere."""
    caddy = program("caddy")
    front = free_port()
    process = subprocess.Popen(
        [caddy, "run", "--adapter", "caddyfile", "--config", _configuration(folder, port, front)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        await_front(front, process)
        yield Front(front, "127.0.0.3")
    finally:
        process.terminate()
        process.wait(20)
        assert process.stderr is not None
        process.stderr.close()


def _configuration(folder: Path, port: int, front: int) -> Path:
    server = recipe("Caddy")
    for old, new in (
        ("photos.example {", f"photos.example:{front} {{\n\tbind 127.0.0.1"),
        ("127.0.0.1:8765", f"127.0.0.1:{port}"),
    ):
        assert old in server, f"the recipe has no {old}"
        server = server.replace(old, new)
    path = folder / "Caddyfile"
    path.write_text(_GLOBAL.format(folder=folder) + server)
    return path
