"""Which thread does what, so that none waits for another; pages and how deep they are ranked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgsearch.catalog import open_catalog
from imgsearch.filters.parser import parse
from imgsearch.library import Library
from imgsearch.searching.hits import Hit, hit_to_plain
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.serving import gallery as gallery_module
from imgsearch.serving.gallery import Gallery
from imgsearch.serving.rankings import cursor
from imgsearch.settings import Settings
from tests.cli.calls import Place
from tests.conftest import full_only
from tests.fakes import MemoryFolder, ingest, vector_of


@pytest.mark.parametrize(
    "request_",
    [
        SearchRequest(limit=3),
        SearchRequest(limit=3, unique=True),
        SearchRequest(limit=3, where=parse("format = jpeg")),
        SearchRequest([Term(text="crab")], 3, "text"),
    ],
    ids=["by date", "folded", "filtered", "by words"],
)
def test_what_needs_no_model_does_not_wait_for_it(demo: Place, request_: SearchRequest) -> None:
    gallery = Gallery(Settings(library=str(demo.library), device="cpu", threads=1))
    loaded, loading = threading.Event(), threading.Event()

    def load(library: Library) -> bool:
        loading.set()
        return loaded.wait(60)

    try:
        slow = gallery.resident.submit(load)
        assert loading.wait(60)
        ranking, hits = gallery.rank(request_).result(60)
        assert len(ranking) > 0
        assert [hit.image.id for hit in hits] == ranking.page_ids(0, 3)
        assert not slow.done()
        # What needs it, waits.
        waits = gallery.rank(SearchRequest([Term(text="a crab")], 3))
        assert not waits.done()
        loaded.set()
        assert len(waits.result(60)[0]) > 0
    finally:
        loaded.set()
        gallery.close()


def _copies(folder: Path, changes: int = 0) -> MemoryFolder:
    """A library of 12 pictures with 25 copies each, and as many pictures more as are wanted."""
    pictures = MemoryFolder()
    pictures.files = {
        f"{n * 7919 % 300:03} {'beach' if n % 60 == 0 else 'hill'}.jpg": (f"content {n % 12}", n)
        for n in range(300)
    }
    pictures.files |= {f"new {n}.jpg": (f"content {n % 12}", 1000 + n) for n in range(changes)}
    with closing(open_catalog(str(folder), create=True)) as catalog:
        ingest(catalog, pictures, batch_size=64)
    return pictures


def _pages(gallery: Gallery, request: SearchRequest, between: Callable[[], object]) -> list[Hit]:
    ranking, hits = gallery.rank(request).result(60)
    key, start = gallery.rankings.keep(ranking, "q"), request.limit
    while (text := cursor(key, ranking, start)) is not None:
        between()
        key, ranking, start = gallery.rankings.at(text, "q")
        ranking, more = gallery.turn(ranking, start, request.limit).result(60)
        gallery.rankings.deepen(key, ranking)
        hits += more
        start += request.limit
    return hits


@full_only
@pytest.mark.parametrize("unique", [False, True], ids=["", "folded"])
@pytest.mark.parametrize(
    "terms, options",
    [
        ([], {}),
        ([Term(vector=vector_of("content 5"))], {}),
        ([Term(vector=vector_of("content 5"))], {"min_score": 0.0}),
        ([Term("beach", vector=vector_of("content 5"))], {}),
        ([Term("beach", vector=vector_of("content 5"))], {"where": parse("name ~ '*1*'")}),
        ([Term("hill")], {"mode": "text"}),
    ],
    ids=["by date", "meaning", "cut off", "hybrid", "filtered", "words"],
)
def test_pages_are_ranked_as_deep_as_they_go_and_join_to_the_deep_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terms: list[Term], options: Any, unique: bool
) -> None:
    monkeypatch.setattr(gallery_module, "RANKED_IMAGES", 10)
    _copies(tmp_path)
    settings = Settings(library=str(tmp_path), index="memory")
    with closing(Library(settings)) as library:
        wanted = SearchRequest(terms, 1000, unique=unique, **options)
        deep = library.searcher.fetch(library.rank(wanted), 0, 1000, duplicates=False)
    assert deep
    gallery = Gallery(settings)
    try:
        for limit in (2, 7, 60):
            request = replace(wanted, limit=limit)
            first, _ = gallery.rank(request).result(60)
            assert len(first) > limit or first.complete
            pages = _pages(gallery, request, lambda: None)
            assert [hit_to_plain(hit) for hit in pages] == [hit_to_plain(hit) for hit in deep]
        shallow = gallery.rank(replace(wanted, limit=2)).result(60)[0]
        if not unique and len(deep) > 10:
            assert len(shallow) == 10, "no deeper than a page needs"
    finally:
        gallery.close()


@full_only
@pytest.mark.parametrize("unique", [False, True], ids=["", "folded"])
def test_no_picture_comes_twice_while_others_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unique: bool
) -> None:
    monkeypatch.setattr(gallery_module, "RANKED_IMAGES", 10)
    before = len(_copies(tmp_path).files)
    gallery = Gallery(Settings(library=str(tmp_path), index="memory"))
    new = iter(range(1, 1000))
    try:
        request = SearchRequest([Term(vector=vector_of("content 5"))], 5, unique=unique)
        hits = _pages(gallery, request, lambda: _copies(tmp_path, next(new)))
        ids = [hit.image.id for hit in hits]
        assert len(set(ids)) == len(ids)
        assert len(ids) >= (12 if unique else before)
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    finally:
        gallery.close()
