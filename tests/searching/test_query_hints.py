"""Hints for words that a search does not follow."""

from __future__ import annotations

import shlex
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.filters.fields import comparison
from imgsearch.filters.options import filter_from
from imgsearch.searching.query_hints import period_in, query_hints
from imgsearch.searching.request import SearchRequest, Term

TODAY = date(2026, 11, 28)  # a Saturday


def hints(text: str, **options) -> str:
    return "\n".join(query_hints(SearchRequest([Term(text=text)], **options), TODAY))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a beach without people", "--not people"),
        ("without people", "--not people"),
        ("No people", "--not people"),
        ("a street with no cars", "--not cars"),
        ("dogs but not a cat", "--not cat"),
        ("anything except red cars", '--not "red cars"'),
        ("everything except for the dog", "--not dog"),
        ("a beach without people in the evening", "--not people"),
        ("a beach w/o any people, at night", "--not people"),
        ("a street without people or parked cars", '--not people --not "parked cars"'),
        ("a field without people and a dog", "--not people"),
        ("a square with no one", "--not people"),
        ("a beach without anyone", "--not people"),
        ("nobody on the beach", "--not people"),
        ("Strand ohne Menschen", "--not menschen"),
        ("пляж без людей", "--not людей"),
    ],
)
def test_an_exclusion(text, options):
    assert hints(text).endswith(f"To exclude: {options}")
    assert shlex.split(options)[::2] == ["--not"] * options.count("--not")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("summer 2012", "--after 2012-06 --before 2012-09"),
        ("skiing in winter of 2019", "--after 2019-12 --before 2020-03"),
        ("a birthday in May 2019", "--after 2019-05 --before 2019-06"),
        ("December 1999", "--after 1999-12 --before 2000-01"),
        ("Sept. 2019 harvest", "--after 2019-09 --before 2019-10"),
        ("oct 2019", "--after 2019-10 --before 2019-11"),
        ("5 May 2019", "--after 2019-05-05 --before 2019-05-06"),
        ("the 31st of December, 2019", "--after 2019-12-31 --before 2020-01-01"),
        ("May 5th, 2019", "--after 2019-05-05 --before 2019-05-06"),
        ("2019-05-04", "--after 2019-05-04 --before 2019-05-05"),
        ("4.5.2019", "--after 2019-05-04 --before 2019-05-05"),
        ("party 2019-05", "--after 2019-05 --before 2019-06"),
        ("christmas 2020", "--after 2020-12-24 --before 2020-12-27"),
        ("fireworks on New Year's Eve 2020", "--after 2020-12-31 --before 2021-01-01"),
        ("Lisbon 2023", "--after 2023 --before 2024"),
        ("2015", "--after 2015 --before 2016"),
        ("a dog in 2015 on a beach", "--after 2015 --before 2016"),
        ("between 2010 and 2012", "--after 2010 --before 2013"),
        ("school 2010-2012", "--after 2010 --before 2013"),
        ("since 2015", "--after 2015"),
        ("cars after 2015", "--after 2016"),
        ("cars before 1990", "--before 1990"),
        ("cars until 1990", "--before 1991"),
        ("a car of the 1990s", "--after 1990 --before 2000"),
        ("the 80s", "--after 1980 --before 1990"),
        ("fashion of the nineties", "--after 1990 --before 2000"),
        ("last year", "--after 2025 --before 2026"),
        ("this year", "--after 2026 --before 2027"),
        ("last month", "--after 2026-10 --before 2026-11"),
        ("last week", "--after 2026-11-16 --before 2026-11-23"),
        ("yesterday", "--after 2026-11-27 --before 2026-11-28"),
        ("last summer", "--after 2026-06 --before 2026-09"),
        ("last winter", "--after 2025-12 --before 2026-03"),
        ("last Christmas", "--after 2025-12-24 --before 2025-12-27"),
        ("last May", "--after 2026-05 --before 2026-06"),
        ("two years ago", "--after 2024 --before 2025"),
    ],
)
def test_a_date(text, options):
    assert hints(text).endswith(f"Taken then: {options}")
    words = shlex.split(options)
    values = {word[2:]: (value,) for word, value in zip(words[::2], words[1::2], strict=True)}
    assert filter_from(values) is not None, "the options are understood"


@pytest.mark.parametrize(
    "text",
    [
        "a dog",
        "a knot in a rope",
        "12019 things",
        "room 1234",
        "IMG_2012",
        "1920x1080 screenshot",
        "may",
        "summer",
        "the last supper",
        "a no parking sign",
        "a no-smoking sign",
        "forget-me-not flowers",
        "No 5",
        "not only dogs",
        "2000 people at a concert",
        "a dog, not",
        "February 31 1234",
    ],
)
def test_other_words_have_none(text):
    assert hints(text) == ""


def test_a_day_that_does_not_exist_is_read_as_less():
    assert hints("february 30, 2019").endswith("--after 2019 --before 2020")
    assert hints("2019-13-45") == ""


def test_dates_beside_a_filter_and_excluded_words_have_none():
    assert hints("summer 2012", where=comparison("taken", ">", "2012")) == ""
    excluded = SearchRequest([Term(text="no people in 2012", weight=-0.5)])
    assert query_hints(excluded, TODAY) == []


@given(st.text(max_size=80), st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_any_text_on_any_day(text, today):
    for words in (text, f"last {text}", f"without {text}", f"{text} 2012", f"5 may {text}"):
        query_hints(SearchRequest([Term(text=words)]), today)


@pytest.mark.parametrize("name", ["spring", "winter", "may", "christmas", "halloween"])
@given(today=st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_the_last_one_is_over_and_less_than_a_year_ago(name, today):
    found = period_in(f"last {name}", today)
    assert found is not None
    assert found[1].before <= today.isoformat()
    year_later = str(int(found[1].before[:4]) + 1) + found[1].before[4:]
    assert year_later > today.isoformat()[: len(year_later)]


def test_a_long_text_takes_no_time():
    text = "may " * 2500
    assert hints(text) == ""
    assert hints("no " * 3333) == ""
    assert len(hints("without " + "dogs or " * 1000)) < 100
    assert len(hints("without dogs or cats and " * 400).splitlines()) == 3
