"""Reference scores over a real catalog: sampled once, stored, and resampled in time."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from imgsearch.catalog import Catalog
from imgsearch.catalog.engine import writing
from imgsearch.encoders.registry import Registry
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexing.calibration import DIGEST, Calibrator
from imgsearch.indexing.index_files import IndexFiles, sync
from imgsearch.indexing.reference_texts import TEXTS
from imgsearch.indexing.references import ABSENT, ANSWER_PRIOR, BEST, IMAGE, TEXT
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.searcher import Searcher
from imgsearch.settings import Settings
from imgsearch.spaces import Spaces
from tests.fakes import DECODER, SPACE, MemoryFolder, ingest, unit_rows, vector_of


class TextTower:
    """Encodes texts in the toy space and counts the calls."""

    def __init__(self) -> None:
        self.calls = 0

    def encode_texts(self, texts, instruction=None):
        self.calls += 1
        return unit_rows(len(texts), seed=7)


def calibrate(catalog: Catalog, tower: TextTower) -> MemoryIndex:
    index = MemoryIndex("", catalog.uuid, SPACE)
    sync(catalog, index)
    with catalog.writer() as writer:
        writer.begin_run(SPACE, DECODER, "fp32")
        Calibrator(catalog, writer, index, lambda: tower).run()
    return index


def grow(catalog: Catalog, count: int) -> None:
    folder = MemoryFolder()
    folder.files = {f"{n}.jpg": (f"content {n}", 1) for n in range(count)}
    ingest(catalog, folder)


def test_an_empty_library_has_no_references(catalog):
    tower = TextTower()
    calibrate(catalog, tower)
    assert catalog.references(SPACE) == {} and tower.calls == 0


def test_sampled_once_and_again_after_growth(catalog):
    tower = TextTower()
    grow(catalog, 20)
    calibrate(catalog, tower)
    first = catalog.references(SPACE)
    assert first.keys() == {TEXT, IMAGE, BEST, ABSENT} and first[TEXT].pictures == 20
    grow(catalog, 22)
    calibrate(catalog, tower)
    assert catalog.references(SPACE) == first, "slight growth changes nothing"
    grow(catalog, 40)
    calibrate(catalog, tower)
    assert catalog.references(SPACE)[TEXT].pictures == 40
    assert tower.calls == 1, "the vectors of the texts are stored"


def test_the_texts_are_stored_like_vectors(catalog):
    grow(catalog, 16)
    calibrate(catalog, TextTower())
    stored = catalog.reference_texts(SPACE, DIGEST)
    assert stored.vectors.shape == (len(TEXTS), SPACE.dimension)
    assert abs(stored.vectors - unit_rows(len(TEXTS), seed=7)).max() < 1e-3  # stored as float16
    assert stored.priors.tolist() == pytest.approx([ANSWER_PRIOR] * len(TEXTS))
    assert catalog.reference_texts(SPACE, "of other texts") is None
    assert catalog.check() == []


def test_texts_without_priors_are_encoded_again(catalog):
    """As the version before stored them."""
    tower = TextTower()
    grow(catalog, 20)
    calibrate(catalog, tower)
    with writing(catalog._engine) as connection:
        connection.execute(text("UPDATE reference_texts SET priors = NULL"))
        connection.execute(text("DELETE FROM reference_scores WHERE modality = 'absent'"))
    calibrate(catalog, tower)
    assert ABSENT in catalog.references(SPACE) and tower.calls == 2


def test_a_library_that_becomes_small_drops_its_references(catalog):
    grow(catalog, 20)
    calibrate(catalog, TextTower())
    grow(catalog, 5)
    calibrate(catalog, TextTower())
    assert catalog.references(SPACE) == {}


def test_hits_have_a_strength_with_references(catalog):
    grow(catalog, 20)
    settings = Settings(index="memory")
    spaces = Spaces(settings, Registry(settings), catalog)
    searcher = Searcher(settings, catalog, spaces, IndexFiles(catalog, "memory", print))

    def search(least: float = 0.0):
        term = Term(vector=vector_of("content 5"))
        return searcher.search(SearchRequest([term], limit=50, min_strength=least)).hits

    assert {hit.strength for hit in search()} == {None}
    assert len(search(0.9)) == 20, "hits without a strength are kept"
    calibrate(catalog, TextTower())
    hits = search()
    strengths = [hit.strength for hit in hits]
    assert strengths == sorted(strengths, reverse=True)
    middle = (strengths[4] + strengths[5]) / 2
    assert search(middle) == hits[:5]
