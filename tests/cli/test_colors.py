"""Colours, links and escapes, on a real terminal and on a pipe."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from urllib.parse import unquote_to_bytes

import pytest

from tests.cli.calls import Place, call, picture
from tests.conftest import full_only

NAME = os.fsdecode(b"a \x1b]0;owned\x07\x9b31m\xff.jpg")
LINK = re.compile(rb"\x1b\]8;;file://[^/]*(/[^\x1b]+)\x1b\\([^\x1b]+)\x1b\]8;;\x1b\\")
ENVIRONMENT = {**os.environ, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1", "NO_COLOR": ""}


@pytest.fixture(scope="module")
def place(tmp_path_factory, one_model) -> Place:
    folder = tmp_path_factory.mktemp("colors")
    place = Place(folder / "photos", folder / "library")
    picture(place.photos / NAME, 1)
    assert place.call("index", place.photos, "-q").status == 0
    return place


def on_terminal(place: Place, *arguments: str, **environment: str) -> bytes:
    """What a command writes to a terminal, on stdout and stderr."""
    terminal, side_of_child = pty.openpty()
    command = [sys.executable, "-m", "imgsearch", "--library", str(place.library), *arguments]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), side_of_child)
    output = b""
    with subprocess.Popen(command, env=ENVIRONMENT | environment, **streams):
        os.close(side_of_child)
        try:
            while chunk := os.read(terminal, 1 << 16):
                output += chunk
        except OSError:  # Linux says so when the other side is closed
            pass
    os.close(terminal)
    return output


@full_only
def test_a_table_on_a_terminal_has_links_and_no_other_escapes(place):
    output = on_terminal(place, "search", "--name", "a *")
    ((address, text),) = LINK.findall(output)
    assert unquote_to_bytes(address) == os.fsencode(place.photos / NAME)
    assert rb"a \x1b]0;owned\x07\x9b31m" in text
    rest = re.sub(rb"\x1b\[\d*m", b"", LINK.sub(rb"\2", output))
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", rest)
    assert b"\x1b[2m" in output


@full_only
@pytest.mark.parametrize(
    ("options", "environment"),
    [((), {"NO_COLOR": "1"}), ((), {"TERM": "dumb"}), (("--color", "never"), {})],
)
def test_a_terminal_without_colors(place, options, environment):
    output = on_terminal(place, "search", "--name", "a *", *options, **environment)
    assert b".jpg" in output
    assert b"\x1b" not in output


@full_only
def test_windows_terminal_needs_no_term(place):
    name = ("search", "--name", "a *")
    assert LINK.search(on_terminal(place, *name, TERM="", WT_SESSION="1"))
    assert b"\x1b" not in on_terminal(place, *name, TERM="", WT_SESSION="")


def test_a_pipe_has_colors_only_on_request(place):
    plain = place.call("search", "--name", "a *")
    colored = place.call("search", "--name", "a *", "--color", "always")
    assert b"\x1b" not in plain.out
    assert re.sub(rb"\x1b\[\d*m", b"", LINK.sub(rb"\2", colored.out)) == plain.out
    forms = [
        place.call("search", "--name", "a *", "--format", "paths0", *color).out
        for color in ((), ("--color", "always"))
    ]
    assert forms == [os.fsencode(place.photos / NAME) + b"\0"] * 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("similar", NAME, NAME),
        (NAME,),
        ("search", "--format", NAME),
        ("search", "--" + NAME),
        ("search", "--where", NAME),
        ("--library", NAME, "daemon", "--status"),
        ("index", NAME),
    ],
)
def test_messages_quote_names_without_control_characters(arguments):
    outcome = call(*arguments)
    assert outcome.status != 0
    assert "owned" in outcome.err + outcome.text
    assert not re.search(r"[\x1b\x07]", outcome.err + outcome.text)


def test_the_log_quotes_names_without_control_characters():
    program = (
        "import logging, sys\n"
        "from imgsearch.cli.logs import set_up_logging\n"
        "set_up_logging(verbose=True)\n"
        "try:\n    raise ValueError(sys.argv[1])\n"
        "except ValueError:\n    logging.getLogger('imgsearch').exception('of %s', sys.argv[1])\n"
    )
    command = [sys.executable, "-c", program, "\x1b]0;owned\x07"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.startswith("ERROR:imgsearch:of \\x1b]0;owned\\x07\nTraceback")
    assert done.stderr.endswith("ValueError: \\x1b]0;owned\\x07\n")
