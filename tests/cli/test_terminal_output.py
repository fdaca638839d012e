"""What a terminal gets, and what a pipe gets; the exit status of a search for scripts."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from tests.cli.calls import Place, picture, process
from tests.conftest import full_only

NAME = "a\x1b]0;owned\x07\x1b[31m\rb\tc\nd.jpg"


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    picture(place.photos / NAME, 1)
    place.index()
    return place


def on_terminal(*arguments: str, notes: bool = False) -> bytes:
    """What a command writes to a terminal; with `notes`, what goes to stderr, too."""
    terminal, side_of_child = pty.openpty()
    command = [sys.executable, "-m", "imgsearch", *arguments]
    stderr = side_of_child if notes else None
    with subprocess.Popen(
        command, stdout=side_of_child, stdin=side_of_child, stderr=stderr
    ) as child:
        os.close(side_of_child)
        output = b""
        while True:
            try:
                chunk = os.read(terminal, 1 << 16)
            except OSError:  # the other side is closed
                break
            if not chunk:
                break
            output += chunk
    os.close(terminal)
    assert child.returncode == 0
    return output


@full_only
@pytest.mark.parametrize("form", ["table", "paths", "tsv", "csv"])
def test_control_characters_never_reach_a_terminal(place, form):
    library = str(place.library)
    output = on_terminal(
        "--library", library, "search", "--name", "a*", "--format", form, "--color", "never"
    )
    assert b"\\x1b]0;owned\\x07" in output
    assert b"\x1b]" not in output and b"\x1b[31m" not in output and b"\x07" not in output
    assert b"\\x1b[31m\\rb\\tc\\nd.jpg" in output


def test_a_pipe_gets_the_bytes_of_the_name(place):
    outcome = place.call("search", "--name", "a*", "--format", "paths")
    assert os.fsencode(NAME) in outcome.out


def test_the_exit_status_of_a_search_that_found_nothing(place):
    assert place.call("search", "--name", "nothing").status == 0
    assert place.call("search", "--name", "nothing", "--exit-code").status == 3
    assert place.call("search", "--name", "a*", "--exit-code").status == 0


@full_only
def test_a_progress_bar_is_on_terminals_only(tmp_path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    for seed in range(40):
        picture(place.photos / f"{seed}.jpg", seed)
    arguments = ("--library", str(place.library), "index", str(place.photos))
    piped = process(*arguments)
    assert piped.status == 0 and "\r" not in piped.err and "%|" not in piped.err
    picture(place.photos / "new.jpg", 99)
    assert b"\r" in on_terminal(*arguments, notes=True)
