"""File names that break programs, through index, search and every output format."""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from pathlib import Path

import pytest

from imgsearch.cli.terminal import plain
from tests.cli.calls import Place, call, picture
from tests.conftest import full_only
from tests.hostile_files import odd_names

NAMES = [
    *odd_names(),
    "\N{FAMILY}\N{CAT FACE}\u200d.jpg",
    "مصر القديمة.jpg",
    "x" * 240 + ".png",
    "tab\there.jpg",
    "carriage\rreturn.jpg",
    "escape\x1b[31m\x1b]0;title\x07.jpg",
    os.fsdecode(b"eight\x9bbit\xff.jpg"),
    '"quoted", comma; semicolon.jpg',
    "=1+1.jpg",
    "new\u2028line.jpg",
    "~.jpg",
    "--help.jpg",
    "ends with space .jpg",
    "ünïcödé.jpg",
    unicodedata.normalize("NFD", "ünïcödé.jpg"),
]


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Place:
    """One picture under all these names, and another picture."""
    place = Place(tmp_path_factory.mktemp("odd") / "phö\ntos", tmp_path_factory.mktemp("lib") / "l")
    data = picture(place.photos / "a.jpg", 1).read_bytes()
    for name in NAMES:
        with open(os.path.join(place.photos, name), "wb") as file:
            file.write(data)
    picture(place.photos / "zz.jpg", 2)
    outcome = place.call("index", place.photos, "--json", "--workers", 1)
    assert outcome.status == 0, outcome.err
    assert outcome.json["added"] == outcome.json["scanned"] == len(NAMES) + 2
    return place


@pytest.fixture(scope="module")
def expected(odd) -> list[str]:
    """Copies have equal scores, so they are sorted by path; the other picture is last."""
    copies = sorted(os.path.join(odd.photos, name) for name in ["a.jpg", *NAMES])
    return [*copies, str(odd.photos / "zz.jpg")]


def similar(odd: Place, form: str) -> str:
    outcome = odd.call("similar", odd.photos / "a.jpg", "-n", 100, "--format", form)
    assert (outcome.status, outcome.err) == (0, "")
    return outcome.text


@full_only
def test_copies_are_ordered_by_path(odd, expected):
    hits = json.loads(similar(odd, "json"))
    assert [hit["path"] for hit in hits] == expected
    assert len({hit["score"] for hit in hits[:-1]}) == 1
    assert [hit["rank"] for hit in hits] == list(range(1, len(expected) + 1))


@pytest.mark.parametrize("limit", [1, 3, len(NAMES)])
def test_a_limit_cuts_copies_by_path_as_well(odd, expected, limit):
    outcome = odd.call("similar", odd.photos / "zz.jpg", "-n", limit, "--format", "json")
    assert outcome.paths == [expected[-1], *expected[: limit - 1]]


def test_machine_formats_preserve_every_name(odd, expected):
    assert [json.loads(line)["path"] for line in similar(odd, "jsonl").split("\n")[:-1]] == expected
    rows = csv.DictReader(io.StringIO(similar(odd, "csv"), newline=""))
    assert [row["path"] for row in rows] == expected
    assert similar(odd, "paths0").split("\0") == [*expected, ""]
    lines = [line.split("\t") for line in similar(odd, "tsv").split("\n")[:-1]]
    codes = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}

    def unescape(text: str) -> str:
        parts, rest = [], text
        while rest:
            size = 2 if rest[0] == "\\" else 1
            parts.append(codes.get(rest[:size], rest[:size]))
            rest = rest[size:]
        return "".join(parts)

    assert [unescape(path) for _, path in lines] == expected


def test_json_is_plain_ascii(odd):
    assert similar(odd, "json").isascii()


def test_printed_paths_can_be_opened(odd):
    data = (odd.photos / "a.jpg").read_bytes()
    names = odd.call("search", "--all", "x", "--format", "paths0", "-n", 100).out.split(b"\0")[:-1]
    assert len(names) == len(NAMES) + 2
    assert sum(Path(os.fsdecode(name)).read_bytes() == data for name in names) == len(NAMES) + 1


def test_no_control_character_reaches_the_terminal(odd, expected):
    outcome = odd.call("search", "--all", "x", "-n", 100)
    lines = outcome.out.split(b"\n")[:-1]
    assert len(lines) == len(expected), "one line per hit"
    for line in lines:
        assert not any(byte < 0x20 or byte == 0x7F for byte in line)
        shown = line.decode("utf-8", "surrogateescape")
        assert not set(shown) & set("\u202e\u2028\x9b\udc9b")


def test_each_is_a_query(odd, expected, monkeypatch):
    monkeypatch.chdir(odd.photos)
    for name in NAMES:
        outcome = odd.call("similar", "-n", 1, "--format", "json", "--", name)
        assert outcome.paths == expected[:1], name


def test_notes_and_errors_show_names_safely(odd, tmp_path):
    name = "no\x1b[31m\u202ename.jpg"
    outcome = odd.call("similar", name)
    assert outcome.status == 1
    assert r"no\x1b[31m\u202ename.jpg" in outcome.err
    assert odd.call("roots").text.count("\n") == 1
    assert odd.call("index", tmp_path / "no\nwhere").err.count("\x1b") == 0


def test_skipped_lists_one_line_per_file(tmp_path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    place.photos.mkdir()
    (place.photos / "line\nbreak\x1b[0m.jpg").write_text("no picture")
    place.index()
    outcome = place.call("skipped")
    assert outcome.text.count("\n") == 1
    assert r"line\nbreak\x1b[0m.jpg: " in outcome.text
    [entry] = place.call("skipped", "--json").json
    assert entry["path"] == str(place.photos / "line\nbreak\x1b[0m.jpg")


def test_a_library_with_such_a_name(tmp_path):
    picture(tmp_path / "photos" / "a.jpg", 1)
    library = os.path.join(tmp_path, os.fsdecode(b"lib\xff\n'\"?&%20 #"))
    assert call("--library", library, "index", tmp_path / "photos").status == 0
    assert call("--library", library, "similar", tmp_path / "photos" / "a.jpg").status == 0
    assert call("--library", library, "status").status == 0
    assert call("--library", library, "doctor").status == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("naïve 写真 \N{CAT FACE}", "naïve 写真 \N{CAT FACE}"),
        ("a\nb\tc\x1b\x7f", r"a\nb\tc\x1b\x7f"),
        ("\u202e\u2066\u200b\ufeff", r"\u202e\u2066\u200b\ufeff"),
        ("می\u200cخواهم \N{MAN}\u200d\N{ROCKET}", "می\u200cخواهم \N{MAN}\u200d\N{ROCKET}"),
        ("\udce9\udc9b\ud800", "\udce9\\x9b\\ud800"),
        ("", ""),
    ],
)
def test_plain(text, shown):
    assert plain(text) == shown


def test_plain_keeps_the_given_characters():
    assert plain("a\nb\tc", keep="\n") == "a\nb\\tc"
