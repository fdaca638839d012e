"""A server that sees its library at a read-only mount point, while another process writes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog.test_read_only import MOUNT
from tests.catalog.test_read_only import pytestmark as needs_mounts
from tests.cli.calls import Place
from tests.conftest import PHOTOS, full_only
from tests.web.server_process import Served

pytestmark = [needs_mounts, full_only, pytest.mark.slow]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "photos", tmp_path / "library")
    place.photos.mkdir()
    shutil.copy(PHOTOS / "crab.jpg", place.photos)
    assert place.index()["added"] == 1
    return place


@pytest.fixture
def served(place: Place, tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "ro").mkdir()
    command = ["unshare", "-m", "sh", "-c", MOUNT, "sh", place.library, tmp_path / "ro"]
    program = [sys.executable, "-m", "imgsearch", "--library", tmp_path / "ro"]
    process = subprocess.Popen(
        [*command, *program, "serve", "--port", "0", "--threads", "1"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = next(each for each in process.stdout if each.startswith(b"Serving on "))
        yield Served(os.fsdecode(line).split()[-1], process, "")
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_it_shows_what_the_writer_adds_changes_and_removes(place: Place, served: Served) -> None:
    assert [each["name"] for each in served.get("/search", q="a crab")["hits"]] == ["crab.jpg"]
    shutil.copy(PHOTOS / "owl.jpg", place.photos)
    (place.photos / "crab.jpg").unlink()
    shutil.copy(PHOTOS / "moose.jpg", place.photos / "crab.jpg")
    place.index()
    deadline = time.monotonic() + 30
    while served.get("/status")["images"] != 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    first = {
        words: served.get("/search", q=words)["hits"][0]["name"] for words in ("an owl", "a moose")
    }
    assert first == {"an owl": "owl.jpg", "a moose": "crab.jpg"}
    (place.photos / "owl.jpg").unlink()
    place.index()
    assert [each["name"] for each in served.get("/search", q="an owl")["hits"]] == ["crab.jpg"]
