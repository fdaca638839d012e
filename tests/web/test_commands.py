"""`imgsearch serve` and `imgsearch mcp` as commands: what is missing, taken, or stopped."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.cli.calls import Place, blocking, process
from tests.conftest import PHOTOS
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
    words = ("search", "a castle by the sea", "--threads", 1, "--format", "json")
    alone = process(*library, *words, "--no-daemon")
    with serving(own) as served:
        asked = process(*library, "-v", *words)
        assert asked.out == alone.out
        assert f"Process {served.process.pid} answers" in asked.err
        told = json.loads(process(*library, "daemon", "--status", "--json").out)
        assert (told["pid"], told["answered"] > 0) == (served.process.pid, True)
        refused = process(*library, "daemon", "--stop")
        assert refused.status == 1 and "imgsearch serve" in refused.err
        assert served.get("/health")
    assert json.loads(process(*library, "daemon", "--status", "--json").out) == {"running": False}


def test_a_library_that_is_made_later_is_offered_and_its_notes_are_told(tmp_path: Path) -> None:
    library = ("--library", tmp_path / "library")
    (tmp_path / "photos").mkdir()
    for name in ("crab.jpg", "owl.jpg"):
        shutil.copy(PHOTOS / name, tmp_path / "photos")
    with serving(tmp_path / "library") as served:
        assert process(*library, "daemon", "--status").status == 1
        made = process(*library, "index", tmp_path / "photos", "-q")
        assert made.status == 0, made.err
        for path in (tmp_path / "library" / "index").iterdir():
            path.write_bytes(b"broken")
        until = time.monotonic() + 60
        while process(*library, "daemon", "--status").status:
            assert time.monotonic() < until, "the socket was not opened"
        found = process(*library, "-v", "search", "a crab", "--threads", 1, "--format", "paths")
        assert found.out.splitlines()[0].endswith(b"crab.jpg")
        assert f"Process {served.process.pid} answers" in found.err
        assert "The index was rebuilt from the catalog" in found.err
    assert process(*library, "daemon", "--status").status == 1


def test_a_server_takes_over_from_a_daemon_that_ends(light: Place) -> None:
    own = light.library
    with serving(own) as first, serving(own) as second:
        told = json.loads(process("--library", own, "daemon", "--status", "--json").out)
        assert told["pid"] == first.process.pid
        first.stop()
        until = time.monotonic() + 60
        while not told["running"] or told["pid"] != second.process.pid:
            assert time.monotonic() < until, told
            told = json.loads(process("--library", own, "daemon", "--status", "--json").out)


def test_what_a_killed_server_left_of_an_upload_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock of the folder is free; tests/serving/test_upload_folder.py has the rest."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    left = tmp_path / "imgsearch-upload-abc"
    left.mkdir()
    (left / "upload.jpg").write_bytes(b"half of a pict")
    with serving(tmp_path / "library"):
        assert not left.exists()
