"""Pictures that are gone from disk are not shown; those of a missing disk are."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from imgsearch.records import Location, RootRecord
from imgsearch.searching import presence
from imgsearch.searching.presence import Presence
from imgsearch.searching.request import SearchRequest, Term
from tests.fakes import MemoryFolder, ingest, vector_of
from tests.searching.test_searcher import paths, searcher  # noqa: F401 - a fixture


def located(root: Path, *paths: str) -> dict[int, Location]:
    return {number: Location(str(root), path) for number, path in enumerate(paths, start=1)}


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.fixture
def photos(tmp_path, catalog):
    """Twenty pictures on disk, with the vectors of their names."""
    folder = MemoryFolder(str(tmp_path / "photos"))
    folder.files = {f"{n:02}.jpg": (f"content {n:02}", n) for n in range(20)}
    put(tmp_path / "photos", *folder.files)
    ingest(catalog, folder)
    return tmp_path / "photos"


def query(limit: int = 5, **options) -> SearchRequest:
    return SearchRequest([Term(vector=vector_of("content 07"))], limit, **options)


def test_the_next_ones_take_the_places_of_those_gone(photos, searcher):  # noqa: F811
    every = paths(searcher.search(query(20)))
    for name in (every[0], every[2], every[5]):
        (photos / name).unlink()
    left = [name for name in every if (photos / name).exists()]
    for limit in (1, 5, 17, 20):
        result = searcher.search(query(limit))
        assert paths(result) == left[:limit]
        assert [hit.rank for hit in result] == list(range(1, 1 + min(limit, 17)))
    assert "3 pictures that are no longer on disk are left out" in " ".join(result.notes)
    ranking = searcher.rank(query(100), shown=5)
    assert paths(searcher.page(ranking, 0, 5)) == left[:5]
    assert "3 pictures that are no longer on disk are left out" in " ".join(ranking.notes)
    assert len(searcher.rank(query(100))) == 20


def test_a_list_by_date_and_a_whole_folder_that_is_gone(photos, searcher):  # noqa: F811
    for n in range(3, 20):
        (photos / f"{n:02}.jpg").unlink()
    assert paths(searcher.search(SearchRequest([], 2))) == ["02.jpg", "01.jpg"]
    assert sorted(paths(searcher.search(query(4)))) == ["00.jpg", "01.jpg", "02.jpg"]
    ranking = searcher.rank(SearchRequest([], 100))
    assert paths(searcher.page(ranking, 0, 20)) == ["02.jpg", "01.jpg", "00.jpg"]
    assert searcher.page(ranking, 0, 5) == []


def test_a_copy_takes_the_place_of_the_picture_that_it_was_folded_into(
    tmp_path,
    catalog,
    searcher,  # noqa: F811
):
    folder = MemoryFolder(str(tmp_path / "photos"))
    folder.files = {f"{n}.jpg": ("same", 1) for n in range(3)} | {"z.jpg": ("other", 1)}
    put(tmp_path / "photos", *folder.files)
    ingest(catalog, folder)
    (tmp_path / "photos" / "0.jpg").unlink()
    wanted = SearchRequest([Term(vector=vector_of("same"))], 2, unique=True)
    first, second = searcher.search(wanted)
    assert (first.image.file.path, second.image.file.path) == ("1.jpg", "z.jpg")
    assert [each.file.path for each in first.duplicates] == ["2.jpg"]


def test_pictures_of_a_root_that_is_missing_or_empty_stay(photos, searcher):  # noqa: F811
    photos.rename(photos.parent / "away")
    result = searcher.search(query())
    assert len(result) == 5
    assert result.notes == [
        f"{photos} is not there. Its pictures are listed as they were last indexed."
    ]
    photos.mkdir()
    [note] = searcher.search(query()).notes
    assert "is empty" in note


def test_pictures_of_an_unmounted_disk_stay(tmp_path):
    root = tmp_path / "photos"
    put(root, "stale.jpg", "usb/stale.jpg")
    files = located(root, "a.jpg", "usb/b.jpg", "stale.jpg")
    for mounts, mounted, gone, note in (
        ((str(root),), [root], {1, 2}, ""),
        ((str(root),), [], set(), "looks unmounted"),
        (("/", "usb"), [root / "usb"], {1, 2}, ""),
        (("/", "usb"), [], {1}, f"{root}/usb looks unmounted"),
    ):
        points = {os.path.realpath(point) for point in mounted} | {"/"}
        look = Presence([RootRecord(str(root), mounts=mounts)], points.__contains__)
        assert look.look(files) == gone
        assert note in " ".join(look.notes) and bool(note) == bool(look.notes)


def test_a_dead_disk_holds_nobody_up(tmp_path, monkeypatch):
    """The test stands in for a network disk: its mount check blocks as one would."""
    monkeypatch.setattr(presence, "ANSWER_TIMEOUT_SECONDS", 0.2)
    dead, alive = tmp_path / "dead", tmp_path / "alive"
    put(dead, "a.jpg")
    put(alive, "b.jpg")
    released = threading.Event()

    def ismount(path: str) -> bool:
        if path.startswith(str(dead)):
            released.wait(30)
        return path == "/"

    roots = [RootRecord(str(each), mounts=("/",)) for each in (dead, alive)]
    files = {1: Location(str(dead), "gone.jpg"), 2: Location(str(alive), "gone.jpg")}
    before, started = threading.active_count(), time.monotonic()
    for _ in range(20):
        look = Presence(roots, ismount)
        assert look.look(files) == {2}
        assert look.notes == [
            f"{dead} does not answer. Its pictures are listed as they were last indexed."
        ]
    assert time.monotonic() - started < 3, "only the first search waits"
    assert threading.active_count() <= before + 1, "and leaves one thread"
    released.set()
    for _ in range(100):
        if Presence(roots, ismount).look(files) == {1, 2}:
            return
        time.sleep(0.05)
    raise AssertionError("a disk that is back is examined again")


def test_a_link_and_a_locked_folder_count_as_present(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    (root / "dangling.jpg").symlink_to("/nowhere/a.jpg")
    files = located(root, "dangling.jpg", "dangling.jpg/x.jpg", "a" * 300, "gone/deep/a.jpg")
    assert Presence([RootRecord(str(root))]).look(files) <= {2, 4}
    shutil.rmtree(root)
