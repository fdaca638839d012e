"""Words, exclusions and filters typed into a search box."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.filters.options import filter_from
from imgsearch.filters.parser import parse
from imgsearch.filters.query_text import QueryText, read_query_text
from tests.conftest import examples

FOLDERS = {"2019/rome": ["/p/2019/rome"], "rome": ["/p/2019/rome", "/q/rome"]}


def read(text: str) -> QueryText:
    return read_query_text(text, lambda path: FOLDERS.get(path, []))


@pytest.mark.parametrize(
    ("text", "words", "excluded", "filters"),
    [
        ("a dog on the beach", "a dog on the beach", (), ()),
        ("camera:canon", "", (), (("camera", "canon"),)),
        ('dog camera:"Canon EOS 7D" run', "dog run", (), (("camera", "Canon EOS 7D"),)),
        (
            "camera:canon after:2023 -people in:2019/rome rating>=4",
            "",
            ("people",),
            (
                ("camera", "canon"),
                ("after", "2023"),
                ("in", "/p/2019/rome"),
                ("where", "rating >= 4"),
            ),
        ),
        ("Camera:canon MIN-SIZE:10x20", "", (), (("camera", "canon"), ("min_size", "10x20"))),
        ("in:rome", "", (), (("in", "/p/2019/rome"), ("in", "/q/rome"))),
        ("-in:rome", "", (), (("where", 'not (in "/p/2019/rome" or in "/q/rome")'),)),
        ("-camera:canon", "", (), (("where", 'not camera ~ "canon"'),)),
        ("-has:gps", "", (), (("where", "not has gps"),)),
        ("width > 4000 boats", "boats", (), (("where", "width > 4000"),)),
        ("title:Łódź", "", (), (("where", 'title ~ "lodz"'),)),
        ("date:2023 stars=5", "", (), (("where", "taken >= 2023-01-01 and taken < 2024-01-01"),
                                       ("where", "rating = 5"))),
        ('name!~"IMG 1"', "", (), (("where", 'not name ~ "img 1"'),)),
        ('where:"taken < 2020 and not has gps"', "", (),
         (("where", "taken < 2020 and not has gps"),)),
        ('"camera:canon" -"red car"', '"camera:canon"', ("red car",), ()),
        ("12:30 note: x a<b http://a/b --x - e-mail", "12:30 note: x a<b http://a/b --x - e-mail",
         (), ()),
        ("size > the others", "size > the others", (), ()),
        ('"open quote camera:canon', '"open quote', (), (("camera", "canon"),)),
        ("-a -a -b", "", ("a", "b"), ()),
        ("   ", "", (), ()),
    ],
)  # fmt: skip
def test_words_exclusions_and_filters_are_distinguished(
    text: str, words: str, excluded: tuple[str, ...], filters: tuple[tuple[str, str], ...]
) -> None:
    found = read(text)
    assert (found.words, found.excluded, found.filters) == (words, excluded, filters)
    assert found.faults == ()
    listed: dict[str, list[str]] = {}
    for name, value in found.filters:
        listed.setdefault(name, []).append(value)
    filter_from(listed)  # each value is one that the option takes


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("type:banana", "there is no picture format 'banana'"),
        ("after:yesterday", "'yesterday' is not a valid date"),
        ("rating>=four", "'four' is not a number"),
        ("camera>=4", "camera cannot be compared with >="),
        ("in:nowhere", "the library has no folder 'nowhere'"),
        ("-has:wings", "there is no 'has wings'"),
        ('where:"taken <"', "the expression ends too early"),
    ],
)
def test_a_filter_without_sense_is_a_fault_and_not_a_word(text: str, error: str) -> None:
    found = read(f"a dog {text}")
    (fault,) = found.faults
    assert (found.words, found.filters) == ("a dog", ())
    assert fault.text == text
    assert fault.error.startswith(error)
    assert fault.hint


def test_the_same_comparison_is_the_same_filter_as_of_where() -> None:
    for text in ("rating>=4", 'camera~"canon eos"', "taken<2020-05", "size>2MB", "kind=photo"):
        ((name, value),) = read(text).filters
        assert (name, parse(value)) == ("where", parse(text))


def test_many_folders_of_a_name_are_refused() -> None:
    found = read_query_text("in:a", lambda path: [f"/p/{n}/a" for n in range(33)])
    assert found.faults[0].error == "33 folders of the library are called 'a'"


@settings(max_examples=examples(200), deadline=None)
@given(st.text(alphabet='ab-:"\\<>=~! in', max_size=60))
def test_any_text_is_read_and_its_words_stay_words(text: str) -> None:
    found = read(text)
    again = read(found.words)
    assert (again.words, again.filters, again.faults) == (found.words, (), ())


@pytest.mark.parametrize("part", ["-", '"', "a:", "in=", "rating > ", 'camera:"\\', " "])
def test_long_texts_take_no_time(part: str) -> None:
    started = time.monotonic()
    read((part * 2000)[:2000])
    assert time.monotonic() - started < 1
