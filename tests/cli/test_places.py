"""Places named by position: as words, filters and readings of a query."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from imgsearch.catalog import open_catalog
from tests.cli.calls import Place
from tests.cli.test_search_options import photo

LISBON, BELEM, SUVA, NAMED = "a.jpg", "b.jpg", "c.jpg", "Lisbon 2023.jpg"


@pytest.fixture(scope="module")
def album(tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("places")
    place = Place(folder / "photos", folder / "library")
    photo(place.photos / LISBON, 1, "2023:05:17 10:00:00", gps=(38.7139, -9.1394))
    photo(place.photos / BELEM, 2, "2022:05:17 10:00:00", gps=(38.6916, -9.2160))
    photo(place.photos / SUVA, 3, "2023:01:01 00:00:00", gps=(-18.1368, 178.4253))
    photo(place.photos / NAMED, 4)
    assert place.index()["added"] == 4
    return place


def found(place: Place, *arguments: object) -> tuple[list[str], str]:
    """File names of the hits, in order, and what was said on stderr."""
    outcome = place.call("search", *arguments, "--format", "json")
    assert outcome.status == 0, outcome.err
    return [os.path.basename(path) for path in outcome.paths], outcome.err


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--where", 'city = "Lisbon"'], [LISBON, BELEM]),
        (["--where", "country = Portugal"], [LISBON, BELEM]),
        (["--place", "fiji"], [SUVA]),
        (["--has", "place"], [LISBON, BELEM, SUVA]),
        (["suva", "--mode", "text"], [SUVA]),
        (["--where", "city = Lisbon and taken = 2022"], [BELEM]),
    ],
)
def test_filters_and_words_find_the_place_of_a_position(album, arguments, names):
    assert sorted(found(album, *arguments)[0]) == sorted(names)


def test_a_place_and_a_year_find_pictures_from_there_and_then_and_say_so(album):
    names, said = found(album, "Lisbon 2023", "--mode", "text")
    assert sorted(names) == sorted([LISBON, NAMED]), "the one that is called so as well"
    assert said.strip() == "Read as: place Lisbon, year 2023."
    names, said = found(album, "Lisbon 2023")
    assert set(names[:2]) == {LISBON, NAMED}
    assert "Read as: place Lisbon, year 2023." in said
    assert "--after" not in said, "no hint at a filter for what has been read"


def test_a_reading_stays_within_the_filter(album):
    assert found(album, "Lisbon 2023", "--mode", "text", "--before", "2023-05")[0] == []
    assert found(album, "fiji 2023", "--mode", "text", "--type", "jpeg")[0] == [SUVA]


def test_a_search_by_meaning_alone_reads_no_place(album):
    assert "Read as" not in found(album, "Lisbon 2023", "--mode", "semantic", "--all")[1]


def test_an_older_library_gets_the_names_without_reading_a_file_again(tmp_path):
    old = Place(tmp_path / "photos", tmp_path / "library")
    for seed, name in enumerate(["a.jpg", "b.jpg"]):
        photo(old.photos / name, seed, "2023:05:17 10:00:00", gps=(38.7139, -9.1394))
    old.index()
    forget_names(old.library / "catalog.sqlite")
    assert found(old, "--has", "place")[0] == []
    first, second = old.call("index"), old.call("index")
    assert "The places of 2 pictures were named by position." in first.err
    assert "named by position" not in second.err
    assert sorted(found(old, "--where", "city = Lisbon")[0]) == ["a.jpg", "b.jpg"]
    assert sorted(found(old, "portugal", "--mode", "text")[0]) == ["a.jpg", "b.jpg"]


def forget_names(path: Path) -> None:
    """The state of pictures in a catalog that has just been upgraded from 0012."""
    catalog = open_catalog(str(path.parent))
    with catalog.writer() as writer:
        writer.put_place_names([
            (key, as_before(metadata)) for key, metadata in catalog.unnamed_places(99, 99)
        ])  # fmt: skip
    catalog.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT max(gazetteer_version) FROM images").fetchone() == (0,)
    connection.close()


def as_before(metadata):
    return replace(
        metadata, city=None, state=None, country=None, country_code=None, gazetteer_fields=(),
        gazetteer_version=0,
    )  # fmt: skip
