"""Notes on how the model reads a query."""

from __future__ import annotations

from imgsearch.records import QueryReading
from imgsearch.searching.notes import reading_notes


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
