"""`imgsearch serve` and `imgsearch mcp` as commands: missing packages, used ports, stopping."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.cli.calls import Place, blocking, process
from tests.conftest import PHOTOS, full_only
from tests.web.server_process import serving


@pytest.mark.parametrize(
    "command, package, extra",
    [("serve", "fastapi", "web"), ("serve", "uvicorn", "web"), ("mcp", "mcp", "mcp")],
)
def test_a_missing_extra_is_named(tmp_path: Path, command: str, package: str, extra: str) -> None:
    result = process("--library", tmp_path, command, prelude=blocking(package))
    assert result.status == 1
    assert f"pip install '.[{extra}]'" in result.err
    assert "Traceback" not in result.err


@full_only
def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = process("--library", tmp_path / "library", "serve", "--port", port)
    assert result.status == 1
    assert f"port {port}" in result.err
    assert "--port" in result.err


def test_ctrl_c_stops_the_server(tmp_path: Path) -> None:
    with serving(tmp_path / "library") as served:
        assert served.get("/status")["images"] == 0
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(60) == 0
    assert not (tmp_path / "library").exists(), "serving does not create a library"


@full_only
def test_command_line_searches_use_the_server(demo: Place, tmp_path: Path) -> None:
    """Like a daemon, it has the model loaded; but `daemon --stop` must not end it."""
    own = tmp_path / "library"
    shutil.copytree(demo.library, own, ignore=shutil.ignore_patterns("daemon"))
    library = ("--library", own)
    words = ("search", "a castle by the sea", "--threads", 1, "--format", "json")
    alone = process(*library, *words, "--no-daemon")
    with serving(own) as served:
        result = process(*library, "-v", *words)
        assert result.out == alone.out
        assert f"Process {served.process.pid} answers" in result.err
        status = json.loads(process(*library, "daemon", "--status", "--json").out)
        assert (status["pid"], status["answered"] > 0) == (served.process.pid, True)
        refused = process(*library, "daemon", "--stop")
        assert refused.status == 1 and "imgsearch serve" in refused.err
        assert served.get("/health")
    assert json.loads(process(*library, "daemon", "--status", "--json").out) == {"running": False}


@full_only
def test_a_library_created_later_is_served_and_its_notes_are_reported(tmp_path: Path) -> None:
    library = ("--library", tmp_path / "library")
    (tmp_path / "photos").mkdir()
    for name in ("crab.jpg", "owl.jpg"):
        shutil.copy(PHOTOS / name, tmp_path / "photos")
    with serving(tmp_path / "library") as served:
        assert process(*library, "daemon", "--status").status == 1
        result = process(*library, "index", tmp_path / "photos", "-q")
        assert result.status == 0, result.err
        for path in (tmp_path / "library" / "index").iterdir():
            path.write_bytes(b"broken")
        until = time.monotonic() + 60
        while process(*library, "daemon", "--status").status:
            assert time.monotonic() < until, "the socket was not opened"
        result = process(*library, "-v", "search", "a crab", "--threads", 1, "--format", "paths")
        assert result.out.splitlines()[0].endswith(b"crab.jpg")
        assert f"Process {served.process.pid} answers" in result.err
        assert "The index was rebuilt from the catalog" in result.err
    assert process(*library, "daemon", "--status").status == 1


@full_only
def test_a_server_takes_over_when_the_first_one_stops(light: Place) -> None:
    own = light.library
    with serving(own) as first, serving(own) as second:
        status = json.loads(process("--library", own, "daemon", "--status", "--json").out)
        assert status["pid"] == first.process.pid
        first.stop()
        until = time.monotonic() + 60
        while not status["running"] or status["pid"] != second.process.pid:
            assert time.monotonic() < until, status
            status = json.loads(process("--library", own, "daemon", "--status", "--json").out)


@full_only
def test_the_uploads_of_a_killed_server_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is not locked; tests/serving/test_upload_folder.py tests the other cases."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    left = tmp_path / "imgsearch-upload-abc"
    left.mkdir()
    (left / "upload.jpg").write_bytes(b"half of a pict")
    with serving(tmp_path / "library"):
        assert not left.exists()
