"""Duplicates of a library whose space is not finished, or whose files are gone."""

from __future__ import annotations

import pytest

from imgsearch.curation.duplicates import DuplicateFinder, DuplicateRequest
from imgsearch.encoders.registry import Registry
from imgsearch.errors import QueryError
from imgsearch.filters.fields import comparison
from imgsearch.indexing.index_files import IndexFiles
from imgsearch.searching.searcher import Searcher
from imgsearch.settings import Settings
from imgsearch.spaces import Spaces
from tests.fakes import DECODER, OTHER, MemoryFolder, encoded, ingest


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def finder(catalog, notes) -> DuplicateFinder:
    settings = Settings(index="memory")
    spaces = Spaces(settings, Registry(settings), catalog)
    index_files = IndexFiles(catalog, "memory", notes.append)
    return DuplicateFinder(catalog, Searcher(settings, catalog, spaces, index_files), notes.append)


def paths(groups) -> list[list[str]]:
    return [
        [each.best.file.path, *(one.image.file.path for one in each.duplicates)] for each in groups
    ]


def test_an_empty_library(finder):
    with pytest.raises(QueryError, match="no pictures yet"):
        finder.find(DuplicateRequest())


def test_an_unknown_level(finder):
    with pytest.raises(QueryError, match="'all' is not a level"):
        finder.find(DuplicateRequest(level="all"))


@pytest.mark.parametrize("level", ["exact", "copies", "shots"])
def test_all_equal_and_a_filter(catalog, finder, notes, level):
    folder = MemoryFolder()
    names = ["a0.jpg", "a1.jpg", "b2.jpg", "b3.jpg", "b4.jpg"]
    folder.files = dict.fromkeys(names, ("same", 1))
    ingest(catalog, folder)
    assert paths(finder.find(DuplicateRequest(level=level))) == [names]
    where = comparison("name", "~", "b*")
    assert paths(finder.find(DuplicateRequest(where, level))) == [names[2:]]
    only = comparison("name", "~", "b2*")
    assert paths(finder.find(DuplicateRequest(only, level))) == []
    assert any("is not there" in note for note in notes), "a folder that is away keeps its pictures"


def test_a_single_picture_has_no_duplicates(catalog, finder):
    folder = MemoryFolder()
    folder.files = {"a.jpg": ("alone", 1)}
    ingest(catalog, folder)
    assert paths(finder.find(DuplicateRequest())) == []


def test_pictures_without_a_vector_are_compared_by_their_bytes(catalog, finder, notes):
    folder = MemoryFolder()
    folder.files = {"a.jpg": ("same", 1)}
    ingest(catalog, folder)
    with catalog.writer() as writer:
        writer.begin_run(OTHER, DECODER, "fp32")
        writer.commit([encoded("unseen.jpg", "unlike it"), encoded("unseen 2.jpg", "unlike it")])
    assert paths(finder.find(DuplicateRequest())) == [["unseen.jpg", "unseen 2.jpg"]]
    assert any("2 pictures have no vector" in note for note in notes)
