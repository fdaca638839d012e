"""A full disk under the library ends a run with a sentence, and the library stays usable."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsearch.catalog import open_catalog
from tests.crash.album import Album, inspect, open_index
from tests.crash.process import imgsearch

ENOUGH_TO_READ = 65_536
"""SQLite keeps the readers' side of its write-ahead log in a file of 32 KiB."""


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
        pytest.skip("a small disk can only be mounted by root")
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
    """How full a disk is, by one large file on it."""

    def __init__(self, place: Path) -> None:
        self._ballast = place / "ballast"
        self._place = place

    def leave(self, free: int) -> None:
        """Leave just so many bytes free."""
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


def assert_told(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr, done.stderr
    assert "imgsearch: " in done.stderr
    assert "Free some space" in done.stderr, done.stderr


def assert_whole(library: Path, album: Album) -> int:
    """How many pictures there are; all of them right."""
    catalog = open_catalog(str(library))
    try:
        return len(inspect(catalog, open_index(catalog), album))
    finally:
        catalog.close()


def assert_told_or_found(library: Path, album: Album, least: set[str]) -> None:
    """A search ends with a sentence, or finds all that is committed."""
    done = search(library)
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert done.returncode == 1 and "imgsearch: " in done.stderr
        return
    found = {hit["path"] for hit in json.loads(done.stdout)}
    assert found >= least and len(found) == assert_whole(library, album)


def assert_completed(library: Path, album: Album) -> None:
    """With space again, one run makes the library complete."""
    done = index(library, album)
    assert done.returncode == 0, done.stderr
    assert assert_whole(library, album) == len(album.pictures())
    assert len(json.loads(search(library).stdout)) == len(album.pictures())


@pytest.mark.parametrize("free", [0, 65_536, 229_376])
def test_a_new_library_on_a_disk_that_fills(disk: Path, album: Album, free: int) -> None:
    library = disk / "library"
    space = Disk(disk)
    space.leave(free)
    assert_told(index(library, album))
    space.free()
    assert_told_or_found(library, album, set())
    assert_completed(library, album)


@pytest.mark.parametrize("free", [0, ENOUGH_TO_READ, 131_072])
def test_an_old_library_on_a_disk_that_fills(disk: Path, album: Album, free: int) -> None:
    """What was committed stays searchable, even while the disk is full."""
    library = disk / "library"
    space = Disk(disk)
    assert index(library, album).returncode == 0
    before = set(album.pictures())
    for _ in range(200):
        album.write(album.fresh())
    space.leave(free)
    assert_told(index(library, album))
    if free < ENOUGH_TO_READ:
        assert_told_or_found(library, album, before)
    else:
        assert {hit["path"] for hit in json.loads(search(library).stdout)} >= before
    space.free()
    assert_told_or_found(library, album, before)
    assert_completed(library, album)


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
    assert_told(done)
    assert "the index file cannot be written" in done.stderr
    assert list((library / "index").iterdir()) == []
    found = json.loads(search(library).stdout)
    assert {hit["path"] for hit in found} == set(album.pictures())
    space.free()
    assert_completed(library, album)
    assert len(list((library / "index").iterdir())) == 1
