"""Texts, dates and ratings of EXIF; test_metadata.py has places and broken tags."""

from __future__ import annotations

from datetime import datetime

import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from imgsearch.sources.exif import read_exif
from imgsearch.sources.statement import EXIF, Moment, Statement
from tests.sources.metadata_files import read, saved

JUNE = datetime(2019, 6, 1, 10, 0, 0)


def stated(main=(), details=(), endian=None) -> Statement:
    """What a JPEG with these tags states, its EXIF written and read by Pillow."""
    exif = Image.Exif()
    exif.endian = endian
    exif.update(dict(main))
    exif.get_ifd(IFD.Exif).update(dict(details))
    loaded = Image.Exif()
    loaded.load(exif.tobytes())
    return read_exif(loaded)


def test_no_tags_state_nothing():
    assert read_exif(Image.Exif()) == Statement(EXIF)


def test_texts():
    found = stated({
        Base.ImageDescription: "The old mill",
        Base.XPTitle: "Mühle".encode("utf-16-le") + b"\0\0",
        Base.XPKeywords: "mill;wind ; ".encode("utf-16-le"),
    })  # fmt: skip
    assert (found.title, found.description) == ("Mühle", "The old mill")
    assert found.keywords == ("mill", "wind")


def test_utf8_in_a_tag_that_should_be_ascii():
    words = "Café à Zürich 東京"
    assert stated({Base.ImageDescription: words.encode()}).description == words


def test_dates_of_exposure_digitizing_and_editing_are_apart():
    found = stated(
        {Base.DateTime: "2024:01:01 00:00:00"},
        {Base.DateTimeOriginal: "1965:07:00 00:00:00", Base.DateTimeDigitized: "2015:02:03"},
    )
    assert found.taken == Moment(datetime(1965, 7, 1), "month")
    assert found.digitized == Moment(datetime(2015, 2, 3), "day")
    assert found.edited == Moment(datetime(2024, 1, 1))


def test_the_date_of_exposure_in_the_main_directory():
    main = {Base.DateTime: "2024:01:01 00:00:00", Base.DateTimeOriginal: "2019:06:01 10:00:00"}
    assert stated(main).taken == Moment(JUNE)


@pytest.mark.parametrize("blank", ["    :  :     :  :  ", "0000:00:00 00:00:00"])
def test_an_unknown_date_of_exposure(blank):
    found = stated({Base.DateTime: "2024:01:01 00:00:00"}, {Base.DateTimeOriginal: blank})
    assert found.taken is None and found.taken_unknown


HOURS = Base.TimeZoneOffset


@pytest.mark.parametrize(
    ("details", "minutes"),
    [
        ({HOURS: -5}, -300),
        ({HOURS: (9,)}, 540),
        ({HOURS: (9, 2)}, 540),
        ({HOURS: 65531}, -300),
        ({HOURS: 0}, 0),
        ({HOURS: 15}, None),
        ({HOURS: 100}, None),
        ({HOURS: ("x",)}, None),
        ({HOURS: ()}, None),
        ({HOURS: -5, Base.OffsetTimeOriginal: "+01:00"}, 60),
        ({HOURS: -5, Base.OffsetTimeOriginal: "   :  "}, -300),
        ({Base.OffsetTimeOriginal: " +9:00"}, 540),
        ({Base.OffsetTimeOriginal: "GMT-03:00"}, -180),
    ],
)
def test_time_zones_in_hours_and_odd_forms(details, minutes):
    found = stated(details={Base.DateTimeOriginal: "2019:06:01 10:00:00", **details})
    assert found.taken == Moment(JUNE, "second", minutes)


def test_the_second_of_two_hours_is_of_the_last_change():
    found = stated({Base.DateTime: "2024:01:01 00:00:00", HOURS: (9, -2)})
    assert found.edited.utc_offset_minutes == -120
    assert (
        stated({Base.DateTime: "2024:01:01 00:00:00", HOURS: 9}).edited.utc_offset_minutes is None
    )


def test_the_zone_of_another_date_that_is_the_same_time():
    stamp = "2019:06:01 10:00:00"
    both = {Base.DateTimeOriginal: stamp, Base.DateTimeDigitized: stamp}
    found = stated(details={**both, Base.OffsetTimeDigitized: "+02:00"})
    assert found.taken == Moment(JUNE, "second", 120)


def test_time_zones():
    stamp = "2019:06:01 10:00:00"
    own = {Base.DateTimeOriginal: stamp, Base.OffsetTimeOriginal: "-03:30"}
    assert stated(details=own).taken == Moment(JUNE, "second", -210)
    general = {Base.DateTimeOriginal: stamp, Base.OffsetTime: "+02:00"}
    assert stated({Base.DateTime: stamp}, general).taken == Moment(JUNE, "second", 120)
    later = {Base.DateTime: "2024:01:01 00:00:00"}
    assert stated(later, general).taken == Moment(JUNE), "it was edited in another zone"
    assert stated(later, general).edited.utc_offset_minutes == 120


@pytest.mark.parametrize(
    "main, rating", [({18246: 4}, 4), ({18246: 0}, None), ({18249: 75}, 4), ({18246: 99}, None)]
)
def test_ratings(main, rating):
    assert stated(main).rating == rating


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize(
    "code, text, expected",
    [
        (b"ASCII\0\0\0", b"a walk" + b"\0" * 20, "a walk"),
        (b"ASCII\0\0\0", "à pied".encode("latin-1"), "à pied"),
        (b"UNICODE\0", "a walk".encode("utf-16-le"), "a walk"),
        (b"UNICODE\0", "a walk".encode("utf-16-be"), "a walk"),
        (b"UNICODE\0", "a walk".encode("utf-16-be") + b"\0" * 9, "a walk"),
        (b"UNICODE\0", b"\xfe\xff" + "富士山".encode("utf-16-be"), "富士山"),
        (b"UNICODE\0", b"\xff\xfe" + "富士山".encode("utf-16-le"), "富士山"),
        (b"JIS\0\0\0\0\0", "富士山".encode("iso2022_jp"), "富士山"),
        (b"JIS\0\0\0\0\0", "富士山".encode("cp932"), "富士山"),
        (b"\0" * 8, "富士山".encode(), "富士山"),
        (b"\0" * 8, b"\x80\x81\xff", ""),
        (b"", b"a long walk", "a long walk"),
        (b"UNICODE\0", b"", ""),
    ],
)
def test_user_comments_by_their_charset(code, text, expected, endian):
    assert stated(details={Base.UserComment: code + text}, endian=endian).description == expected


@pytest.mark.parametrize("endian, encoding", [("<", "utf-16-le"), (">", "utf-16-be")])
def test_a_user_comment_without_a_hint_is_in_the_order_of_the_file(endian, encoding):
    for text in ("富士山の写真", "一", "一月", "第一", "十一月の山", "富士山、の写真"):
        comment = b"UNICODE\0" + text.encode(encoding)
        assert stated(details={Base.UserComment: comment}, endian=endian).description == text


@pytest.mark.parametrize("words", ["OLYMPUS DIGITAL CAMERA         ", "  ", "\0\0", "SONY DSC"])
def test_default_texts_of_cameras_are_ignored(words):
    assert stated({Base.ImageDescription: words}).description == ""


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_file_with_a_month(form):
    details = {Base.DateTimeOriginal: "1965:07:00 00:00:00", Base.OffsetTimeOriginal: "+01:00"}
    exif = Image.Exif()
    exif[Base.DateTime] = "2024:01:01 00:00:00"
    exif.get_ifd(IFD.Exif).update(details)
    save = {"exif": exif}
    if form == "TIFF":  # of which Pillow writes only the main directory of an `Exif`
        save = {"tiffinfo": {Base.DateTime: "2024:01:01 00:00:00", IFD.Exif: details}}
    found = read(saved(form, **save))
    assert (found.taken_at, found.taken_precision) == (datetime(1965, 7, 1), "month")
    assert (found.taken_source, found.utc_offset_minutes) == ("exif", None)
