"""Pictures that a search leaves out are counted in the note of its answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.catalog.test_health import damage
from tests.cli.calls import Place
from tests.conftest import PHOTOS, full_only
from tests.web.server_process import serving


@full_only
@pytest.mark.slow
def test_gone_and_damaged_pictures_get_a_note(tmp_path: Path) -> None:
    place = Place(tmp_path / "photos", tmp_path / "library")
    place.photos.mkdir()
    for name in ("koala.jpg", "crab.jpg", "owl.jpg", "jaguars.jpg"):
        shutil.copy(PHOTOS / name, place.photos)
    assert place.call("index", place.photos, "-q").status == 0
    with serving(place.library) as server:
        assert server.get("/search")["note"] == ""
        (place.photos / "crab.jpg").unlink()
        gone = "1 picture that is no longer on disk is left out. To update: imgsearch index"
        assert server.get("/search")["note"] == gone
        damage(place.library, "UPDATE images SET width = 'wide' WHERE path = 'owl.jpg'")
        damaged = "1 picture is left out, because a value in the catalog is damaged"
        for words in ({}, {"q": "a koala", "all": "1"}):
            answer = server.get("/search", **words)
            assert sorted(hit["name"] for hit in answer["hits"]) == ["jaguars.jpg", "koala.jpg"]
            assert gone in answer["note"] and damaged in answer["note"]
