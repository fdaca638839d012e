"""Names of places by position, from the data of the installed package."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch.errors import SourceError
from imgsearch.filters.geography import distance_km
from imgsearch.records import GAZETTEER_VERSION, ImageMetadata
from imgsearch.sources import gazetteer as gazetteer_module
from imgsearch.sources.gazetteer import Gazetteer, PlaceName, with_place_names

BAIXA = (38.7139, -9.1394)
LISBON = PlaceName("Lisbon", "Lisbon", "Portugal", "PT")


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer()


def located(latitude: float, longitude: float, **statements) -> ImageMetadata:
    return ImageMetadata(4, 3, "JPEG", latitude=latitude, longitude=longitude, **statements)


@pytest.mark.parametrize(
    ("position", "city", "country"),
    [
        (BAIXA, "Lisbon", "Portugal"),
        ((38.6916, -9.2160), "Lisbon", "Portugal"),  # the tower of Belem, 7 km from the centre
        ((38.7538, -9.2308), "Amadora", "Portugal"),  # a city of its own beside Lisbon
        ((40.7074, -74.0113), "New York City", "United States"),
        ((40.7440, -74.0320), "Hoboken", "United States"),  # across the river, in another state
        ((48.8584, 2.2945), "Paris", "France"),
        ((-18.1368, 178.4253), "Suva", "Fiji"),
        ((78.2200, 15.6400), "Longyearbyen", "Svalbard and Jan Mayen"),
    ],
)
def test_the_city_of_a_position(gazetteer, position, city, country):
    found = gazetteer.lookup(*position)
    assert (found.city, found.country) == (city, country)


def test_across_the_date_line_the_nearest_place_is_found(gazetteer):
    """Taveuni lies on both sides of it, and the towns of Fiji around it on the western side."""
    for longitude in (179.99, 180.0, -180.0, -179.9):
        assert gazetteer.lookup(-16.98, longitude) == PlaceName("", "", "Fiji", "FJ")


@pytest.mark.parametrize("position", [(0, 0), (90, 0), (-90, 17), (-30, -130), (89.99, 180)])
def test_far_from_any_place_there_is_no_name(gazetteer, position):
    assert gazetteer.lookup(*position) is None


def test_in_a_desert_only_the_country_is_known(gazetteer):
    assert gazetteer.lookup(-24.7, 15.3) == PlaceName("", "", "Namibia", "NA")


def test_distances_are_those_of_the_haversine_formula(gazetteer):
    rng = np.random.default_rng(0)
    for latitude, longitude in rng.uniform((-90, -180), (90, 180), (30, 2)):
        found, km = gazetteer._within(latitude, longitude, 200)
        degrees = gazetteer._degrees
        near = {
            i
            for i in np.flatnonzero(np.abs(degrees[:, 0] - latitude) < 2).tolist()
            if distance_km(latitude, longitude, *degrees[i]) <= 200
        }
        assert set(found.tolist()) == near
        expected = [distance_km(latitude, longitude, *degrees[i]) for i in found]
        assert km.tolist() == pytest.approx(expected, abs=1e-6)


def test_a_file_that_states_no_place_gets_all_names(gazetteer):
    named = with_place_names(located(*BAIXA), gazetteer)
    assert (named.city, named.state, named.country) == ("Lisbon", "Lisbon", "Portugal")
    assert named.country_code == "PT"
    assert named.gazetteer_fields == ("city", "state", "country")
    assert named.gazetteer_version == GAZETTEER_VERSION
    assert with_place_names(named, gazetteer) == named, "names can be looked up again"


def test_what_the_file_states_comes_first(gazetteer):
    named = with_place_names(located(*BAIXA, city="Lisboa"), gazetteer)
    assert (named.city, named.state, named.country) == ("Lisboa", "Lisbon", "Portugal")
    assert named.gazetteer_fields == ("state", "country")


def test_a_position_outside_the_stated_country_names_no_city(gazetteer):
    named = with_place_names(located(*BAIXA, country="Spain"), gazetteer)
    assert (named.city, named.state, named.country) == (None, None, "Spain")
    assert (named.country_code, named.gazetteer_fields) == (None, ())


def test_a_position_that_is_gone_takes_its_names_along(gazetteer):
    named = with_place_names(located(*BAIXA), gazetteer)
    without = ImageMetadata(
        4, 3, "JPEG", city=named.city, country=named.country, gazetteer_fields=("city", "country")
    )
    again = with_place_names(without, gazetteer)
    assert (again.city, again.country, again.gazetteer_fields) == (None, None, ())


@pytest.mark.parametrize("content", [None, b"not gzip", b"\x1f\x8b\x08\x00"])
def test_data_that_cannot_be_read_is_an_error_with_a_hint(tmp_path, monkeypatch, content):
    package = tmp_path / "broken_places"
    package.mkdir()
    (package / "__init__.py").touch()
    if content is not None:
        (package / "geocode.gz").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(gazetteer_module, "PACKAGE", "broken_places")
    with pytest.raises(SourceError, match="places are not named") as caught:
        Gazetteer()
    assert "pip install" in caught.value.hint
