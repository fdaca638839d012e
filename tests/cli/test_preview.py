"""--preview on simulated terminals: one like kitty, one with Sixel, and a plain one."""

from __future__ import annotations

import os
import pty
import re
import select
import termios
import time

import pytest

from tests.cli.calls import Place, blocking, dangle, picture, process, start
from tests.conftest import PHOTOS, full_only

CAT = PHOTOS / "tabby_cat_face.jpg"
ATTRIBUTES_QUERY, KITTY_QUERY = b"\x1b[c", b"a=q"
SIXEL, PLAIN = b"\x1b[?62;4c", b"\x1b[?62c"
KITTY = b"\x1b_Gi=1;OK\x1b\\"


def on_terminal(place: Place, answers: dict[bytes, bytes], *arguments: object) -> tuple[int, bytes]:
    """Run a command on a pseudo-terminal that answers queries; returns exit status and output."""
    terminal, side_of_child = pty.openpty()
    termios.tcsetwinsize(terminal, (40, 80))
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), side_of_child)
    child = start("--library", place.library, *arguments, start_new_session=True, **streams)
    os.close(side_of_child)
    output, end = b"", time.monotonic() + 240
    waiting = dict(answers)
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            output += os.read(terminal, 65536)
        except OSError:  # the child has closed its side
            break
        for question in [each for each in waiting if each in output]:
            os.write(terminal, waiting.pop(question))
    os.close(terminal)
    return child.wait(timeout=60), output


@full_only
@pytest.mark.parametrize(
    ("answers", "image_pattern"),
    [
        ({ATTRIBUTES_QUERY: SIXEL}, rb"\x1bP[0-9;]*q.+\x1b\\"),
        ({ATTRIBUTES_QUERY: PLAIN, KITTY_QUERY: KITTY}, rb"\x1b_Gi=\d+,m=[01],f=100"),
    ],
    ids=["sixel", "kitty"],
)
def test_pictures_are_below_their_lines(demo, answers, image_pattern):
    status, output = on_terminal(demo, answers, "similar", CAT, "-n", 2, "--preview")
    assert status == 0, output
    first, second = (output.index(name) for name in (b"tabby_cat_face.jpg", b"kitten_with_wool"))
    assert first < second
    assert re.search(image_pattern, output[first:second], re.S), output[first:second][:300]
    assert re.search(image_pattern, output[second:], re.S)


@full_only
def test_a_terminal_without_pictures_gets_the_plain_table(demo):
    answers = {ATTRIBUTES_QUERY: PLAIN, KITTY_QUERY: b"\x1b[?62c"}
    status, output = on_terminal(demo, answers, "similar", CAT, "-n", 2, "--preview")
    assert status == 0
    assert b"No previews: this terminal cannot show pictures" in output
    assert b"kitten_with_wool.jpg" in output
    assert b"\x1bP" not in output


def test_a_pipe_gets_the_plain_table(demo):
    plain = demo.call("similar", CAT, "-n", 3)
    outcome = demo.call("similar", CAT, "-n", 3, "--preview")
    assert (outcome.status, outcome.out) == (0, plain.out)
    assert "No previews" in outcome.err


@full_only
def test_without_the_package_its_installation_is_suggested(demo):
    place = ["--library", demo.library, "similar", CAT, "-n", 1, "--preview"]
    outcome = process(*place, prelude=blocking("textual_image"))
    assert (outcome.status, outcome.out) == (1, b"")
    assert outcome.err.endswith("run: pip install '.[preview]'\n")


def test_other_formats_have_no_previews(demo):
    outcome = demo.call("search", "cat", "--preview", "--format", "json")
    assert (outcome.status, outcome.out) == (2, b"")
    assert "--preview shows a table" in outcome.err


@full_only
def test_a_missing_picture_is_reported(indexed: Place):
    dangle(indexed.photos / "b.jpg")
    answers = {ATTRIBUTES_QUERY: SIXEL}
    command = ("similar", indexed.photos / "a.jpg", "-n", 4, "--preview")
    status, output = on_terminal(indexed, answers, *command)
    assert status == 0
    assert b"(is not there any more)" in output


@full_only
def test_long_paths_are_cut_to_the_width_of_the_terminal(tmp_path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    picture(place.photos / ("x" * 100) / "a.jpg", 1)
    place.index()
    command = ("similar", place.photos / ("x" * 100) / "a.jpg", "--color", "never")
    _, output = on_terminal(place, {}, *command)
    [line] = output.decode().splitlines()
    assert len(line) == 80
    assert re.fullmatch(r"  1   1\.000  \S+…x*/a\.jpg  \(64x48\)", line)
    piped = place.call("similar", place.photos / ("x" * 100) / "a.jpg").text
    assert "x" * 100 in piped
