"""Searches in a library whose pictures have changed on disk since they were indexed."""

from __future__ import annotations

import os
import subprocess

import pytest

from imgsearch.searching.request import SearchRequest
from imgsearch.serving.gallery import Gallery
from imgsearch.settings import Settings
from tests.cli.calls import Place


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "tsv", "paths", "paths0"])
def test_a_deleted_picture_is_in_no_format(indexed: Place, form: str) -> None:
    (indexed.photos / "b.jpg").unlink()
    outcome = indexed.call("search", "red", "--all", "--format", form)
    assert outcome.status == 0
    assert "b.jpg" not in outcome.text and "a.jpg" in outcome.text
    assert "1 picture that is no longer on disk is left out" in outcome.err
    if form == "paths0":
        listed = subprocess.check_output(["xargs", "-0", "ls"], input=outcome.out)
        assert listed.count(b"\n") == 3


def test_a_server_leaves_deleted_pictures_out_of_each_page(indexed: Place) -> None:
    gallery = Gallery(Settings(library=str(indexed.library), device="cpu", threads=1))
    try:
        ranking, before = gallery.rank(SearchRequest(limit=2)).result(60)
        last = ranking.page_ids(0, 4)[-1]
        os.unlink(before[0].path)
        ranking_after, hits = gallery.rank(SearchRequest(limit=2)).result(60)
        assert [hit.image.id for hit in hits] == ranking.page_ids(1, 2)
        assert len(ranking_after) == 3
        assert [hit.image.id for hit in gallery.fetch(ranking, 0, 2).result(60)] == [
            before[1].image.id
        ]
        assert gallery.fetch(ranking, 3, 2).result(60)[0].image.id == last
    finally:
        gallery.close()
