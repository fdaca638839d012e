"""Unknown words and corrections, with the lexicon and the unigram model of the built-in model."""

from __future__ import annotations

import json

import pytest

from imgsearch.encoders.builtin.languages import Languages
from tests.conftest import ROOT, full_only

GIBBERISH = (
    "xqzzv blorf", "cvbnm", "zxcvbn wert", "qwrtp", "sdfghjk", "vblxq zzkt", "jjkqw", "trwq plmk",
    "ghgh fkfk", "wxcvq",
)  # fmt: skip


@pytest.fixture(scope="module")
def languages():
    return Languages()


@full_only
@pytest.mark.parametrize("text", GIBBERISH)
def test_random_letters_are_unknown(languages, text):
    reading = languages.explain(text)
    assert reading.unknown == tuple(text.split())
    assert not reading.understood and reading.text == text


@pytest.mark.parametrize(
    "text",
    ["a dog", "two colourful macaws", "Hund", "perro", "farfalla", "собака", "犬", "un chien noir",
     "Volkswagen", "Berlin", "ptak", "2019", "", "café", "a breakdancer", "Rosalind", "b2b", "PS5",
     "a 4x4", "mp3"],
)  # fmt: skip
def test_words_of_some_language_are_known(languages, text):
    reading = languages.explain(text)
    assert reading.understood and not reading.unknown


def test_an_unknown_word_beside_known_ones(languages):
    reading = languages.explain("a cat and xqzzv")
    assert reading.unknown == ("xqzzv",) and reading.understood
    assert reading.text == "a cat and xqzzv"


@pytest.mark.parametrize(
    ("text", "unknown"),
    [("the xqzzv", "xqzzv"), ("an xqzzv", "xqzzv"), ("xqzzv 2019", "xqzzv"), ("x7kq2p", "x7kq2p")],
)
def test_articles_digits_and_pieces_of_a_word_are_no_content(languages, text, unknown):
    reading = languages.explain(text)
    assert (reading.unknown, reading.understood) == ((unknown,), False)


def test_few_real_queries_are_not_understood(languages):
    lines = (ROOT / "tests" / "data" / "languages.jsonl").read_text("utf-8").splitlines()
    queries = [json.loads(line) for line in lines]
    foreign = [query["query"] for query in queries]
    english = sorted({query["english"] for query in queries})
    missed = [text for text in foreign if not languages._unknown(text)[1]]
    assert len(missed) <= 0.02 * len(foreign), missed
    assert all(languages._unknown(text)[1] for text in english)


@pytest.mark.parametrize(
    ("text", "correction"),
    [
        ("moutain", "mountain"),
        ("brige", "bridge"),
        ("strawbery", "strawberry"),
        ("umberella", "umbrella"),
        ("snowbaord", "snowboard"),
        ("bycicle in the rain", "bicycle in the rain"),
        ("bridge", ""),
        ("perro", ""),
        ("voiture", ""),
        ("un chien noir", ""),
        ("собака", ""),
        ("xqzzv", ""),
        ("", ""),
    ],
)
def test_corrections(languages, text, correction):
    assert languages.explain(text).suggestion == correction
