"""Words and a picture that the model reads in one, and pictures of `similarity`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from imgsearch.searching.history import FILE
from imgsearch.searching.request import Term
from imgsearch.searching.term_vectors import encode_term, with_pixels
from imgsearch.sources.decoders import DecodeSettings
from tests.cli.calls import Outcome, Place
from tests.conftest import ROOT, full_only

GME = ROOT / "tests" / "golden" / "gme" / "model"
WORDS = ("the", "same", "in", "red")


@pytest.fixture
def library(place: Place) -> Place:
    assert place.index(place.photos, "--model", GME)["added"] == 4
    return place


def scores(outcome: Outcome) -> dict[str, float]:
    assert outcome.status == 0, outcome.err
    return {Path(hit["path"]).name: hit["score"] for hit in outcome.json}


def found(library: Place, *arguments: object) -> dict[str, float]:
    return scores(library.call("search", *arguments, "--all", "--format", "json"))


@full_only
def test_the_model_reads_both_in_one(library):
    picture = library.photos / "a.jpg"
    fused = found(library, *WORDS, "--like", picture, "--fused")
    assert len(fused) == 4
    added = found(library, *WORDS, "--like", picture)
    alone = scores(library.call("similar", picture, "--all", "--format", "json"))
    for other in (added, alone):
        assert max(abs(fused[name] - other[name]) for name in fused) > 1e-3
    other = found(library, "another", "thing", "--like", picture, "--fused")
    assert max(abs(fused[name] - other[name]) for name in fused) > 1e-4, "the words count"
    other = found(library, *WORDS, "--like", library.photos / "b.jpg", "--fused")
    assert max(abs(fused[name] - other[name]) for name in fused) > 1e-4, "and the picture"


def test_it_is_what_the_encoder_says(library):
    from imgsearch.library import Library
    from imgsearch.settings import Settings

    lib = Library(Settings(library=str(library.library)))
    encoder = lib.encoder()
    assert hasattr(encoder, "encode_fused")
    path = str(library.photos / "a.jpg")
    term = with_pixels(Term(text="red", path=path, fused=True), DecodeSettings(encoder.input_size))
    expected = encoder.encode_fused(["red"], [term.image])[0]
    assert np.abs(encode_term(encoder, term) - expected).max() < 1e-6
    assert abs(np.linalg.norm(expected) - 1) < 1e-5
    lib.close()


@full_only
def test_other_terms_filters_names_and_the_next_search_go_along(library):
    shutil.copy(library.photos / "b.jpg", library.photos / "red wall.png")
    library.index()
    like = ("--like", library.photos / "a.jpg", "--fused", "--format", "json", "--all")
    named = library.call("search", "red", "wall", *like, "--not", "noise").json
    assert named[0]["named"] and Path(named[0]["path"]).name == "red wall.png"
    assert named[0]["strength"] is None, "no reference says what a fused score is worth"
    kept = json.loads((library.library / FILE).read_text())
    assert [term.get("fused", False) for term in kept["terms"]] == [True, False]
    refined = library.call("search", "--more", "2", "--format", "json", "--all")
    assert refined.status == 0 and "Refining the last search: red wall" in refined.err
    by_rank = library.call("search", "red", "--like", "#1", *like[2:])
    assert by_rank.status == 0, by_rank.err


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--fused"], "--fused is for words with one picture"),
    (["a", "dog", "--fused"], "--fused is for words with one picture"),
    (["--like", "PICTURE", "--fused"], "--fused is for words with one picture"),
    (["red", "--like", "PICTURE", "--like", "PICTURE", "--fused"], "with one picture"),
    (["red", "--like", "PICTURE^0.5", "--fused"], "cannot have a weight of its own"),
    (["red", "--like", "missing.jpg", "--fused"], "there is no such file"),
    (["red", "--like", "PICTURE", "--fused", "--mode", "text"], "searched for words only"),
])  # fmt: skip
def test_what_cannot_be_fused(library, arguments, sentence):
    picture = str(library.photos / "a.jpg")
    told = library.call("search", *(each.replace("PICTURE", picture) for each in arguments))
    assert told.status == 1 and sentence in told.err
    assert "Traceback" not in told.err


def test_a_model_that_cannot_says_so_with_the_mend(indexed):
    told = indexed.call("search", "red", "--like", indexed.photos / "a.jpg", "--fused")
    assert told.status == 1
    assert "builtin cannot read words and a picture in one" in told.err
    assert "Leave out --fused" in told.err and "--model gme-qwen2-vl-2b" in told.err


@full_only
def test_a_fused_query_means_nothing_to_another_model(library):
    like = ("--like", library.photos / "a.jpg", "--fused")
    assert library.call("search", "red", *like).status == 0
    assert library.index(library.photos, "--model", "builtin")["added"] == 0
    told = library.call("search", "--more", "1", "--model", "builtin")
    assert told.status == 1 and "mean nothing to builtin" in told.err


# similarity


def similarity(place: Place, *arguments: object) -> float:
    outcome = place.call("similarity", *arguments)
    assert outcome.status == 0, outcome.err
    return float(outcome.text)


@full_only
def test_similarity_takes_what_search_takes(indexed, monkeypatch):
    import io
    import sys

    picture = indexed.photos / "a.jpg"
    expected = similarity(indexed, picture, "a dog")

    class Stdin:
        buffer = io.BytesIO(picture.read_bytes())

        @staticmethod
        def isatty() -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert similarity(indexed, "-", "a dog") == expected
    assert indexed.call("similar", picture).status == 0
    assert similarity(indexed, "#1", picture) == pytest.approx(1, abs=1e-3)
    assert similarity(indexed, "#1", "#2") < 0.999
    for arguments, sentence in (
        (("#9", "a dog"), "the last search gave"),
        (("https://example.org/x", "a dog"), "add --allow-url"),
        (("file:///photos/beach.jpg", "a dog"), "is not an http or https address"),
        (("", "a dog"), "one of the two texts is empty"),
    ):
        told = indexed.call("similarity", *arguments)
        assert told.status == 1 and sentence in told.err


@full_only
def test_only_a_result_needs_a_library(place):
    assert similarity(place, place.photos / "a.jpg", place.photos / "a.jpg") == pytest.approx(1)
    told = place.call("similarity", "#1", "a dog")
    assert told.status == 1 and "there is no library" in told.err


@pytest.mark.parametrize("url", ["file:///photos/beach.jpg", "FTP://host/x", "data://x"])
def test_an_address_of_another_scheme_is_not_taken_for_words(indexed, url):
    for arguments in (["search", url], ["search", "a", "--like", url], ["similar", url]):
        told = indexed.call(*arguments, "--allow-url")
        assert told.status == 1
        assert f"{url} is not an http or https address, and no others are fetched" in told.err
