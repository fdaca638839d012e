"""Positions, and what is not one."""

from __future__ import annotations

import pytest

from imgsearch.sources.positions import read_degrees, valid_position


@pytest.mark.parametrize(
    "text, degrees",
    [
        ("48,51.5N", 48.858333),
        ("48,51,30N", 48.858333),
        ("0,7,30W", -0.125),
        ("33,51,36s", -33.86),
        ("48.8583", 48.8583),
        ("-33.86", -33.86),
        ("48.8583 N", 48.8583),
        ("48 deg 51' 30.00\" N", 48.858333),
        ("48° 51′ 30″ S", -48.858333),
        ("181,0.0E", 181),
    ],
)
def test_the_forms_of_degrees(text, degrees):
    assert read_degrees(text) == pytest.approx(degrees, abs=1e-6)


def test_the_hemisphere_from_a_tag_of_its_own():
    assert read_degrees("33.86", "S") == read_degrees("33,51.6", "South") == -33.86


@pytest.mark.parametrize("text", ["", "N", "nan", "inf", "48,61N", "4800.5", "48N51", "x" * 999])
def test_what_is_not_degrees(text):
    assert read_degrees(text) is None


@pytest.mark.parametrize(
    "pair",
    [(0, 0), (0.0, -0.0), (0.00001, 0.00001), (91, 0), (0, 181), (float("nan"), 5),
     (5, float("inf")), (None, 5), (5, None)],
)  # fmt: skip
def test_what_is_no_place(pair):
    assert valid_position(*pair) is None


@pytest.mark.parametrize("pair", [(0, 9.5), (51.5, 0), (-90, 180), (0.01, 0.01)])
def test_places_on_the_equator_and_the_meridian_are_places(pair):
    assert valid_position(*pair) == pair
