"""Dates as files write them, each as far as it is known."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.sources.dates import is_unknown, read_moment, read_offset


def moment(text: str, offset: str = ""):
    found = read_moment(text, offset)
    if found is None:
        return None
    length = {"year": 4, "month": 7, "day": 10, "second": 19}[found.precision]
    return found.start.isoformat()[:length], found.utc_offset_minutes


@pytest.mark.parametrize(
    "text, shown",
    [
        ("2019:03:21 11:04:22", "2019-03-21T11:04:22"),
        ("2019:03:21 11:04:22.75", "2019-03-21T11:04:22"),
        ("2019:03:21 11:04", "2019-03-21T11:04:00"),
        ("2019:03:21", "2019-03-21"),
        ("2019:03:21   :  :  ", "2019-03-21"),
        ("2019:3:1 1:02:03", "2019-03-01T01:02:03"),
        ("2019:3:1 1:2:3", "2019-03-01T01:02:03"),
        ("2019:03:21:11:04:22", "2019-03-21T11:04:22"),
        ("1965:07:00 00:00:00", "1965-07"),
        ("1965:07:     :  :  ", "1965-07"),
        ("1965:07:   12:30:00", "1965-07"),
        ("1966:00:00 00:00:00", "1966"),
        ("1966:  :     :  :  ", "1966"),
        ("2019:13:01 10:00:00", "2019"),
        ("2019:02:30 10:00:00", "2019-02"),
        ("2011:02:06 24:10:05", "2011-02-06"),
        ("2011:02:06 12:60:05", "2011-02-06"),
        ("2011:02:06 23:59:60", "2011-02-06T23:59:59"),
        ("2011:02:06 02:10:05 PM", "2011-02-06T14:10:05"),
        ("2011:02:06 12:10:05 AM", "2011-02-06T00:10:05"),
        ("2011:02:06 12:10:05 p.m.", "2011-02-06T12:10:05"),
        ("2009", "2009"),
        ("2009-05", "2009-05"),
        ("2009-05-00", "2009-05"),
        ("2009-05-04", "2009-05-04"),
        ("2009-05-04T12:01", "2009-05-04T12:01:00"),
        ("20090504", "2009-05-04"),
        ("20090500", "2009-05"),
        ("20090504 120102", "2009-05-04T12:01:02"),
        ("20090504T120102", "2009-05-04T12:01:02"),
        ("20090504120102", "2009-05-04T12:01:02"),
        ("21.03.2019 11:04", "2019-03-21T11:04:00"),
        ("21/03/2019", "2019-03-21"),
        ("03/21/2019", "2019-03-21"),
        ("04/05/2019 10:10", "2019"),
        ("Thu Mar 21 11:04:22 2019", "2019-03-21T11:04:22"),
        ("21 March 2019", "2019-03-21"),
    ],
)
def test_a_date_is_kept_as_far_as_it_is_valid(text, shown):
    assert moment(text) == (shown, None)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("2009-05-04T12:01:02.5+02:00", ("2009-05-04T12:01:02", 120)),
        ("2009-05-04T12:01:02-0330", ("2009-05-04T12:01:02", -210)),
        ("2009-05-04T12:01:02Z", ("2009-05-04T12:01:02", 0)),
        ("20090504 120102+0200", ("2009-05-04T12:01:02", 120)),
        ("Thu, 21 Mar 2019 11:04:22 +0100", ("2019-03-21T11:04:22", 60)),
        ("Thu, 21 Mar 2019 11:04:22 GMT", ("2019-03-21T11:04:22", 0)),
        ("2009-05-04T12:01:02+25:00", ("2009-05-04T12:01:02", None)),
    ],
)
def test_the_time_zone_is_kept_and_the_time_is_local(text, shown):
    assert moment(text) == shown


def test_a_time_zone_from_a_tag_of_its_own():
    assert moment("2019:03:21 11:04:22", "+05:45") == ("2019-03-21T11:04:22", 345)
    assert moment("2019-03-21T11:04:22Z", "+05:45") == ("2019-03-21T11:04:22", 0)
    assert moment("2019:03:21", "+05:45") == ("2019-03-21", None), "a day has no zone"
    assert [read_offset(text) for text in ("", "east", "+2", "-00:60")] == [None] * 4


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "1825:01:01 00:00:00", "2201:01:01 00:00:00", "123456789012", "12:30:00",
     "0000:05:04 10:00:00"],
)  # fmt: skip
def test_what_is_not_a_date(text):
    assert moment(text) is None and not is_unknown(text)


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "    :  :     :  :  ", " ", "0000-00-00"])
def test_a_date_that_is_written_as_unknown(text):
    assert moment(text) is None and is_unknown(text)


@given(st.text(max_size=60) | st.from_regex(r"[0-9: TZ+.-]{0,30}", fullmatch=True))
def test_random_texts_never_raise(text):
    found = read_moment(text, text)
    assert found is None or isinstance(found.start, datetime)
