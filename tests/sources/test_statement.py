"""Which source counts where several state something."""

from __future__ import annotations

import itertools
from datetime import datetime

import pytest

from imgsearch.records import FILE_NAME
from imgsearch.sources.statement import (
    CAPTION_ORDER,
    COMMENT,
    DATE_ORDER,
    EXIF,
    IPTC,
    SIDECAR,
    TAKEOUT,
    XMP,
    Moment,
    Statement,
    merged,
)

EPOCH = Moment(datetime(1970, 1, 1))


def at(year: int, precision: str = "second", offset: int | None = None) -> Moment:
    return Moment(datetime(year, 1, 1), precision, offset)


def taken(*statements: Statement):
    """The date and its source, which must not depend on the order of the statements."""
    answers = {merged(order)[0].taken for order in itertools.permutations(statements)}
    assert len(answers) == 1
    return answers.pop(), merged(statements)[1]


def test_nothing_is_stated():
    assert merged([]) == (Statement(), None)


@pytest.mark.parametrize("first, second", [*itertools.pairwise(DATE_ORDER)])
def test_dates_and_positions_follow_the_order(first, second):
    one = Statement(first, taken=at(2001), position=(1, 1))
    two = Statement(second, taken=at(2002), position=(2, 2))
    assert taken(one, two) == (at(2001), first)
    assert merged([two, one])[0].position == (1, 1)


@pytest.mark.parametrize("first, second", [*itertools.pairwise(CAPTION_ORDER)])
def test_captions_follow_the_order(first, second):
    one = Statement(first, title="a", description="a", city="a", state="a", country="a", rating=-1)
    two = Statement(second, title="b", description="b", city="b", state="b", country="b", rating=4)
    result, _ = merged([two, one])
    assert (result.title, result.description, result.rating) == ("a", "a", -1)
    assert (result.city, result.state, result.country) == ("a", "a", "a")
    assert merged([Statement(first), two])[0].title == "b"


def test_keywords_and_people_are_the_union():
    result, _ = merged([
        Statement(EXIF, keywords=("c", "a")),
        Statement(XMP, keywords=("a", "b"), people=("Ann",)),
        Statement(TAKEOUT, people=("Bob", "Ann")),
    ])  # fmt: skip
    assert (result.keywords, result.people) == (("a", "b", "c"), ("Ann", "Bob"))


def test_exposure_precedes_digitizing_and_editing_in_whatever_source():
    edited, digitized = Statement(EXIF, edited=at(2024)), Statement(SIDECAR, digitized=at(2015))
    named, original = Statement(FILE_NAME, named=at(2019)), Statement(XMP, taken=at(2009))
    assert taken(edited, digitized, named, original) == (at(2009), XMP)
    assert taken(edited, digitized, named) == (at(2015), SIDECAR)
    assert taken(edited, named) == (at(2024), EXIF)
    assert taken(named) == (at(2019), FILE_NAME)


def test_an_edit_does_not_stand_for_an_unknown_exposure():
    edited = Statement(EXIF, taken_unknown=True, edited=at(2024))
    assert taken(edited) == (None, None)
    assert taken(edited, Statement(FILE_NAME, named=at(2019))) == (at(2019), FILE_NAME)


def test_the_zero_of_unix_time_counts_last():
    unset = Statement(EXIF, taken=EPOCH)
    assert taken(unset, Statement(FILE_NAME, named=at(2019))) == (at(2019), FILE_NAME)
    assert taken(unset) == (EPOCH, EXIF)
    assert Moment(datetime(1970, 1, 1, 1), "second", 60).is_epoch
    assert not Moment(datetime(1970, 1, 1, 1)).is_epoch


@pytest.mark.parametrize("precision", ["year", "month", "day"])
def test_a_date_of_1970_without_a_time_is_not_the_unset_clock(precision: str) -> None:
    written = Moment(datetime(1970, 1, 1), precision)
    stated = Statement(source=EXIF, taken=written, edited=Moment(datetime(2024, 5, 6)))
    assert merged([stated])[0].taken == written


def test_a_source_that_says_the_same_more_exactly_replaces_one_that_says_less():
    month = Statement(EXIF, taken=at(1965, "month"))
    assert taken(month, Statement(XMP, taken=at(1965, offset=60))) == (at(1965, offset=60), XMP)
    assert taken(month, Statement(XMP, taken=at(1966))) == (at(1965, "month"), EXIF)
    assert taken(month, Statement(IPTC, taken=at(1965, "year"))) == (at(1965, "month"), EXIF)


def test_unrated_and_empty_statements_do_not_hide_others():
    result, _ = merged([Statement(XMP, rating=None, title=""), Statement(COMMENT, title="x")])
    assert (result.title, result.rating) == ("x", None)
