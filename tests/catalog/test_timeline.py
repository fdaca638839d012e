"""Periods with covers, anniversaries and what was added last."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from imgsearch.catalog import Catalog, timeline
from imgsearch.catalog.engine import writing
from imgsearch.catalog.sqlite_file import FILE
from imgsearch.filters.parser import parse
from imgsearch.records import Period, years_of
from tests.conftest import sqlite_only
from tests.fakes import MemoryFolder, ingest

TAKEN = {
    1: ("2014-07-09 10:00:00.000000", "second", "present"),
    2: ("2014-07-01 00:00:00.000000", "month", "present"),
    3: ("2014-01-01 00:00:00.000000", "year", "present"),
    4: ("2012-07-09 08:00:00.000000", "day", "present"),
    5: ("2012-07-09 09:00:00.000000", "second", "gone"),
    6: (None, None, "present"),
}


@pytest.fixture
def dated(catalog: Catalog) -> Catalog:
    folder = MemoryFolder()
    folder.files = {f"{number}.jpg": (f"content {number}", 1) for number in TAKEN}
    ingest(catalog, folder)
    query = text(
        "UPDATE images SET taken_at = :t, taken_precision = :p, status = :s WHERE path = :f"
    )
    with writing(catalog._engine) as connection:
        for number, (taken, precision, status) in TAKEN.items():
            values = {"t": taken, "p": precision, "s": status, "f": f"{number}.jpg"}
            connection.execute(query, values)
    return catalog


def test_months_and_years_count_what_a_filter_finds(dated: Catalog) -> None:
    months = dated.months()
    assert months == [Period(2014, 7, 2, 1), Period(2014, None, 1, 3), Period(2012, 7, 1, 4)]
    assert years_of(months) == [Period(2014, None, 3, 1), Period(2012, None, 1, 4)]
    for each, end in zip((months[0], months[2]), ("2014-08", "2012-08"), strict=True):
        found = dated.select(parse(f"taken >= {each.year}-{each.month:02} and taken < {end}"))
        assert len(found) == each.count and each.cover in found


def test_months_are_counted_with_and_without_a_filter(dated: Catalog) -> None:
    whole = {(2014, 7): 2, (2014, 0): 1, (2012, 7): 1}
    assert dated.month_counts(None) == whole
    assert dated.undated_count() == 1
    assert dated.month_counts(parse("taken > 1900")) == whole
    assert dated.month_counts(parse("taken > 2013")) == {(2014, 7): 2, (2014, 0): 1}


def test_a_day_needs_a_date_that_is_known_to_the_day(dated: Catalog) -> None:
    assert dated.on_this_day("07-09", [2014, 2013, 2012], 3, 9) == [1, 4]
    assert dated.on_this_day("07-01", [2014], 3, 9) == []
    assert dated.on_this_day("01-01", [2014], 3, 9) == []
    assert dated.on_this_day("07-09", [2014, 2012], 3, 1) == [1]
    assert dated.on_this_day("02-29", [2014, 2012], 3, 9) == []


def test_what_was_added_last_comes_first(dated: Catalog) -> None:
    assert dated.latest_added(3) == [6, 4, 3]


@sqlite_only
def test_their_number_is_bounded_and_each_query_seeks(
    dated: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MAX_PERIODS", 2)
    assert len(dated.months()) == 2
    db = sqlite3.connect(Path(dated.folder) / FILE)
    for query, values in (
        (timeline._LATEST, ("~",)),
        (timeline._COUNT, ("2014", "2015")),
        (timeline._ADDED, (3,)),
    ):
        plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values))
        assert "TEMP B-TREE" not in plan, plan
        assert "ix_images_status_taken_at" in plan or "SCAN images" in plan, plan
    db.close()
