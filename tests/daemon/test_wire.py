"""Requests and results as bytes, and back."""

from __future__ import annotations

import json
import socket
import struct
import threading
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.daemon import wire
from imgsearch.filters import fields
from imgsearch.filters.parser import MAX_EXPRESSION_CHARACTERS
from imgsearch.filters.tree import Compare, Has, Not, all_of, any_of
from imgsearch.records import ImageFile, ImageMetadata, ImageRecord
from imgsearch.searching.hits import Hit, SearchResult
from imgsearch.searching.request import (
    SearchRequest,
    Term,
    request_from_plain,
    request_to_plain,
)
from imgsearch.searching.trace import Trace
from imgsearch.vectors import normalize
from tests.conftest import examples

DATES = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
ANY_TEXT = st.text(st.characters(codec=None), max_size=20)  # surrogate escapes, too
FLOATS = st.floats(-90, 90)


def travelled(value: object) -> object:
    return json.loads(json.dumps(value))


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
        taken_precision=st.sampled_from([None, "year", "month", "day", "second"]),
        taken_source=st.none() | ANY_TEXT,
        utc_offset_minutes=st.none() | st.integers(-840, 840),
        people=st.lists(ANY_TEXT, max_size=3).map(tuple),
        city=st.none() | ANY_TEXT,
        state=st.none() | ANY_TEXT,
        country=st.none() | ANY_TEXT,
        rating=st.none() | st.integers(-1, 5),
        note=st.none() | ANY_TEXT,
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


RESULTS = st.builds(
    SearchResult,
    st.lists(HITS, max_size=3),
    st.lists(ANY_TEXT, max_size=2),
    ANY_TEXT,
    ANY_TEXT,
    st.builds(
        Trace,
        st.none() | st.integers(0, 9),
        st.integers(0, 9),
        ANY_TEXT,
        st.dictionaries(ANY_TEXT, FLOATS, max_size=3),
    ),
)


@given(RESULTS)
@settings(max_examples=examples(50))
def test_results_travel(result):
    assert wire.result_from_plain(travelled(wire.result_to_plain(result))) == result


def sent(request: SearchRequest) -> SearchRequest:
    return request_from_plain(travelled(request_to_plain(request)))


@given(
    st.builds(
        Term,
        text=st.none() | ANY_TEXT,
        weight=FLOATS,
        fused=st.booleans(),
        path=st.none() | ANY_TEXT,
        data=st.none() | st.binary(max_size=9),
        image_id=st.none() | st.integers(1, 2**60),
        result=st.none() | st.integers(1, 99),
        name=ANY_TEXT,
    )
)
def test_terms_travel(term):
    request = SearchRequest([term], good=[term], bad=[term, term])
    assert sent(request) == request


@given(
    st.lists(
        st.tuples(st.sampled_from(["taken", "width", "name", "near", "in", "has"]), ANY_TEXT),
        max_size=4,
    ),
    DATES,
    FLOATS,
)
def test_filters_travel(kinds, date, number):
    """Any filter that options and expressions can make, as the text of `--where`."""
    made = {
        "taken": lambda text: Compare("taken", "<", date.replace(microsecond=0)),
        "width": lambda text: fields.comparison("width", ">", f"{abs(number):.6f}"),
        "name": lambda text: fields.comparison("name", "~", text or "x"),
        "near": lambda text: fields.near([f"{number:.9f}", str(round(number, 3)), "0.5"]),
        "in": lambda text: fields.below("/" + text.replace("\0", "")),
        "has": lambda text: Not(Has("gps")),
    }
    where = all_of([made[kind](text) for kind, text in kinds])
    assert sent(SearchRequest(where=where)).where == where


def test_requests_travel_with_their_vectors_bit_by_bit():
    vector = normalize(np.random.default_rng(0).standard_normal((1, 800)))[0]
    terms = [Term(text="a caf\u00e9 \udcff", weight=-0.5), Term(vector=vector, weight=1 / 3)]
    request = SearchRequest(terms, 7, "semantic", Has("gps"), instruction="Find it.", unique=True)
    found = sent(request)
    assert found.terms[0] == terms[0]
    assert found.terms[1].weight == 1 / 3 and np.array_equal(found.terms[1].vector, vector)
    assert found.terms[1].vector.dtype == np.float32
    assert replace(found, terms=(), good=(), bad=()) == replace(request, terms=())


def test_a_long_filter_travels():
    """Longer than what `--where` takes."""
    names = [fields.comparison("name", "~", "x" * 400) for _ in range(150)]
    where = any_of(names)
    assert len(str(where)) > MAX_EXPRESSION_CHARACTERS
    assert sent(SearchRequest(where=where)).where == where


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
        (struct.pack(">I", wire.MAX_FRAME_BYTES + 1), wire.BadFrame),
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
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", 10)
    with pytest.raises(wire.BadFrame):
        wire.send(ends[0], "x" * 20)
