"""Which thread does what, so that none waits for another."""

from __future__ import annotations

import threading

import pytest

from imgsearch.filters.parser import parse
from imgsearch.library import Library
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.serving.gallery import Gallery
from imgsearch.settings import Settings
from tests.cli.calls import Place


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
