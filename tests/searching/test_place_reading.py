"""Places and dates in the words of a query."""

from __future__ import annotations

from datetime import date

import pytest

from imgsearch.filters.parser import parse
from imgsearch.searching.place_reading import PlaceReading, place_reading
from imgsearch.searching.request import SearchRequest, Term

TODAY = date(2026, 11, 29)
PLACES = {"lisbon", "portugal", "nice", "new york city", "sao paulo", "reading"}


def reading(text: str, **options) -> PlaceReading | None:
    request = SearchRequest([Term(text=text)], **options)
    return place_reading(request, lambda keys: PLACES & set(keys), TODAY)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("Lisbon 2023", "Read as: place Lisbon, year 2023."),
        ("2023 in lisbon", "Read as: place lisbon."),  # a date is read where a hint would be
        ("lisbon in 2023", "Read as: place lisbon, year 2023."),
        ("photos from Lisbon", "Read as: place Lisbon."),
        ("LISBON, May 2023", "Read as: place LISBON, taken from 2023-05 and before 2023-06."),
        ("São Paulo since 2020", "Read as: place São Paulo, taken from 2020."),
        ("New York City before 2010", "Read as: place New York City, taken before 2010."),
        ("beach in Nice", "Read as: place Nice."),
        ("Beach Lisbon 2023", "Read as: place Lisbon, year 2023."),
        ("Portugal last year", "Read as: place Portugal, year 2025."),
        ("a nice beach", None),
        ("a woman reading a book", None),
        ("reading a book 2023", None),
        ("Madrid 2023", None),
        ("2023", None),
        ("x " * 40 + "in Lisbon", None),
    ],
)
def test_what_a_query_is_read_as(text, note):
    found = reading(text)
    assert (found.note if found else None) == note


def test_the_filter_of_a_reading():
    assert reading("Lisbon 2023").where == parse(
        "(city = lisbon or state = lisbon or country = lisbon) and taken >= 2023 and taken < 2024"
    )


def test_pictures_and_exclusions_beside_the_words_are_no_reason_to_guess():
    two = SearchRequest([Term(text="Lisbon"), Term(text="2023")])
    assert place_reading(two, lambda keys: PLACES & set(keys), TODAY) is None
    excluded = SearchRequest([Term(text="Lisbon", weight=-1.0)])
    assert place_reading(excluded, lambda keys: PLACES & set(keys), TODAY) is None
