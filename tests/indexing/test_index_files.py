"""During a long run the index file follows the catalog, so that searches replay little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsearch.errors import CatalogError
from imgsearch.indexes.sealed_files import newest
from imgsearch.indexing import index_files
from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.records import Progress
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.settings import Settings
from tests.conftest import full_only
from tests.crash.album import ENCODER, SPACE, Album
from tests.crash.process import PLUGIN

LIMIT = 8


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Album:
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setattr(index_files, "MAX_REPLAYED_CHANGES", LIMIT)
    album = Album(tmp_path, 5)
    for _ in range(30):
        album.write(album.fresh())
    return album


@pytest.fixture
def library(tmp_path: Path, album: Album) -> Iterator[Library]:
    library = Library(Settings(library=str(tmp_path / "lib"), model="cheap", batch_size=2))
    yield library
    library.close()


def run(library: Library, album: Album) -> list[int]:
    """Index; returns for each commit the number of changes that a new search would replay."""
    behind = []

    def measure(progress: Progress) -> None:
        if progress.stage == "encode":
            name = newest(library.index_files.folder, library.catalog.uuid, SPACE.key)
            behind.append(library.catalog.head()[0] - (name.revision if name else 0))

    library.index(IndexRequest(tuple(album.roots)), measure)
    return behind


@full_only
def test_no_search_has_much_to_replay(library: Library, album: Album) -> None:
    behind = run(library, album)
    assert len(behind) > 2 * LIMIT and 0 in behind
    assert max(behind) <= LIMIT, behind
    term = Term(vector=ENCODER.encode_texts(["anything"])[0])
    query = SearchRequest([term], limit=1000, min_strength=0.0)
    assert {hit.image.file.absolute for hit in library.search(query)} == set(album.pictures())


@full_only
def test_an_unwritable_index_file_does_not_end_a_run_early(library: Library, album: Album) -> None:
    library.create()
    Path(library.index_files.folder).write_text("in the way")
    with pytest.raises(CatalogError, match="index file cannot be written"):
        run(library, album)
    assert library.catalog.count() == len(album.pictures())
    os.remove(library.index_files.folder)
    assert run(library, album) == []
    assert newest(library.index_files.folder, library.catalog.uuid, SPACE.key) is not None
