"""`imgsearch serve` and `imgsearch mcp` as commands: what is missing, taken, or stopped."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.cli.calls import blocking, process
from tests.web.served import serving


@pytest.mark.parametrize(
    "command, package, extra",
    [("serve", "fastapi", "web"), ("serve", "uvicorn", "web"), ("mcp", "mcp", "mcp")],
)
def test_a_missing_extra_is_named(tmp_path: Path, command: str, package: str, extra: str) -> None:
    found = process("--library", tmp_path, command, prelude=blocking(package))
    assert found.status == 1
    assert f"pip install '.[{extra}]'" in found.err
    assert "Traceback" not in found.err


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = process("--library", tmp_path / "library", "serve", "--port", port)
    assert found.status == 1
    assert f"port {port}" in found.err
    assert "--port" in found.err


def test_ctrl_c_is_how_it_is_stopped(tmp_path: Path) -> None:
    with serving(tmp_path / "library") as served:
        assert served.get("/status")["images"] == 0
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(60) == 0
    assert not (tmp_path / "library").exists(), "looking makes no library"
