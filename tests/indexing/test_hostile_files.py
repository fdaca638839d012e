"""`imgsearch index` on folders of broken, odd and dangerous files."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imgsearch.sources.formats import is_picture_name
from tests.cli.calls import NO_TORCH, Place, process
from tests.conftest import full_only
from tests.hostile_files import EITHER, IGNORE, INDEX, SKIP, make

pytestmark = [pytest.mark.slow, full_only]


@dataclass(frozen=True)
class Run:
    """A folder after its first and its second run."""

    place: Place
    expected: dict[str, str]
    first: dict[str, Any]
    skipped: dict[str, dict[str, Any]]
    second: dict[str, Any]
    second_err: str

    @property
    def indexed(self) -> set[str]:
        """Relative paths of all pictures that a search finds."""
        outcome = self.place.call(
            "similar", self.first_picture(), "--all", "-n", 10_000, "--format", "json"
        )
        assert outcome.status == 0, outcome.err
        return {os.path.relpath(path, self.place.photos) for path in outcome.paths}

    def first_picture(self) -> str:
        name = next(name for name, verdict in sorted(self.expected.items()) if verdict == INDEX)
        return os.path.join(self.place.photos, name)


def run_twice(place: Place, expected: dict[str, str]) -> Run:
    arguments = ("--library", place.library, "index", place.photos, "--workers", 2, "--json", "-q")
    first = process(*arguments)
    assert first.status == 0, first.err
    entries = place.call("skipped", "--json").json
    skipped = {os.path.relpath(each["path"], place.photos): each for each in entries}
    assert len(skipped) == len(entries)
    second = process(*arguments, prelude=NO_TORCH)
    assert second.status == 0, second.err
    return Run(place, expected, first.json, skipped, second.json, second.err)


def fits(path: str, verdict: str, indexed: bool, skipped: bool) -> bool:
    """True if a file was treated as expected.

    Hidden files and files without the name of a picture are ignored silently.
    """
    hidden = any(part.startswith(".") for part in path.split("/"))
    reported = indexed or skipped or hidden or not is_picture_name(path)
    as_expected = {
        INDEX: indexed,
        SKIP: not indexed,
        EITHER: True,
        IGNORE: not indexed and not skipped,
    }
    return as_expected[verdict] and (reported or verdict == IGNORE)


def check(run: Run) -> None:
    """Check the invariants of any folder."""
    indexed = run.indexed
    wrong = {
        path: verdict
        for path, verdict in run.expected.items()
        if not fits(path, verdict, path in indexed, path in run.skipped)
    }
    assert not wrong
    assert not indexed & set(run.skipped)
    assert run.first["added"] == len(indexed)
    assert run.first["skipped"] == len(run.skipped)
    assert run.first["scanned"] == len(indexed) + len(run.skipped)
    for path, entry in run.skipped.items():
        reason = entry["reason"]
        assert reason and reason[0] not in "<[(" and "0x" not in reason, (path, reason)
        assert len(reason) < 200 and "Error" not in reason, (path, reason)
    assert run.second["unchanged"] == len(indexed)
    assert run.second["skipped"] == len(run.skipped)
    assert run.second["added"] == run.second["updated"] == run.second["removed"] == 0
    if not any(entry["transient"] for entry in run.skipped.values()):
        assert run.second_err.endswith("loaded []\n"), "no file is retried"


def assert_finds_itself(place: Place, path: str) -> None:
    """Encode a copy of the file and compare it with the stored vector."""
    data = Path(place.photos, path).read_bytes()
    copy = place.library.parent / ("copy" + os.path.splitext(path)[1])
    copy.write_bytes(data)
    outcome = place.call("similar", copy, "--all", "-n", 10_000, "--format", "json")
    assert outcome.status == 0, outcome.err
    scores = {os.path.relpath(hit["path"], place.photos): hit["score"] for hit in outcome.json}
    assert scores[path] > 0.999, path
    assert scores[path] >= max(scores.values()) - 1e-3, path


@pytest.fixture(scope="module")
def own_run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("own_run")
    expected = make(folder / "photos")
    return run_twice(Place(folder / "photos", folder / "library"), expected)


def test_our_own_hostile_files(own_run):
    check(own_run)


def test_the_list_has_one_line_per_file(own_run):
    text = own_run.place.call("skipped").text
    assert text.count("\n") == len(own_run.skipped)


@pytest.mark.parametrize(
    "path",
    ["plain.heic", "alpha.png", "cmyk.jpg", "grey16.png", "animated.gif", "black.jpg", "wide.png"],
)
def test_no_result_is_shifted(own_run, path):
    assert_finds_itself(own_run.place, path)


@pytest.mark.parametrize("tail", ["jpg", "tif", "png", "heic"])
def test_all_orientations_are_one_picture(own_run, tail):
    path = own_run.place.photos / f"turned_1.{tail}"
    hits = own_run.place.call("similar", path, "--all", "-n", 10_000, "--format", "json").json
    scores = {os.path.basename(hit["path"]): hit for hit in hits}
    for number in range(1, 9):
        hit = scores[f"turned_{number}.{tail}"]
        assert hit["score"] > 0.99
        assert (hit["width"], hit["height"]) == (160, 100)


@pytest.fixture(scope="module")
def shared_run(shared, tmp_path_factory) -> Run:
    """The files of the manifest, and those that make_odd_fs.py creates."""
    folder = tmp_path_factory.mktemp("shared")
    photos = folder / "photos"
    photos.mkdir()
    hostile = shared / "hostile"
    for part in sorted(path for path in hostile.iterdir() if path.is_dir()):
        subprocess.run(["cp", "-r", part, photos], check=True)
    odd = photos / "odd"
    subprocess.run([sys.executable, hostile / "make_odd_fs.py", odd], check=True)
    with open(hostile / "manifest.csv", newline="", encoding="utf-8") as file:
        expected = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    expected |= {
        os.path.join("odd", name): verdict
        for name, verdict in {
            os.fsdecode(b"latin1_caf\xe9.jpg"): INDEX,
            "line\nbreak.jpg": INDEX,
            "\u202egpj.exe.jpg": INDEX,
            "CASE.jpg": INDEX,
            "broken_link.jpg": SKIP,
            "pipe.jpg": SKIP,
            "link_to_photo.jpg": IGNORE,
        }.items()
    }
    # The manifest is of a program that decodes no part of a file.
    expected |= dict.fromkeys(("generated/half.jpg", "generated/half.png"), INDEX)
    run = run_twice(Place(photos, folder / "library"), expected)
    (odd / "locked_folder").chmod(0o700)
    return run


def test_every_file_of_the_manifest(shared_run):
    check(shared_run)


def test_no_result_is_shifted_there(shared_run):
    indexed = sorted(shared_run.indexed)
    for path in indexed[:: len(indexed) // 8]:
        assert_finds_itself(shared_run.place, path)
