"""A full disk ends a run with an error message, and the library stays usable."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsearch.catalog import open_catalog
from tests.conftest import full_only
from tests.crash.album import Album, inspect, open_index
from tests.crash.process import imgsearch

MIN_BYTES_TO_READ = 65_536
"""SQLite's readers need a shared-memory file of 32 KiB for the write-ahead log."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("only root can mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def album(tmp_path: Path) -> Album:
    album = Album(tmp_path, 7)
    for _ in range(60):
        album.write(album.fresh())
    return album


class Disk:
    """Fills a disk with a large file."""

    def __init__(self, place: Path) -> None:
        self._ballast = place / "ballast"
        self._place = place

    def leave(self, free: int) -> None:
        """Leave exactly `free` bytes."""
        self.free()
        available = os.statvfs(self._place).f_bavail * os.statvfs(self._place).f_bsize
        with open(self._ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, available - free))

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


def index(library: Path, album: Album, *more: str) -> subprocess.CompletedProcess[str]:
    return imgsearch(
        "index", "--library", str(library), "--model", "cheap", "--json", "--batch-size", "4",
        *more, *album.roots,
    )  # fmt: skip


def search(library: Path) -> subprocess.CompletedProcess[str]:
    return imgsearch("search", "anything", "--all", "--library", str(library), "--model", "cheap",
                     "--format", "json", "-n", "1000")  # fmt: skip


def assert_reported(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr, done.stderr
    assert "imgsearch: " in done.stderr
    assert re.search("Free some (disk )?space", done.stderr), done.stderr


def count_intact(library: Path, album: Album) -> int:
    """Check all pictures and return their number."""
    catalog = open_catalog(str(library))
    try:
        return len(inspect(catalog, open_index(catalog), album))
    finally:
        catalog.close()


def assert_reported_or_searchable(library: Path, album: Album, minimum: set[str]) -> None:
    """A search ends with an error message, or finds all committed pictures."""
    done = search(library)
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert done.returncode == 1 and "imgsearch: " in done.stderr
        return
    paths = {hit["path"] for hit in json.loads(done.stdout)}
    assert paths >= minimum and len(paths) == count_intact(library, album)


def assert_completed(library: Path, album: Album) -> None:
    """With free space, a single run completes the library."""
    done = index(library, album)
    assert done.returncode == 0, done.stderr
    assert count_intact(library, album) == len(album.pictures())
    assert len(json.loads(search(library).stdout)) == len(album.pictures())


@full_only
@pytest.mark.parametrize("free", [0, 65_536, 229_376])
def test_a_new_library_on_a_disk_that_fills(disk: Path, album: Album, free: int) -> None:
    library = disk / "library"
    space = Disk(disk)
    space.leave(free)
    assert_reported(index(library, album))
    space.free()
    assert_reported_or_searchable(library, album, set())
    assert_completed(library, album)


@pytest.mark.parametrize("free", [0, MIN_BYTES_TO_READ, 131_072])
@full_only
def test_an_old_library_on_a_disk_that_fills(disk: Path, album: Album, free: int) -> None:
    """Committed pictures stay searchable, even while the disk is full."""
    library = disk / "library"
    space = Disk(disk)
    assert index(library, album).returncode == 0
    before = set(album.pictures())
    for _ in range(200):
        album.write(album.fresh())
    space.leave(free)
    assert_reported(index(library, album))
    if free < MIN_BYTES_TO_READ:
        assert_reported_or_searchable(library, album, before)
    else:
        assert {hit["path"] for hit in json.loads(search(library).stdout)} >= before
    space.free()
    assert_reported_or_searchable(library, album, before)
    assert_completed(library, album)


@full_only
def test_a_disk_with_room_for_the_catalog_but_not_for_the_index(disk: Path, album: Album) -> None:
    library = disk / "library"
    space = Disk(disk)
    for _ in range(300):
        album.write(album.fresh())
    assert index(library, album, "--batch-size", "32").returncode == 0
    for path in (library / "index").iterdir():
        path.unlink()
    space.leave(110_000)
    done = index(library, album)
    assert_reported(done)
    assert "the index file cannot be written" in done.stderr
    assert list((library / "index").iterdir()) == []
    hits = json.loads(search(library).stdout)
    assert {hit["path"] for hit in hits} == set(album.pictures())
    space.free()
    assert_completed(library, album)
    assert len(list((library / "index").iterdir())) == 1
