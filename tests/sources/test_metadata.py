"""EXIF becomes metadata: valid tags are used, invalid ones are absent, and nothing raises."""

from __future__ import annotations

import struct
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from imgsearch.sources.metadata import orientation_of, read_metadata

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on broken tags


def metadata(main=(), details=(), gps=()):
    exif = Image.Exif()
    exif.update(dict(main))
    exif.get_ifd(IFD.Exif).update(dict(details))
    exif.get_ifd(IFD.GPSInfo).update(dict(gps))
    return read_metadata(exif, 4, 3, "JPEG")


def test_a_picture_without_exif_has_no_metadata():
    result = metadata()
    assert (result.width, result.height, result.format, result.orientation) == (4, 3, "JPEG", 1)
    assert result.taken_at is result.camera_make is result.latitude is None


def test_camera_names_end_at_nul_and_are_stripped():
    result = metadata({Base.Make: "NIKON\0\0junk", Base.Model: b"  D70s \x1b[31m "})
    assert (result.camera_make, result.camera_model) == ("NIKON", "D70s [31m")


def test_the_time_of_exposure_takes_precedence_over_that_of_saving():
    stamps = {Base.DateTimeOriginal: "2019:03:21 11:04:22", Base.DateTimeDigitized: "2020:01:01"}
    result = metadata({Base.DateTime: "2021:01:01 00:00:00"}, stamps)
    assert result.taken_at == datetime(2019, 3, 21, 11, 4, 22)
    assert metadata({Base.DateTime: "2021:01:02 03:04:05"}).taken_at == datetime(
        2021, 1, 2, 3, 4, 5
    )


@pytest.mark.parametrize(
    "stamp",
    [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "1825:01:01 00:00:00",
        "2201:01:01 00:00:00",
        "yesterday",
        "",
        b"\xff\xfe",
        5,
        None,
        (1, 2),
    ],
)
def test_an_invalid_time_counts_as_absent(stamp):
    assert metadata(details={Base.DateTimeOriginal: stamp}).taken_at is None


def place(latitude, north, longitude, east, **more):
    gps = {
        GPS.GPSLatitude: latitude,
        GPS.GPSLatitudeRef: north,
        GPS.GPSLongitude: longitude,
        GPS.GPSLongitudeRef: east,
    }
    result = metadata(gps=gps | more.get("gps", {}))
    return result.latitude, result.longitude


def test_positions_are_signed_degrees():
    assert place((51, 30, 0), "N", (0, 7, 30), "W") == (51.5, -0.125)
    assert place((33, 51, 36), b"S\0", (151, 12, 36), "E") == pytest.approx((-33.86, 151.21))
    assert place((0, 0, 0), "N", (10, 0, 0), "E") == (0, 10)
    assert place((90.0, 0.0, 0.0), "N", (180.0, 0.0, 0.0), "E") == (90, 180)


@pytest.mark.parametrize(
    "latitude, north",
    [
        ((91, 0, 0), "N"),
        ((-5, 0, 0), "N"),
        ((5, 61, 0), "N"),
        ((5, 0, -1), "N"),
        ((float("nan"), 0, 0), "N"),
        ((float("inf"), 0, 0), "N"),
        ((5, 0), "N"),
        (("a", "b", "c"), "N"),
        (5, "N"),
        (None, "N"),
        ((5, 0, 0), ""),
        ((5, 0, 0), "X"),
        ((5, 0, 0), None),
        ((5, 0, 0), "NS"),
    ],
)
def test_an_invalid_position_counts_as_absent(latitude, north):
    assert place(latitude, north, (10, 0, 0), "E") == (None, None)


def test_the_place_that_devices_without_a_fix_write_is_none():
    assert place((0, 0, 0), "N", (0, 0, 0), "E") == (None, None)
    assert place((0, 0, 0), "S", (0.0, 0.0, 0.0), "W") == (None, None)


def test_a_receiver_without_a_fix_yields_no_position():
    position = place((5, 0, 0), "N", (5, 0, 0), "E", gps={GPS.GPSStatus: "V"})
    assert position == (None, None)


@pytest.mark.parametrize("value", [0, 9, 42, -1, "6", None, (6,), 6.0])
def test_an_invalid_orientation_counts_as_upright(value):
    exif = Image.Exif()
    exif[Base.Orientation] = value
    assert orientation_of(exif) == 1


def loaded(data: bytes) -> Image.Exif:
    exif = Image.Exif()
    try:
        exif.load(b"Exif\0\0" + data)
    except Exception:  # `decode` does not pass on EXIF that Pillow cannot load
        return Image.Exif()
    return exif


@given(st.binary(max_size=300))
def test_random_bytes_never_raise(data):
    read_metadata(loaded(data), 1, 1, "JPEG")


TAGS = [
    int(tag) for tag in (Base.Make, Base.Model, Base.DateTime, Base.Orientation, 0x8769, 0x8825)
]
ENTRY = st.tuples(
    st.sampled_from([*TAGS, 1, 2, 3, 4, 9, 0x9003, 0x9004]),
    st.integers(0, 13),
    st.integers(0, 2**32 - 1) | st.integers(0, 9),
    st.integers(0, 2**32 - 1) | st.integers(0, 200),
)


@given(st.lists(ENTRY, max_size=8), st.binary(max_size=120))
def test_random_tags_never_raise(entries, rest):
    body = struct.pack("<H", len(entries))
    body += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    exif = loaded(b"II*\0\x08\0\0\0" + body + b"\x08\0\0\0" + rest)
    read_metadata(exif, 1, 1, "JPEG", orientation_of(exif))
