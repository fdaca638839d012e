"""Counts of pictures by what they can be filtered by."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from imgsearch.filters.parser import parse
from imgsearch.records import ImageMetadata, PlaceCount, RootRecord
from tests.fakes import DECODER, SPACE, encoded


def test_partial_dates_are_counted_where_they_are_known(catalog):
    july, year = datetime(1965, 7, 1), datetime(1965, 1, 1)
    dates = [(july, "second"), (july, "month"), (year, "year"), (year, "month"), (None, None)]
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        for number, (start, precision) in enumerate(dates):
            about = ImageMetadata(4, 3, "JPEG", taken_at=start, taken_precision=precision)
            writer.commit([replace(encoded(f"{number}.jpg", str(number)), metadata=about)])
    counts = catalog.facets(None)
    assert counts.months == {(1965, 7): 2, (1965, 1): 1, (1965, 0): 1}
    assert (counts.dated, counts.total) == (4, 5)


def test_folders_and_cameras_are_counted(catalog):
    """Cameras whatever their spelling, as the picture that was added last has them."""
    paths = ["a.jpg", "one/b.jpg", "one/c.jpg", "one/two/d.jpg", "été/e.jpg", "x\udcff/f.jpg"]
    cameras = [("SONY", "A7"), ("Canon", "EOS"), ("Sony", "A7"), (None, "A7"), (None, None)]
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        for number, path in enumerate(paths):
            make, model = cameras[number % 5]
            about = ImageMetadata(4, 3, "JPEG", camera_make=make, camera_model=model)
            writer.commit([replace(encoded(path, str(number)), metadata=about)])
    counts = catalog.facets(None)
    assert counts.folders == {
        "/photos": 1, "/photos/one": 2, "/photos/one/two": 1, "/photos/été": 1, "/photos/x\udcff": 1
    }  # fmt: skip
    assert counts.cameras == [("SONY", "A7", 3), (None, "A7", 1), ("Canon", "EOS", 1)]
    some = catalog.facets(parse("name = b.jpg or name = c.jpg or name = d.jpg"))
    assert some.folders == {"/photos/one": 2, "/photos/one/two": 1}
    assert some.cameras == [(None, "A7", 1), ("Canon", "EOS", 1), ("Sony", "A7", 1)]


LISBON, PORTO, SUVA = (38.71, -9.14), (41.15, -8.61), (-18.14, 178.43)


def placed(catalog) -> None:
    """Two pictures in Lisbon, written in two ways, one in Porto, one in Suva, and one nowhere."""
    where = [
        (LISBON, "Lisbon", "Portugal"), (LISBON, "LISBON", "Portugal"),
        (PORTO, "Porto", "Portugal"), (SUVA, "Suva", "Fiji"), ((None, None), None, None),
    ]  # fmt: skip
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        for number, ((latitude, longitude), city, country) in enumerate(where):
            about = ImageMetadata(
                4, 3, "JPEG", latitude=latitude, longitude=longitude, city=city, country=country
            )
            writer.commit([replace(encoded(f"{number}.jpg", str(number)), metadata=about)])


def test_places_are_counted_whatever_their_spelling(catalog):
    assert not catalog.has_positions()
    placed(catalog)
    ids = {each.file.path: each.id for each in catalog.newest(None, 9)}
    counts = catalog.facets(None)
    assert counts.countries == [
        PlaceCount("Portugal", 3, ids["2.jpg"]), PlaceCount("Fiji", 1, ids["3.jpg"])
    ]  # fmt: skip
    assert [(each.name, each.count) for each in counts.cities] == [
        ("LISBON", 2), ("Porto", 1), ("Suva", 1)
    ]  # fmt: skip
    some = catalog.facets(parse("country = portugal and not city = lisbon"))
    assert [each.name for each in some.cities] == ["Porto"]
    assert catalog.has_positions() and counts.located == 4
    seen = np.array([ids[name] for name in ("0.jpg", "2.jpg", "4.jpg")])
    with catalog.writer() as writer:
        assert writer.retire("/photos", "", seen, np.empty(0, np.int64), []) == 2
    left = [("Lisbon", 1), ("Porto", 1)]
    for where in (None, parse("has gps")):
        found = catalog.facets(where).cities
        assert [(each.name, each.count) for each in found] == left, "without those that are gone"
    assert [each.cover for each in found] == [ids["0.jpg"], ids["2.jpg"]]
    assert catalog.place_counts("country", None, 1) == [PlaceCount("Portugal", 2, ids["2.jpg"])]


def test_positions_are_counted_in_cells(catalog):
    placed(catalog)
    ids = {each.file.path: each.id for each in catalog.newest(None, 9)}
    world = sorted(catalog.position_cells(None, 4, 4, 9), key=lambda each: each.column)
    assert [(each.column, each.count) for each in world] == [(1, 3), (3, 1)]
    iberia = world[0]
    assert iberia.cover == ids["2.jpg"]
    assert iberia.latitude == pytest.approx((2 * LISBON[0] + PORTO[0]) / 3)
    assert (iberia.south, iberia.west, iberia.north, iberia.east) == (*LISBON, *PORTO)
    near = catalog.position_cells(parse("box(38, -10, 39, -9)"), 4096, 8192, 9)
    assert [(each.column, each.count) for each in near] == [(int((180 - 9.14) / 360 * 4096), 2)]
    assert len(catalog.position_cells(None, 4096, 8192, 2)) == 2
