"""A real `imgsearch serve` process for tests in a browser."""

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

START_TIMEOUT_SECONDS = 180.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(library: Path, log: Path, *options: object, port: int = 0) -> Iterator[str]:
    """Serve a library and yield its URL; stop the server with Ctrl-C, as a user does."""
    port = port or free_port()
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
    until = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/api/v1/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')}")


def name_in(label: str) -> str:
    """The file name in the accessible label of a picture."""
    return re.split(r", (?=\d+ \w+ \d{4}|\w+ match|\d+ near)", label)[0]
