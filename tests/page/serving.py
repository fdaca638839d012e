"""A real `imgsearch serve` for tests in a browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTED_S = 180.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(library: Path, log: Path, *options: object) -> Iterator[str]:
    """The address of a server on that library; it is stopped like a user does, with Ctrl-C."""
    port = free_port()
    command = [sys.executable, "-m", "imgsearch", "--library", library, "serve", "--port", port]
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(each) for each in (*command, *options)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _await(address, server, log)
        yield address
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            raise


def _await(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTED_S
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/api/v1/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')}")


def name_in(label: str) -> str:
    """The file name in what a screen reader says of a picture."""
    return re.split(r", (?=\d+ \w+ \d{4}|\w+ match|has the words|\d+ near)", label)[0]
