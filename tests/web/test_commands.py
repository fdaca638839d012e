"""`imgsearch serve` and `imgsearch mcp` as commands: what is missing, taken, or stopped."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from pathlib import Path

import pytest

from tests.cli.calls import Place, blocking, process
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


def test_searches_of_the_command_line_ask_the_server(demo: Place, tmp_path: Path) -> None:
    """As they ask a daemon: the model is loaded already. It is no daemon that --stop may end."""
    own = tmp_path / "library"
    shutil.copytree(demo.library, own, ignore=shutil.ignore_patterns("daemon"))
    library = ("--library", own)
    words = ("search", "a castle by the sea", "--format", "json")
    alone = process(*library, *words, "--no-daemon")
    with serving(own) as served:
        asked = process(*library, "-v", *words)
        assert asked.out == alone.out
        told = json.loads(process(*library, "daemon", "--status", "--json").out)
        assert (told["pid"], told["answered"] > 0) == (served.process.pid, True)
        refused = process(*library, "daemon", "--stop")
        assert refused.status == 1 and "imgsearch serve" in refused.err
        assert served.get("/health")
    assert json.loads(process(*library, "daemon", "--status", "--json").out) == {"running": False}
