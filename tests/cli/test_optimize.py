"""imgsearch optimize, --index and --exact: the kind of index is reported and changes no answer."""

from __future__ import annotations

import os

import pytest

from imgsearch.indexes import gpus, sealed_files
from imgsearch.indexes.faiss_index import FaissIndex, IvfIndex
from imgsearch.indexing import index_files
from tests.cli.calls import Place, picture


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four pictures are enough for lists."""
    monkeypatch.setattr(IvfIndex, "trained_from", 4)


def hits(place: Place, *arguments: object) -> list[tuple[str, float]]:
    outcome = place.call("search", "stripes", "--format", "json", *arguments)
    assert outcome.status == 0, outcome.err
    return [(hit["path"], hit["score"]) for hit in outcome.json]


def kind_of(place: Place) -> str:
    kind: str = place.call("status", "--json").json["spaces"][0]["index"]
    return kind


def test_optimize_reports_its_result(indexed: Place, trained: None):
    before = hits(indexed)
    assert kind_of(indexed) == "exact"
    outcome = indexed.call("optimize", "--index", "ivf")
    assert outcome.status == 0 and outcome.text.startswith(
        "4 vectors: 1 lists trained on 4 vectors"
    )
    assert "Index     1 lists trained on 4 vectors" in indexed.call("status").text
    assert indexed.call("optimize").text.startswith("4 vectors: exact, in ")
    assert hits(indexed) == before


@pytest.mark.parametrize("kind", ["auto", "flat", "ivf", "torch", "memory", "faiss-gpu"])
def test_every_kind_gives_the_same_answers(indexed: Place, trained: None, kind: str):
    before = hits(indexed)
    assert indexed.call("optimize", "--index", "ivf").status == 0
    assert hits(indexed, "--index", kind) == before
    assert hits(indexed, "--index", kind, "--type", "png") == [
        hit for hit in before if hit[0].endswith(".png")
    ]


def test_status_names_the_place_where_a_gpu_was_set(indexed: Place, monkeypatch):
    assert kind_of(indexed) == "exact"
    monkeypatch.setenv("IMGSEARCH_INDEX", "faiss-gpu")
    place = "; searched on GPU" if gpus.count() else "; searched on the processor: "
    assert place in kind_of(indexed)
    assert f"Index     exact{place}" in indexed.call("status").text
    note = "The index is searched on the processor, not on a GPU: "
    assert (note in indexed.call("search", "stripes").err) == (not gpus.count())


def test_index_trains_when_due(place: Place, trained: None):
    assert place.call("index", place.photos, "--index", "ivf", "-q").status == 0
    assert kind_of(place).startswith("1 lists trained on 4 vectors")


def test_explain_shows_exact(indexed: Place, trained: None):
    indexed.call("optimize", "--index", "ivf")
    some = indexed.call("search", "stripes", "--index", "ivf", "--explain")
    assert "1 of 1 lists of 4 vectors" in some.err
    every = indexed.call("search", "stripes", "--exact", "--explain")
    assert "FAISS scan of 4 vectors" in every.err
    assert "FAISS scan" in indexed.call("similar", place_of(indexed), "--exact", "--explain").err


def place_of(place: Place) -> str:
    return str(place.photos / "a.jpg")


def test_an_unknown_kind_gets_a_suggestion(indexed: Place):
    outcome = indexed.call("search", "stripes", "--index", "flatt")
    assert outcome.status == 1
    assert "there is no index called flatt" in outcome.err and "Did you mean flat?" in outcome.err


def test_a_lost_large_index_is_rebuilt_without_replay(
    indexed: Place, monkeypatch: pytest.MonkeyPatch
):
    before = hits(indexed)
    monkeypatch.setattr(index_files, "MAX_REPLAYED_CHANGES", 3)
    monkeypatch.setattr(FaissIndex, "apply", None)  # nothing may be replayed
    folder = os.path.join(indexed.library, "index")
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    assert hits(indexed) == before
    assert len(os.listdir(folder)) == 1


def test_damage_in_a_large_index_is_found_and_fixed(
    indexed: Place, monkeypatch: pytest.MonkeyPatch
):
    before = hits(indexed)
    folder = os.path.join(indexed.library, "index")
    (name,) = os.listdir(folder)
    path = os.path.join(folder, name)
    with open(path, "r+b") as file:
        file.seek(100)
        byte = file.read(1)[0]
        file.seek(100)
        file.write(bytes([byte ^ 0x40]))
    monkeypatch.setattr(sealed_files, "MAX_VERIFIED_BYTES", 0)
    outcome = indexed.call("doctor")
    assert outcome.status == 1 and "the index file is damaged" in outcome.text
    picture(indexed.photos / "new.jpg", 9)
    again = indexed.call("index", indexed.photos)
    assert "The index was rebuilt from the catalog: the index file is damaged" in again.err
    assert indexed.call("doctor", "--json").text.count('"name": "index"') == 1
    assert [hit for hit in hits(indexed) if not hit[0].endswith("new.jpg")] == before
