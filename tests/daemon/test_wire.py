"""Questions and answers as bytes, and back."""

from __future__ import annotations

import json
import socket
import struct
import threading
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.daemon import wire
from imgsearch.encoders import builtin
from imgsearch.filters.tree import And, Below, Compare, Filter, Has, Near, Not, Or
from imgsearch.records import Hit, ImageFile, ImageMetadata, ImageRecord, Query, Term
from imgsearch.vectors import normalize
from tests.conftest import examples

DATES = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
ANY_TEXT = st.text(st.characters(codec=None), max_size=20)  # surrogate escapes, too
FLOATS = st.floats(-90, 90)
LEAVES = st.one_of(
    st.builds(Compare, st.just("taken"), st.sampled_from(["<", ">="]), DATES),
    st.builds(Compare, st.just("width"), st.just("="), st.integers(0, 10**12) | FLOATS),
    st.builds(Compare, st.just("name"), st.just("~"), ANY_TEXT),
    st.builds(Has, st.sampled_from(["date", "gps", "camera"])),
    st.builds(Near, FLOATS, FLOATS, FLOATS),
    st.builds(Below, ANY_TEXT),
)


def parts(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    many = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.one_of(st.builds(And, many), st.builds(Or, many), st.builds(Not, inner))


def travelled(value: object) -> object:
    return json.loads(json.dumps(value))


@given(st.none() | st.recursive(LEAVES, parts, max_leaves=8))
def test_filters_travel(where):
    assert wire.filter_from_plain(travelled(wire.filter_to_plain(where))) == where


RECORDS = st.builds(
    ImageRecord,
    st.integers(1, 2**60),
    st.builds(ImageFile, ANY_TEXT, ANY_TEXT, st.integers(0, 2**60), st.integers(-(2**60), 2**60)),
    ANY_TEXT,
    st.builds(
        ImageMetadata,
        width=st.integers(1, 10**6),
        height=st.integers(1, 10**6),
        format=st.just("JPEG"),
        taken_at=st.none() | DATES,
        latitude=st.none() | FLOATS,
        title=st.none() | ANY_TEXT,
        keywords=st.lists(ANY_TEXT, max_size=3).map(tuple),
    ),
)
HITS = st.builds(
    Hit,
    st.integers(1, 10**4),
    st.none() | st.floats(-1, 1),
    RECORDS,
    st.none() | st.floats(0, 1),
    st.booleans(),
    st.none() | st.lists(RECORDS, max_size=2).map(tuple),
)


@given(HITS)
@settings(max_examples=examples(50))
def test_hits_travel(hit):
    assert wire.hit_from_plain(travelled(wire.hit_to_plain(hit))) == hit


def test_queries_travel_with_their_vectors_bit_by_bit():
    vector = normalize(np.random.default_rng(0).standard_normal((1, 800)))[0]
    terms = [Term(text="a caf\u00e9 \udcff", weight=-0.5), Term(vector=vector, weight=1 / 3)]
    query = Query(terms, 7, 0.25, 0.125, "Find it.", Has("gps"), "semantic")
    found = wire.query_from_plain(travelled(wire.query_to_plain(query)))
    assert found.terms[0] == terms[0]
    assert found.terms[1].weight == 1 / 3 and np.array_equal(found.terms[1].vector, vector)
    assert found.terms[1].vector.dtype == np.float32
    assert (found.limit, found.min_score, found.min_strength) == (7, 0.25, 0.125)
    assert (found.instruction, found.where, found.mode) == ("Find it.", Has("gps"), "semantic")


def test_a_vector_that_is_passed_on_stays_as_it_is():
    vector = normalize(np.arange(1, 9)[np.newaxis])[0]
    once = wire.term_from_plain(travelled(wire.term_to_plain(Term(vector=vector))))
    assert isinstance(once.vector, wire.Packed)
    twice = wire.term_from_plain(travelled(wire.term_to_plain(once)))
    assert np.array_equal(wire.unpacked(twice).vector, vector)


def test_cards_travel():
    assert wire.card_from_plain(travelled(wire.card_to_plain(builtin.CARD))) == builtin.CARD


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_frames_come_whole_however_they_are_cut(ends):
    message = {"paths": ["\udcff\u00e9"] * 50_000}
    one, other = ends
    sender = threading.Thread(target=wire.send, args=(one, message))
    sender.start()
    assert wire.receive(other, 10) == message
    sender.join()
    data = json.dumps([1]).encode()
    for byte in struct.pack(">I", len(data)) + data:
        one.sendall(bytes([byte]))
    assert wire.receive(other, 10) == [1]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (struct.pack(">I", wire.MOST_BYTES + 1), wire.BadFrame),
        (struct.pack(">I", 2) + b"\xff\xff", wire.BadFrame),
        (struct.pack(">I", 200_000) + b"[" * 200_000, wire.BadFrame),
        (b"\x00\x00", EOFError),
        (struct.pack(">I", 10) + b"[1,", EOFError),
    ],
)
def test_what_is_no_frame(ends, data, error):
    one, other = ends
    sender = threading.Thread(target=lambda: (one.sendall(data), one.shutdown(socket.SHUT_WR)))
    sender.start()
    with pytest.raises(error):
        wire.receive(other, 10)
    sender.join()


def test_time_is_up_even_for_one_who_sends_a_byte_now_and_then(ends):
    one, other = ends
    stop = threading.Event()

    def drip() -> None:
        one.sendall(struct.pack(">I", 1000))
        while not stop.wait(0.05):
            one.sendall(b"[")

    dripping = threading.Thread(target=drip)
    dripping.start()
    with pytest.raises(TimeoutError):
        wire.receive(other, 0.5)
    stop.set()
    dripping.join()


def test_a_message_that_is_too_long_is_not_sent(ends, monkeypatch):
    monkeypatch.setattr(wire, "MOST_BYTES", 10)
    with pytest.raises(wire.BadFrame):
        wire.send(ends[0], "x" * 20)
