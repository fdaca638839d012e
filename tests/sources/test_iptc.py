"""IPTC-IIM datasets."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from imgsearch.sources.iptc import read_iptc, resources
from imgsearch.sources.statement import IPTC, Moment, Statement
from tests.sources.metadata_files import iptc, read, resource, with_iptc


def test_texts_in_utf8_and_in_latin1():
    found = read_iptc(
        iptc((2, 5, "Fähre".encode()), (2, 120, "Übers Meer".encode("latin-1")),
             (2, 25, b"ferry"), (2, 25, b"sea"), (2, 90, b"Wien"), (2, 95, b"W"), (2, 101, b"A"))
    )  # fmt: skip
    assert (found.title, found.description) == ("Fähre", "Übers Meer")
    assert found.keywords == ("ferry", "sea")
    assert (found.city, found.state, found.country) == ("Wien", "W", "A")


def test_dates():
    found = read_iptc(iptc((2, 55, b"20090504"), (2, 60, b"120102+0200"), (2, 62, b"20150000")))
    assert found.taken == Moment(datetime(2009, 5, 4, 12, 1, 2), "second", 120)
    assert found.digitized == Moment(datetime(2015, 1, 1), "year")
    assert read_iptc(iptc((2, 55, b"00000000"))).taken_unknown
    assert read_iptc(iptc((2, 60, b"120102"))).taken is None, "a time without a date"


def test_a_dataset_with_an_extended_size():
    assert read_iptc(b"\x1c\x02\x05\x80\x04\0\0\0\x03abc" + iptc((2, 25, b"x"))) == Statement(
        IPTC, title="abc", keywords=("x",)
    )


def test_the_headline_stands_for_a_missing_title():
    assert read_iptc(iptc((2, 105, b"News"))).title == "News"
    both = read_iptc(iptc((2, 5, b"Name"), (2, 105, b"News")))
    assert (both.title, both.description) == ("Name", "News")


def test_resources_of_photoshop():
    data = resource(1060, b"odd") + resource(1028, b"even")
    assert list(resources(data)) == [(1060, b"odd"), (1028, b"even")]
    assert list(resources(data[:-3]))[-1][0] == 1028 and list(resources(b"8BIM")) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 255), st.binary(max_size=40))))
def test_random_datasets_never_raise(datasets):
    read(with_iptc(*datasets))


@given(st.binary(max_size=200))
def test_random_bytes_never_raise(data):
    read_iptc(b"\x1c\x02" + data)
    list(resources(b"8BIM" + data))
