"""Measures in the catalog: filters, orders, copies, and pictures without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select

from imgsearch.catalog import open_catalog
from imgsearch.catalog.tables import measures
from imgsearch.errors import QueryError
from imgsearch.filters.options import filter_from
from imgsearch.filters.parser import parse
from imgsearch.records import Known, Measures, RootRecord
from tests.conftest import sqlite_only
from tests.fakes import DECODER, SPACE, encoded

DULL = Measures(0.1, 0.9, 0.0, 0.4, 0.05, 3.0, "document")
SHARP = Measures(0.8, 0.4, 0.02, 0.0, 0.25, 61.5, "photo")


@pytest.fixture
def catalog(tmp_path, catalog_url):
    catalog = open_catalog(str(tmp_path / "library"), create=True, url=catalog_url)
    yield catalog
    catalog.close()


def write(catalog, *items):
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit(items)
        writer.end_run("done", {})


def with_measures(path, content, found):
    return replace(encoded(path, content), measures=found)


def names(catalog, expression):
    ids = catalog.select(parse(expression))
    return {record.file.path for record in catalog.get(ids.tolist()).values()}


@pytest.fixture
def filled(catalog):
    write(
        catalog,
        with_measures("dull.jpg", "dull", DULL),
        with_measures("sharp.jpg", "sharp", SHARP),
        encoded("old.jpg", "old"),
    )
    return catalog


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sharpness < .2", {"dull.jpg"}),
        ('sharpness < .2 and kind = "screenshot"', set()),
        ("kind in (photo, screenshot)", {"sharp.jpg"}),
        ("kind != document", {"sharp.jpg", "old.jpg"}),
        ("colorfulness > 60", {"sharp.jpg"}),
        ("brightness >= 0.9 and highlights = 0.4", {"dull.jpg"}),
        ("not contrast > .1", {"dull.jpg", "old.jpg"}),
        ("shadows > 0.01", {"sharp.jpg"}),
        ("has measures", {"dull.jpg", "sharp.jpg"}),
        ("not has measures", {"old.jpg"}),
        ("pixels >= 12 and pixels < 13", {"dull.jpg", "sharp.jpg", "old.jpg"}),
    ],
)
def test_filters_by_measures(filled, expression, expected):
    assert names(filled, expression) == expected
    assert parse(str(parse(expression))) == parse(expression)


def test_the_option_kind(filled):
    where = filter_from({"kind": ["photo", "document"]})
    assert len(filled.select(where)) == 2
    with pytest.raises(QueryError, match="there is no kind 'screenshots'") as caught:
        filter_from({"kind": ["screenshots"]})
    assert "Did you mean screenshot?" in caught.value.hint


def test_orders_by_measures_have_pictures_without_last(filled):
    paths = {key: record.file.path for key, record in filled.get(range(1, 4)).items()}

    def order(sort):
        listed = [paths[key] for key in filled.newest_ids(None, 10, sort)]
        assert [paths[key] for key in filled.ordered(list(paths), sort)] == listed
        return listed

    assert order("sharpness") == ["dull.jpg", "sharp.jpg", "old.jpg"]
    assert order("-sharpness") == ["sharp.jpg", "dull.jpg", "old.jpg"]
    assert order("-brightness") == ["dull.jpg", "sharp.jpg", "old.jpg"]
    assert order("-pixels") == ["dull.jpg", "old.jpg", "sharp.jpg"]


def test_a_library_without_measures_answers_with_a_sentence(catalog):
    assert len(catalog.select(parse("sharpness < 1"))) == 0, "empty: there is nothing to measure"
    write(catalog, encoded("a.jpg", "a"))
    for ask in (
        lambda: catalog.select(parse("not (taken > 2020 or sharpness < .2)")),
        lambda: catalog.count(parse("kind = photo")),
        lambda: catalog.newest_ids(None, 5, "-sharpness"),
        lambda: catalog.ordered([1], "contrast"),
    ):
        with pytest.raises(QueryError, match="have not been measured") as caught:
            ask()
        assert "imgsearch index --measure" in caught.value.hint


def test_records_have_their_measures(filled):
    found = {record.file.path: record.measures for record in filled.get([1, 2, 3]).values()}
    assert found == {"dull.jpg": DULL, "sharp.jpg": SHARP, "old.jpg": None}
    located = filled.locate("/photos/sharp.jpg")
    assert located is not None and located.measures == SHARP
    assert filled.unmeasured_count() == 1


def test_measures_belong_to_the_bytes(filled):
    copy = Known(encoded("copy.jpg", "sharp").file, "sharp")
    write(filled, copy)
    assert names(filled, "sharpness > .5") == {"sharp.jpg", "copy.jpg"}
    write(filled, with_measures("sharp.jpg", "other", DULL))
    assert names(filled, "sharpness > .5") == {"copy.jpg"}, "the file has other bytes now"
    write(filled, encoded("copy.jpg", "third"))
    with filled._read() as connection:
        kept = set(connection.execute(select(measures.c.content_hash)).scalars())
    assert kept == {"dull", "other"}, "those of bytes that are gone are deleted"
    with filled.writer() as writer:
        writer.forget_root("/photos")
    with filled._read() as connection:
        assert connection.execute(select(measures)).all() == []


@sqlite_only
def test_a_damaged_measure_costs_no_other_picture(filled):
    with filled._engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE measures SET sharpness = 'x' WHERE content_hash = 'dull'"
        )
    assert {record.file.path for record in filled.get([1, 2, 3]).values()} == {
        "sharp.jpg",
        "old.jpg",
    }
    assert any("measures" in fault for fault in filled.check())


def test_unmeasured_pictures_are_listed_once_per_content(filled):
    write(filled, Known(encoded("b/old copy.jpg", "old").file, "old"), encoded("b/new.jpg", "new"))
    assert filled.unmeasured_count() == 3
    assert filled.unmeasured_count([("/photos", "")]) == 2
    assert filled.unmeasured_count([("/photos", "b")]) == 2
    listed = filled.unmeasured("/photos", "", "", 10)
    assert [each.content_hash for each in listed] == ["new", "old"]
    assert [each.content_hash for each in filled.unmeasured("/photos", "", "new", 10)] == ["old"]
    with filled.writer() as writer:
        writer.put_measures({"new": SHARP, "old": DULL})
    assert filled.unmeasured_count() == 0
    assert np.array_equal(filled.select(parse("has measures")), filled.all_ids())
