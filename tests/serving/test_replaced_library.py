"""A library that is put back from a copy while a process has it open."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from imgsearch.errors import LibraryMissing
from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.serving.gallery import Gallery
from imgsearch.serving.rankings import CursorLost, cursor
from imgsearch.settings import Settings
from tests.crash.album import ENCODER, Album
from tests.crash.process import PLUGIN

TERM = Term(vector=ENCODER.encode_texts(["anything"])[0])
ASKED = SearchRequest([TERM], limit=1000, min_strength=0.0)


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Album:
    monkeypatch.syspath_prepend(str(PLUGIN))
    return Album(tmp_path, 9)


def index(folder: Path, album: Album) -> None:
    library = Library(Settings(library=str(folder), model="cheap"))
    library.index(IndexRequest(tuple(album.roots)))
    library.close()


@pytest.fixture
def gallery(tmp_path: Path, album: Album) -> Iterator[Gallery]:
    """A library as a server holds it, and an earlier copy of it beside it, called `copy`."""
    folder = tmp_path / "library"
    index(folder, album)
    shutil.copytree(folder, tmp_path / "copy")
    album.write(album.fresh())
    index(folder, album)
    gallery = Gallery(Settings(library=str(folder), model="cheap"))
    yield gallery
    gallery.close()


def put_back(tmp_path: Path) -> None:
    for name in os.listdir(tmp_path / "library"):
        if name.startswith("catalog.sqlite"):
            os.remove(tmp_path / "library" / name)
    shutil.copy(tmp_path / "copy" / "catalog.sqlite", tmp_path / "library")


def counts(gallery: Gallery) -> list[Callable[[], int]]:
    """How many pictures each lane that has the library open knows of."""
    return [
        lambda: len(gallery.resident.search(ASKED).result(30)),
        lambda: int(gallery.status().result(30)["images"]),
    ]


def test_searches_go_on_in_what_was_put_back(
    gallery: Gallery, album: Album, tmp_path: Path
) -> None:
    now = len(album.pictures())
    assert [count() for count in counts(gallery)] == [now, now]
    put_back(tmp_path)
    assert [count() for count in counts(gallery)] == [now - 1, now - 1]
    index(tmp_path / "library", album)
    assert [count() for count in counts(gallery)] == [now, now]


def test_lists_of_the_one_before_are_not_gone_on_with(gallery: Gallery, tmp_path: Path) -> None:
    ranking, _ = gallery.rank(SearchRequest(limit=1)).result(30)
    key = gallery.rankings.keep(ranking, "x")
    text = cursor(key, ranking, 1)
    assert text is not None
    assert gallery.rankings.at(text, "x") == (key, ranking, 1)
    put_back(tmp_path)
    gallery.status().result(30)
    with pytest.raises(CursorLost):
        gallery.rankings.at(text, "x")


def test_a_library_that_was_removed_is_told_of(gallery: Gallery, tmp_path: Path) -> None:
    search = partial(gallery.resident.search, ASKED)
    assert search().result(30).hits
    shutil.rmtree(tmp_path / "library")
    with pytest.raises(LibraryMissing):
        search().result(30)
    assert gallery.status().result(30)["images"] == 0
