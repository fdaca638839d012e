"""Filters from options and expressions, and great-circle distances."""

from __future__ import annotations

import math
import os
import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgsearch import web
from imgsearch.errors import QueryError
from imgsearch.filters import fields
from imgsearch.filters.geography import EARTH_KM, box_around, distance_km
from imgsearch.filters.options import FILTERS, filter_from
from imgsearch.filters.parser import MAX_EXPRESSION_CHARACTERS, parse
from imgsearch.filters.text_keys import folded
from imgsearch.filters.tree import (
    MAX_DEPTH,
    MAX_LEAVES,
    And,
    Below,
    Box,
    Compare,
    Has,
    Near,
    Not,
    Or,
    all_of,
    any_of,
)
from tests.conftest import examples

A, B, C = Has("gps"), Has("date"), Has("camera")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("has gps", A),
        ("HAS GPS", A),
        ("has gps and has date or has camera", Or((And((A, B)), C))),
        ("has gps and (has date or has camera)", And((A, Or((B, C))))),
        ("not has gps and has date", And((Not(A), B))),
        ("not (has gps and has date)", Not(And((A, B)))),
        ("not not has gps", A),
        ("((has gps))", A),
        ("width >= 100", Compare("width", ">=", 100)),
        ("width>=100", Compare("width", ">=", 100)),
        ("latitude < -33.5", Compare("latitude", "<", -33.5)),
        ("size > 1.5MB", Compare("size", ">", 1_500_000)),
        ("format = heic", Compare("format", "=", "HEIF")),
        (
            "format in (jpg, png)",
            Or((Compare("format", "=", "JPEG"), Compare("format", "=", "PNG"))),
        ),
        ("format not in (jpg)", Not(Compare("format", "=", "JPEG"))),
        ("camera ~ 'Canon EOS'", Compare("camera", "~", "canon eos")),
        ("camera !~ canon", Not(Compare("camera", "~", "canon"))),
        ("camera != canon", Not(Compare("camera", "=", "canon"))),
        (r'name = "a\"b\\c"', Compare("name", "=", 'a"b\\c')),
        ("name = and", Compare("name", "=", "and")),
        ("name = IMG_1.jpg", Compare("name", "=", "img_1.jpg")),
        ("in '/a b'", Below("/a b")),
        ("cluster = 12", Compare("cluster", "=", 12)),
        ("cluster = Beach", Compare("cluster", "=", "beach")),
        ("cluster ~ 12", Compare("cluster", "~", "12")),
        ("cluster != '12'", Not(Compare("cluster", "=", 12))),
        ("cluster in (3, sea)", Or((Compare("cluster", "=", 3), Compare("cluster", "=", "sea")))),
        ("has cluster", Has("cluster")),
        ("near(48.85, 2.35)", Near(48.85, 2.35, 10)),
        ("near(-33.8, 151.2, 0.5)", Near(-33.8, 151.2, 0.5)),
        ("box(48.8, 2.2, 48.9, 2.5)", Box(48.8, 2.2, 48.9, 2.5)),
        ("box(-20, 170, -10, -170)", Box(-20, 170, -10, -170)),
        ("taken >= 2023", Compare("taken", ">=", datetime(2023, 1, 1))),
        ("taken > 2023", Compare("taken", ">=", datetime(2024, 1, 1))),
        ("taken <= 2023-02", Compare("taken", "<", datetime(2023, 3, 1))),
        ("date < 2023-12-31", Compare("taken", "<", datetime(2023, 12, 31))),
        ("taken > 2023-12", Compare("taken", ">=", datetime(2024, 1, 1))),
        ("taken < 2023-05-17T14:30", Compare("taken", "<", datetime(2023, 5, 17, 14, 30))),
        (
            "taken = 2024-02-29",
            And(
                (
                    Compare("taken", ">=", datetime(2024, 2, 29)),
                    Compare("taken", "<", datetime(2024, 3, 1)),
                )
            ),
        ),
    ],
)
def test_the_meaning_of_expressions(text, meant):
    assert parse(text) == meant


def test_a_path_is_relative_to_the_working_folder_and_knows_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse("in 2023/..") == Below(str(tmp_path))
    assert fields.below("~/x") == Below(os.path.join(os.environ["HOME"], "x"))


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("camra = canon", 1, "there is no field 'camra'|Did you mean camera?"),
        ("has gps and colour = red", 13, "there is no field 'colour'"),
        ("width ~ 3", 7, "width cannot be compared with ~"),
        ("taken = 2023-02-30", 9, "there is no date 2023-02-30|Write 2023"),
        ("taken > yesterday", 9, "'yesterday' is not a valid date"),
        ("taken > 0000", 9, "there is no date"),
        ("width > 3m", 9, "'3m' is not a number"),
        ("width > ١٢", 9, "is not a number"),
        ("width > nan", 9, "is not a number"),
        ("size > 1e9", 8, "is not a valid file size"),
        ("format = jepg", 10, "there is no picture format 'jepg'|Did you mean jp"),
        ("orientation = tall", 15, "there is no orientation 'tall'"),
        ("has face", 5, "there is no 'has face'"),
        ("near(91, 0)", 6, "a latitude must be from -90 to 90"),
        ("near(0, 181)", 6, "a longitude must be from -180 to 180"),
        ("near(1)", 6, "a place is LATITUDE,LONGITUDE"),
        ("near(1, 2, 0)", 6, "must be above 0 km"),
        ("box(1, 2, 3)", 5, "a box is SOUTH,WEST,NORTH,EAST"),
        ("box(2, 0, 1, 0)", 5, "the south of the box, 2, lies above its north, 1"),
        ("box(0, 0, 91, 0)", 5, "a latitude must be from -90 to 90"),
        ("box(0, 0, 1, 181)", 5, "a longitude must be from -180 to 180"),
        ("in ''", 4, "is empty"),
        ("name = ''", 8, "is empty"),
        ("(has gps", 9, "ends too early|)"),
        ("has gps)", 8, "unexpected ')'"),
        ("has gps has date", 9, "unexpected 'has'|and, or"),
        ("name = 'x", 8, "the quotes are not closed"),
        ("a ! b", 3, "unexpected character"),
        ("", 1, "ends too early"),
        ("日本語 = 1", 1, "there is no field"),
        ("name = '\u0301'", 8, "the text for name is empty|Write a part"),  # folded to nothing
    ],
)
def test_errors_point_at_the_place(text, column, words):
    with pytest.raises(QueryError) as caught:
        parse(text)
    message, line, caret = str(caught.value).split("\n")
    assert f"(column {column})" in message
    assert line == "    " + text
    assert caret == " " * (3 + column) + "^"
    assert all(word in message + caught.value.hint for word in words.split("|"))


def test_the_caret_is_below_wide_letters_and_in_long_expressions():
    with pytest.raises(QueryError) as caught:
        parse("name = 猫 wrong")
    assert str(caught.value).split("\n")[2] == "    " + " " * 10 + "^"
    with pytest.raises(QueryError) as caught:
        parse("has gps or " * 100 + "wrong = 1")
    _, line, caret = str(caught.value).split("\n")
    assert line[len(caret) - 1 :] == "wrong = 1"


def test_too_large_expressions_are_refused():
    for text in (
        "has gps or " * MAX_LEAVES + "has gps",
        "(has gps and (has date or " * MAX_DEPTH + "has gps" + "))" * MAX_DEPTH,
        "x" * (MAX_EXPRESSION_CHARACTERS + 1),
        "name in (" + "a," * MAX_LEAVES + "a)",
    ):
        with pytest.raises(QueryError, match=r"the limits are|the limit is"):
            parse(text)
    assert parse("not " * 1000 + "has gps") == A
    assert parse("(" * 4000 + "has gps" + ")" * 4000) == A


@settings(max_examples=examples(300), deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(
    ["(", ")", "and", "or", "not", "in", "has", "near", "box", "gps", "taken", "name", "=", "~",
     "!=", "<=", "2023", "'a'", '"', ",", "-1", "width", "*", "[", "\\", "\0", "\udcff",
     "9" * 400]), max_size=12).map(" ".join))  # fmt: skip
@example("in '\0'")
@example("in '~\udcff'")
@example("size > 999999999999GB")
def test_any_text_is_a_filter_or_an_error(text):
    try:
        parsed = parse(text)
    except QueryError as error:
        assert error.hint and str(error)
    else:
        assert parse(str(parsed))


# Flags


def test_options_equal_expressions():
    flags = filter_from(
        {
            "in": ("/a", "/b"), "after": ("2023-05",), "before": ("2024",), "camera": ("Canon",),
            "type": ("jpg", "heic"), "min_size": ("1920x1080",), "orientation": ("portrait",),
            "near": ("48.85,2.35,5",), "box": ("48,2,49,3",), "has": ("gps", "date"),
            "name": ("IMG_*",), "person": ("Zoë",), "keyword": ("beach", "sea*"),
            "place": ("Łódź",), "where": ("width > 3 or has gps",),
        }
    )  # fmt: skip
    assert flags == parse(
        "(in /a or in /b) and format in (jpeg, heif) and orientation = portrait "
        "and taken >= 2023-05 and taken < 2024 and camera ~ canon "
        "and width >= 1920 and height >= 1080 and near(48.85, 2.35, 5) "
        "and box(48, 2, 49, 3) and has gps and has date and name ~ img_* and people ~ zoe "
        "and keywords ~ beach and keywords ~ sea* "
        "and (city ~ lodz or state ~ lodz or country ~ lodz) and (width > 3 or has gps)"
    )
    assert filter_from({}) is None


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("in", ""), ("in", "\0"), ("after", "soon"), ("before", "2023-13"), ("camera", ""),
        ("camera", "x" * 501), ("type", "doc"), ("min_size", "1920"), ("min_size", "-1x2"),
        ("orientation", "up"), ("near", "1"), ("near", "1,2,3,4"), ("near", "a,b"),
        ("near", "1,2,-3"), ("near", "1,2,inf"), ("box", "1,2,3"), ("box", "2,0,1,0"),
        ("has", "legs"), ("name", ""), ("where", "("),
    ],
)  # fmt: skip
def test_invalid_values(flag, value):
    with pytest.raises(QueryError) as caught:
        filter_from({flag: (value,)})
    assert caught.value.hint


def test_joining():
    assert all_of([]) is None
    assert all_of([A]) == any_of([A]) == A
    assert all_of([And((A, B)), C]) == And((A, B, C))
    assert any_of([A, Or((B, C))]) == Or((A, B, C))


@pytest.mark.parametrize(
    ("one", "other"), [("É", "e\u0301"), ("STRASSE", "straße"), ("Ａ", "ａ"), ("\udcff", "\ud800")]
)
def test_folding(one, other):
    assert folded(one) == folded(other)
    assert len(folded("\udcff\udcfe")) == 2


# The globe


def angle_between(a, b) -> float:
    """By unit vectors in space, independent of any formula with longitudes."""

    def unit(place):
        phi, lam = map(math.radians, place)
        return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)

    (x, y, z), (u, v, w) = unit(a), unit(b)
    cross = math.hypot(y * w - z * v, z * u - x * w, x * v - y * u)
    return math.atan2(cross, x * u + y * v + z * w)


places = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@given(places, places)
@example((90.0, 0.0), (-90.0, 0.0))
@example((0.0, 180.0), (0.0, -180.0))
def test_distance(a, b):
    assert distance_km(*a, *b) == pytest.approx(EARTH_KM * angle_between(a, b), abs=1e-3)


def test_known_distances():
    assert distance_km(48.8566, 2.3522, 51.5074, -0.1278) == pytest.approx(343.6, abs=0.5)
    assert distance_km(0, 179.9, 0, -179.9) == pytest.approx(22.24, abs=0.01)
    assert distance_km(89.9, 0, 89.9, 180) == pytest.approx(22.24, abs=0.01)


@settings(max_examples=examples(300))
@given(places, st.floats(0, 360), st.floats(0, 1), st.floats(0.001, 25_000))
@example((89.95, 0.0), 0.0, 1.0, 10.0)
@example((0.0, 179.95), 90.0, 1.0, 10.0)
def test_the_box_contains_the_circle(place, bearing, share, km):
    """A point within the distance, in any direction, is in the box."""
    phi, angle, course = math.radians(place[0]), share * km / EARTH_KM, math.radians(bearing)
    sine = math.sin(phi) * math.cos(angle) + math.cos(phi) * math.sin(angle) * math.cos(course)
    latitude = math.degrees(math.asin(max(-1.0, min(1.0, sine))))
    east = math.atan2(
        math.sin(course) * math.sin(angle) * math.cos(phi), math.cos(angle) - math.sin(phi) * sine
    )
    longitude = (place[1] + math.degrees(east) + 540) % 360 - 180
    if distance_km(*place, latitude, longitude) <= km:
        box = box_around(*place, km)
        assert box.south <= latitude <= box.north
        assert any(west <= longitude <= east for west, east in box.longitudes)


def test_the_page_knows_every_filter():
    """It ignores names that are not in its lists, and would show pictures without the filter."""
    script = Path(web.__file__).parent / "static" / "js" / "state.js"
    listed = re.search(r"export const FILTERS = \[(.*?)\];", script.read_text(), re.S)
    assert listed is not None
    names = re.findall(r'"(\w+)"', listed[1])
    assert sorted(names) == sorted([*(option.name for option in FILTERS), "region"])
