"""A run that indexes all pictures succeeds even if the calibration fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.settings import Settings
from tests.cli.calls import picture
from tests.conftest import ROOT, full_only
from tests.plugin_encoder import installed

PLUGIN = """
from cheap_encoder import CARDS, CheapEncoder, revision  # noqa: F401


class NoTexts(CheapEncoder):
    def encode_texts(self, texts, instruction=None):
        raise RuntimeError("CUDA error: out of memory")


def load(name, options):
    return NoTexts()
"""
CHEAP = ROOT / "tests" / "crash" / "plugin"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An installed plug-in whose model `cheap` cannot encode texts."""
    monkeypatch.syspath_prepend(CHEAP)
    entry = {"cheap": "no_texts_plugin"}
    with installed(monkeypatch, tmp_path / "site", "no_texts_plugin", PLUGIN, **entry):
        yield


@full_only
def test_pictures_are_kept_and_the_run_succeeds(plugin, tmp_path):
    for number in range(20):
        picture(tmp_path / "photos" / f"{number}.jpg", number)
    notes: list[str] = []
    settings = Settings(library=str(tmp_path / "library"), model="cheap", workers=1)
    library = Library(settings, notes.append)
    try:
        report = library.index(IndexRequest([str(tmp_path / "photos")]))
        assert (report.added, report.interrupted) == (20, False)
        assert library.catalog.last_run().outcome == "done"
        assert any("Strengths were not measured" in note for note in notes)
        example = Term(vector=library.catalog.vector(library.spaces.indexed(), 1))
        hits = library.search(SearchRequest([example], limit=20, min_strength=0.9))
        assert len(hits) == 20 and {hit.strength for hit in hits} == {None}
    finally:
        library.close()
