"""Damaged values in the catalog: a sentence, the row named, and answers from all others."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from imgsearch.catalog import Catalog, health, open_catalog
from imgsearch.catalog.overview import Overview
from imgsearch.errors import CatalogError
from imgsearch.library import Library
from imgsearch.searching.hits import hit_to_plain
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.settings import Settings
from imgsearch.sources import dates
from tests.fakes import SPACE, MemoryFolder, held, ingest, vector_of

NAMES = {f"{n}.jpg" for n in range(5)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = MemoryFolder()
    pictures.files = {name: (f"content {name}", 1) for name in sorted(NAMES)}
    with closing(open_catalog(str(tmp_path), create=True)) as catalog:
        ingest(catalog, pictures)
        assert catalog.check() == []
    return tmp_path


def damage(folder: Path, statement: str) -> None:
    """Change a value as a bad disk would: no trigger sees it."""
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as db:
        triggers = db.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        assert db.execute(statement).rowcount > 0
        for _, sql in triggers:
            db.execute(sql)
        db.commit()


@pytest.mark.parametrize(
    "value",
    [
        "taken_at = '2O20-13-45 00:00:00'",
        "taken_at = '2020-02-31 00:00:00'",
        "taken_at = x'ff'",
        "width = 'wide'",
        "width = x'00'",
        "latitude = 'north'",
        "title = CAST(x'ff41' AS TEXT)",
        "title = x'ff41'",
        "keywords = x'00'",
        "mtime_ns = 'yesterday'",
        "content_hash = x'00'",
        "rating = 'five'",
    ],
)
def test_a_damaged_value_of_a_picture_costs_no_other(folder: Path, value: str) -> None:
    damage(folder, f"UPDATE images SET {value} WHERE path = '2.jpg'")
    with closing(open_catalog(str(folder))) as catalog:
        (fault,) = catalog.check()
        column = value.split(maxsplit=1)[0]
        assert "of images (2.jpg)" in fault and f"{column} is damaged" in fault
        assert {each.file.path for each in catalog.get(range(1, 6)).values()} == NAMES - {"2.jpg"}
        assert catalog.damaged == 1
    with closing(Library(Settings(library=str(folder), index="memory"))) as library:
        for request in (SearchRequest(), SearchRequest([Term(vector=vector_of("x"))])):
            result = library.search(request)
            assert {hit.image.file.path for hit in result} == NAMES - {"2.jpg"}
            assert any("imgsearch doctor" in note for note in result.notes)


@pytest.mark.parametrize(
    "value",
    [
        "taken_at = '0019-01-01 00:00:00'",
        "taken_at = '9999-12-31 23:59:59'",
        "taken_precision = 'century'",
        "utc_offset_minutes = 100000",
        "latitude = 90.5",
        "latitude = -1e30",
        "longitude = 9e999",
        "width = 0",
        "height = -5",
        "orientation = 9",
        "rating = 99",
        "size = -1",
    ],
)
def test_a_value_out_of_its_range_is_named_and_does_not_stop_a_search(
    folder: Path, value: str
) -> None:
    damage(folder, f"UPDATE images SET {value} WHERE path = '2.jpg'")
    with closing(open_catalog(str(folder))) as catalog:
        (fault,) = catalog.check()
        assert f"of images (2.jpg): {value.split(maxsplit=1)[0]} is damaged" in fault
    with closing(Library(Settings(library=str(folder), index="memory"))) as library:
        for request in (SearchRequest(), SearchRequest([Term(vector=vector_of("x"))])):
            for hit in library.search(request):
                json.dumps(hit_to_plain(hit))
            assert {hit.image.file.path for hit in library.search(request)} >= NAMES - {"2.jpg"}


def test_the_years_are_those_that_are_read() -> None:
    assert health.YEARS == dates.YEARS


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE measures SET sharpness = 7",
        "UPDATE measures SET brightness = -1",
        "UPDATE measures SET kind = 'painting'",
        "UPDATE spaces SET dimension = 0",
        "UPDATE roots SET exclude = '[1]'",
        """UPDATE roots SET mounts = '{"a": 1}'""",
        "UPDATE saved_searches SET request = 'x'",
    ],
)
def test_ranges_of_other_tables(folder: Path, statement: str) -> None:
    measured = "INSERT INTO measures SELECT DISTINCT content_hash, .5, .5, .5, .5, .5, 9, 'photo'"
    saved = "INSERT INTO saved_searches VALUES (1, 'a', 'a', '{}', '2026-01-01 00:00:00')"
    damage(folder, f"{measured} FROM images")
    damage(folder, saved)
    with closing(open_catalog(str(folder))) as catalog:
        assert catalog.check() == []
    damage(folder, statement)
    with closing(open_catalog(str(folder))) as catalog:
        assert f"{statement.split()[3]} is damaged" in catalog.check()[0]


@pytest.mark.parametrize("value", ["2O20-13-45", "2020", "9999999", "2020-13-01 00:00:00", ""])
def test_a_damaged_date_is_in_no_period(folder: Path, value: str) -> None:
    with closing(open_catalog(str(folder))) as catalog:
        before = catalog.months()
    damage(folder, f"UPDATE images SET taken_at = '{value}' WHERE path = '2.jpg'")
    with closing(open_catalog(str(folder))) as catalog:
        assert sum(each.count for each in catalog.months()) <= sum(each.count for each in before)
        assert all(each.month is None or 1 <= each.month <= 12 for each in catalog.months())


@pytest.mark.parametrize("vector", ["x'0011'", "'text'", "zeroblob(1000)", "x'" + "007e" * 8 + "'"])
def test_a_damaged_vector_costs_no_other(folder: Path, vector: str) -> None:
    damage(folder, f"UPDATE embeddings SET vector = {vector} WHERE image_id = 3")
    with closing(open_catalog(str(folder))) as catalog:
        (fault,) = catalog.check()
        assert "1 vectors of toy" in fault and "ids 3" in fault
        assert len(held(catalog)) == 4


@pytest.mark.parametrize(
    "statement, row",
    [
        ("UPDATE roots SET exclude = '[nothing'", "row 1 of roots (/photos): exclude"),
        ("UPDATE roots SET mounts = '5'", "row 1 of roots (/photos): mounts"),
        ("UPDATE roots SET scanned_at = 'soon'", "row 1 of roots (/photos): scanned_at"),
        ("UPDATE runs SET started_at = 'soon'", "row 1 of runs: started_at"),
        ("UPDATE runs SET counts = '{'", "row 1 of runs: counts"),
    ],
)
def test_other_tables(folder: Path, statement: str, row: str) -> None:
    damage(folder, statement)

    def use(catalog: Catalog) -> None:
        catalog.roots()
        catalog.last_run()

    with closing(open_catalog(str(folder))) as catalog:
        (fault,) = catalog.check()
        assert fault.startswith(f"{row} is damaged")
        with pytest.raises(CatalogError, match="a value in the catalog is damaged") as caught:
            use(catalog)
        assert "imgsearch doctor" in caught.value.hint

    def look(overview: Overview) -> None:
        overview.roots()
        overview.summary()

    with closing(Overview(str(folder))) as overview, pytest.raises(CatalogError):
        look(overview)


def test_many_damaged_rows_are_counted(folder: Path) -> None:
    with closing(open_catalog(str(folder))) as catalog:
        pictures = MemoryFolder()
        pictures.files = {f"{n}.jpg": (f"content {n}", 1) for n in range(60)}
        ingest(catalog, pictures)
        damage(folder, "UPDATE images SET added_at = '2O26-1x-28'")
        faults = catalog.check()
        assert len(faults) == 21 and faults[-1] == "40 more values of images are damaged"
        assert len(catalog.vector_ids(SPACE)) == 60
