"""Great-circle distances, and bounding boxes of circles in degrees."""

from __future__ import annotations

import math
from typing import NamedTuple

EARTH_KM = 6371.0088
"""Mean radius R1 of the Earth (Moritz 2000, "Geodetic Reference System 1980")."""

MARGIN_DEGREES = 1e-5
"""Margin of a box, about 1 m, so that rounding never cuts off a point of the circle."""


def distance_km(
    latitude: float, longitude: float, to_latitude: float, to_longitude: float
) -> float:
    """Great-circle distance by the haversine formula (Sinnott 1984); degrees in, kilometres out.

    The Earth is modelled as a sphere, with an error of up to 0.5 %.
    """
    phi, to_phi = math.radians(latitude), math.radians(to_latitude)
    half_phi, half_lambda = (to_phi - phi) / 2, math.radians(to_longitude - longitude) / 2
    chord = math.sin(half_phi) ** 2
    chord += math.cos(phi) * math.cos(to_phi) * math.sin(half_lambda) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, chord)))


class Box(NamedTuple):
    """In degrees: a range of latitudes, and one or two ranges of longitudes within -180 to 180."""

    south: float
    north: float
    longitudes: tuple[tuple[float, float], ...]


def box_around(latitude: float, longitude: float, km: float) -> Box:
    """The smallest box, plus a margin, that contains all points within `km` of a place.

    A circle around a pole has all longitudes. A circle across the date line has two ranges.
    """
    angle = min(km / EARTH_KM, math.pi)
    reach = math.degrees(angle) + MARGIN_DEGREES
    south, north = latitude - reach, latitude + reach
    if south <= -90 or north >= 90:
        return Box(max(south, -90), min(north, 90), ((-180, 180),))
    widest = min(1.0, math.sin(angle) / math.cos(math.radians(latitude)))
    across = math.degrees(math.asin(widest)) + MARGIN_DEGREES
    return Box(south, north, _longitudes(longitude - across, longitude + across))


def _longitudes(west: float, east: float) -> tuple[tuple[float, float], ...]:
    if west < -180:
        return (west + 360, 180), (-180, east)
    if east > 180:
        return (west, 180), (-180, east - 360)
    return ((west, east),)
