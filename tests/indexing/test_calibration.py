"""Index to reference scores, over a real catalog: drawn once, kept, and drawn anew in time."""

from __future__ import annotations

from imgsearch.catalog import Catalog
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexing.calibration import DIGEST, Calibrator
from imgsearch.indexing.index_files import sync
from imgsearch.indexing.reference_texts import TEXTS
from imgsearch.indexing.references import IMAGE, TEXT
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.searcher import Searcher
from tests.fakes import DECODER, SPACE, MemoryFolder, ingest, unit_rows, vector_of


class TextTower:
    """Texts to vectors of the toy space; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def encode_texts(self, texts, instruction=None):
        self.asked += 1
        return unit_rows(len(texts), seed=7)


def calibrate(catalog: Catalog, tower: TextTower) -> MemoryIndex:
    index = MemoryIndex("", catalog.uuid, SPACE)
    sync(catalog, index)
    with catalog.writer() as writer:
        writer.begin_run(SPACE, DECODER, "fp32")
        Calibrator(catalog, writer, index, lambda: tower).run()
    return index


def grown(catalog: Catalog, count: int) -> None:
    folder = MemoryFolder()
    folder.files = {f"{n}.jpg": (f"content {n}", 1) for n in range(count)}
    ingest(catalog, folder)


def test_an_empty_library_has_no_references(catalog):
    tower = TextTower()
    calibrate(catalog, tower)
    assert catalog.references(SPACE) == {} and tower.asked == 0


def test_drawn_once_and_again_when_the_library_has_grown(catalog):
    tower = TextTower()
    grown(catalog, 20)
    calibrate(catalog, tower)
    first = catalog.references(SPACE)
    assert first.keys() == {TEXT, IMAGE} and first[TEXT].pictures == 20
    grown(catalog, 22)
    calibrate(catalog, tower)
    assert catalog.references(SPACE) == first, "a little growth changes nothing"
    grown(catalog, 40)
    calibrate(catalog, tower)
    assert catalog.references(SPACE)[TEXT].pictures == 40
    assert tower.asked == 1, "the vectors of the texts are kept"


def test_the_texts_are_kept_as_vectors_are(catalog):
    grown(catalog, 16)
    calibrate(catalog, TextTower())
    kept = catalog.reference_texts(SPACE, DIGEST)
    assert kept.shape == (len(TEXTS), SPACE.dimension)
    assert abs(kept - unit_rows(len(TEXTS), seed=7)).max() < 1e-3  # stored as float16
    assert catalog.reference_texts(SPACE, "of other texts") is None
    assert catalog.check() == []


def test_a_library_that_shrinks_to_a_handful_forgets_its_references(catalog):
    grown(catalog, 20)
    calibrate(catalog, TextTower())
    grown(catalog, 5)
    calibrate(catalog, TextTower())
    assert catalog.references(SPACE) == {}


def test_hits_have_a_strength_once_there_are_references(catalog):
    grown(catalog, 20)
    index = MemoryIndex("", catalog.uuid, SPACE)

    def search(least: float = 0.0):
        searcher = Searcher(catalog, index, lambda: sync(catalog, index), TextTower)
        term = Term(vector=vector_of("content 5"))
        return searcher.search(SearchRequest([term], limit=50, min_strength=least))

    assert {hit.strength for hit in search()} == {None}
    assert len(search(0.9)) == 20, "what has no strength is kept"
    calibrate(catalog, TextTower())
    hits = search()
    strengths = [hit.strength for hit in hits]
    assert strengths == sorted(strengths, reverse=True)
    middle = (strengths[4] + strengths[5]) / 2
    assert search(middle) == hits[:5]
