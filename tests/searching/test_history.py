"""The file of the last search: whole or not there, private, and harmless when broken."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.errors import QueryError, SpaceMismatch
from imgsearch.searching.history import FILE, LastSearch, Result, from_search, load, save
from imgsearch.searching.request import Term
from imgsearch.vectors import EmbeddingSpace, normalize

SPACE = EmbeddingSpace("m", "1", "p", 4)
OTHER = EmbeddingSpace("n", "1", "p", 4)
ROW = normalize(np.array([[3, -4, 0, 0.5]]))[0]


def search(path: str = "/p/\udcff\n.jpg", **changes) -> LastSearch:
    terms = [Term("a dog", vector=ROW, weight=0.5), Term(vector=-ROW, weight=-1.0)]
    values = {"library": "u", "space": SPACE.key, "model": "m", "terms": terms}
    return LastSearch(**{**values, "results": [Result(7, "ab", path)], **changes})


def test_what_is_saved_is_read_again(tmp_path):
    assert load(str(tmp_path), "u") is None
    assert save(str(tmp_path), search())
    found = load(str(tmp_path), "u")
    assert found.results == [Result(7, "ab", "/p/\udcff\n.jpg")]
    assert [(term.text, term.weight) for term in found.terms] == [("a dog", 0.5), (None, -1.0)]
    assert np.abs(found.terms[0].vector - ROW).max() < 1e-6
    assert os.listdir(tmp_path) == [FILE]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert load(str(tmp_path), "another library") is None


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path):
    assert not save(str(tmp_path / "nowhere"), search())
    (tmp_path / FILE).mkdir()
    assert not save(str(tmp_path), search())
    assert os.listdir(tmp_path) == [FILE], "nothing is left behind"
    assert load(str(tmp_path), "u") is None


def test_of_searches_at_the_same_time_one_stays_whole(tmp_path):
    searches = [search(f"/{n}.jpg" * 5000) for n in range(4)]
    done = threading.Event()
    seen = []

    def read() -> None:
        while not done.is_set():
            seen.append(load(str(tmp_path), "u"))

    save(str(tmp_path), searches[0])
    reader = threading.Thread(target=read)
    reader.start()
    writers = [threading.Thread(target=save, args=(str(tmp_path), each)) for each in searches * 5]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    done.set()
    reader.join()
    assert seen and all(each is not None for each in seen)
    assert load(str(tmp_path), "u").results in [each.results for each in searches]
    assert os.listdir(tmp_path) == [FILE]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
KEYS = ("format", "library", "space", "model", "terms", "results")


@given(key=st.sampled_from(KEYS), value=values, cut=st.integers(0, 40))
def test_a_broken_file_is_no_last_search(tmp_path_factory, key, value, cut):
    folder = tmp_path_factory.mktemp("library")
    save(str(folder), search())
    whole = (folder / FILE).read_text()
    (folder / FILE).write_text(json.dumps({**json.loads(whole), key: value}))
    found = load(str(folder), "u")
    assert found is None or all(np.isfinite(each.weight) for each in found.terms)
    (folder / FILE).write_text(whole[: -1 - cut])
    assert load(str(folder), "u") is None
    (folder / FILE).write_bytes(b"[" * 100_000)
    assert load(str(folder), "u") is None


@pytest.mark.parametrize("term", [
    {"text": None, "weight": 1, "vector": None},
    {"text": 3, "weight": 1, "vector": None},
    {"text": "a", "weight": float("nan"), "vector": None},
    {"text": "a", "weight": 1, "vector": "AAA"},
    {"text": "a", "weight": 1, "vector": "AADAfw=="},
])  # fmt: skip
def test_a_broken_term(tmp_path, term):
    save(str(tmp_path), search())
    found = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**found, "terms": [term]}))
    assert load(str(tmp_path), "u") is None


def test_a_rank_that_there_was_not():
    for rank in (0, 2):
        with pytest.raises(QueryError, match=f"gave 1 picture, and there is no #{rank}"):
            search().result(rank)
    with pytest.raises(QueryError, match="found nothing"):
        search(results=[]).result(1)


def test_vectors_of_another_length_are_not_used():
    with pytest.raises(QueryError, match="no last search"):
        search(terms=[Term("a dog", vector=ROW[:2])]).terms_for(SPACE)


def test_words_go_along_to_another_space_and_pictures_do_not():
    assert search().terms_for(SPACE)[1].vector is not None
    words = search(terms=search().terms[:1]).terms_for(OTHER)
    assert [(term.text, term.vector) for term in words] == [("a dog", None)]
    with pytest.raises(SpaceMismatch, match="made with m, and its pictures mean nothing to n"):
        search().terms_for(OTHER)


def test_pixels_are_never_kept():
    pixels = np.zeros((2, 2, 3), np.uint8)
    terms = [Term("a dog"), Term(image=pixels)]
    kept = from_search("u", SPACE, terms, [ROW, ROW], []).terms
    assert [term.image for term in kept] == [None, None]
    assert [len(term.vector) for term in kept] == [4, 4]
    by_words = from_search("u", None, terms, [], [])
    assert [(term.text, term.vector) for term in by_words.terms] == [("a dog", None)]
    assert by_words.space == ""
