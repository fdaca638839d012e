"""Which thread does what, so that none waits for another."""

from __future__ import annotations

import threading

import pytest

from imgsearch.library import Library
from imgsearch.serving.gallery import Gallery
from imgsearch.serving.request import Asked, Filters
from imgsearch.settings import Settings
from tests.cli.calls import Place


@pytest.mark.parametrize(
    "asked",
    [
        Asked(),
        Asked(unique=True),
        Asked(filters=Filters(type=("jpeg",))),
        Asked(text="crab", mode="text"),
    ],
    ids=["by date", "folded", "filtered", "by words"],
)
def test_what_needs_no_model_does_not_wait_for_it(demo: Place, asked: Asked) -> None:
    gallery = Gallery(Settings(library=str(demo.library), device="cpu", threads=1))
    loaded, loading = threading.Event(), threading.Event()

    def load(library: Library) -> bool:
        loading.set()
        return loaded.wait(60)

    try:
        slow = gallery.resident.submit(load)
        assert loading.wait(60)
        ranking, records = gallery.search(asked, "x", 3).result(60)
        assert len(ranking.ids) > 0
        assert sorted(records) == sorted(ranking.page_ids(0, 3))
        assert not slow.done()
        # What needs it, waits.
        waits = gallery.search(Asked(text="a crab"), "x", 3)
        assert not waits.done()
        loaded.set()
        assert len(waits.result(60)[0].ids) > 0
    finally:
        loaded.set()
        gallery.close()
