"""Notes on how the model reads a query."""

from __future__ import annotations

from imgsearch.records import QueryReading
from imgsearch.searching.notes import reading_notes


def test_readings():
    known = {"a dog": QueryReading("a dog")}
    assert reading_notes(known, False, False) == ()
    foreign = {"Hund": QueryReading("dog")}
    assert reading_notes(foreign, False, False) == ("Read as: dog.",)
    unknown = {"xqz": QueryReading("xqz", ("xqz",), False, "xyz")}
    assert reading_notes(unknown, True, False) == (
        "The model does not know 'xqz', and nothing else in the query.",
        "Did you mean: xyz?",
    )


def test_a_correction_is_shown_unless_pictures_have_the_words():
    misspelled = {"a moutain": QueryReading("a moutain", suggestion="a mountain")}
    for refused in (True, False):
        assert reading_notes(misspelled, refused, False) == ("Did you mean: a mountain?",)
        assert reading_notes(misspelled, refused, True) == ()
