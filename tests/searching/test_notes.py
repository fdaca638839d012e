"""Hints for words that a search does not follow."""

from __future__ import annotations

import pytest

from imgsearch.filters.fields import comparison
from imgsearch.records import QueryReading
from imgsearch.searching.notes import reading_notes, wording_notes
from imgsearch.searching.request import SearchRequest, Term


def hints(text: str, **options) -> str:
    return "\n".join(wording_notes(SearchRequest([Term(text=text)], **options)))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a beach without people", "--not people"),
        ("a street with no cars", "--not cars"),
        ("dogs but not a cat", "--not cat"),
        ("anything except red cars", '--not "red cars"'),
        ("summer 2012", "--after 2012-06 --before 2012-09"),
        ("skiing in winter of 2019", "--after 2019-12 --before 2020-03"),
        ("a birthday in May 2019", "--after 2019-05 --before 2019-06"),
        ("December 1999", "--after 1999-12 --before 2000-01"),
        ("Lisbon 2023", "--after 2023 --before 2024"),
    ],
)
def test_a_hint_has_the_option(text, hint):
    assert hints(text).endswith(hint)


@pytest.mark.parametrize(
    "text", ["a dog", "a knot in a rope", "12019 things", "room 1234", "IMG_2012", "may"]
)
def test_other_words_have_none(text):
    assert hints(text) == ""


def test_dates_beside_a_filter_and_excluded_words_have_none():
    assert hints("summer 2012", where=comparison("taken", ">", "2012")) == ""
    assert wording_notes(SearchRequest([Term(text="no people", weight=-0.5)])) == []


def test_readings():
    known = {"a dog": QueryReading("a dog")}
    assert reading_notes(known, False) == ()
    foreign = {"Hund": QueryReading("dog")}
    assert reading_notes(foreign, False) == ("Read as: dog.",)
    unknown = {"xqz": QueryReading("xqz", ("xqz",), False, "xyz")}
    assert reading_notes(unknown, True) == (
        "The model does not know 'xqz', and nothing else in the query.",
        "Did you mean: xyz?",
    )
