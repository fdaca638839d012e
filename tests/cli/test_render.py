"""The output formats of hits."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime

import pytest

from imgsearch.cli.render import FIELDS, FORMATS, nearest_name, record, table_line
from imgsearch.records import ImageFile, ImageMetadata, ImageRecord
from imgsearch.searching.hits import Hit

METADATA = ImageMetadata(
    width=4000,
    height=3000,
    format="JPEG",
    orientation=6,
    taken_at=datetime(2020, 5, 4, 3, 2, 1),
    taken_precision="second",
    taken_source="xmp",
    utc_offset_minutes=120,
    camera_make="Maker",
    camera_model="Cam",
    latitude=52.5,
    longitude=-13.4,
    people=("Ann", "Bob"),
    city="=Bonn",
    rating=4,
)


def hit(rank: int, path: str, metadata: ImageMetadata = METADATA) -> Hit:
    return Hit(rank, 0.25, ImageRecord(7, ImageFile("/photos", path, 123, 5), "hash", metadata))


HITS = [hit(1, "a b.jpg"), hit(2, "sub/tab\tnew\nline\\.jpg", ImageMetadata(1, 2, "PNG"))]


def test_a_record():
    assert record(HITS[0]) == {
        "rank": 1,
        "score": 0.25,
        "strength": None,
        "named": False,
        "path": "/photos/a b.jpg",
        "width": 4000,
        "height": 3000,
        "format": "JPEG",
        "size": 123,
        "taken_at": "2020-05-04T03:02:01",
        "camera_make": "Maker",
        "camera_model": "Cam",
        "latitude": 52.5,
        "longitude": -13.4,
        "id": 7,
        "taken": "2020-05-04T03:02:01",
        "taken_source": "xmp",
        "utc_offset_minutes": 120,
        "rating": 4,
        "people": ["Ann", "Bob"],
        "city": "=Bonn",
        "state": None,
        "country": None,
        "note": None,
        "matched": [],
        "parts": [],
        "sharpness": None,
        "brightness": None,
        "shadows": None,
        "highlights": None,
        "contrast": None,
        "colourfulness": None,
        "kind": None,
    }
    assert tuple(record(HITS[1])) == FIELDS


def test_json():
    entries = [record(each) for each in HITS]
    assert json.loads(FORMATS["json"](HITS)) == entries
    assert [json.loads(line) for line in FORMATS["jsonl"](HITS).splitlines()] == entries
    assert FORMATS["json"]([]) == "[]\n"
    assert FORMATS["jsonl"]([]) == ""


def test_csv():
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](HITS), newline="")))
    assert [row["path"] for row in rows] == [each.image.file.absolute for each in HITS]
    assert (rows[0]["people"], rows[0]["city"], rows[0]["rating"]) == ("Ann; Bob", "'=Bonn", "4")
    assert (
        rows[1]["people"] == rows[1]["rating"] == rows[1]["taken_at"] == rows[1]["latitude"] == ""
    )
    assert FORMATS["csv"]([]) == ",".join(FIELDS) + "\r\n"
    assert {row["named"] for row in rows} <= {"true", "false"}


@pytest.mark.parametrize(
    "strength, matched, why",
    [
        (0.5, ("meaning",), "meaning (strong)"),
        (0.49, ("name", "meaning"), "name, meaning (possible)"),
        (0.09, ("meaning",), "meaning (guess)"),
        (0.09, ("name", "text"), "name, text"),
        (None, ("meaning",), "meaning"),
        (None, (), ""),
    ],
)
def test_reasons_end_the_lines_on_request(strength, matched, why):
    found = replace(HITS[0], strength=strength, matched=matched)
    assert table_line(found, reasons=True) == table_line(found) + (f"  [{why}]" if why else "")


@pytest.mark.parametrize(
    "precision, shown", [("year", "1965"), ("month", "1965-07"), ("day", "1965-07-01")]
)
def test_a_partial_date_is_shown_as_it_is_known(precision, shown):
    about = ImageMetadata(4, 3, "JPEG", taken_at=datetime(1965, 7, 1), taken_precision=precision)
    old = hit(1, "a.jpg", about)
    assert table_line(old).endswith(f"(4x3)  {shown}")
    assert (record(old)["taken"], record(old)["taken_at"]) == (shown, "1965-07-01T00:00:00")


def test_lines():
    assert FORMATS["tsv"](HITS) == (
        "0.250000\t/photos/a b.jpg\n0.250000\t/photos/sub/tab\\tnew\\nline\\\\.jpg\n"
    )
    assert FORMATS["paths"](HITS[:1]) == "/photos/a b.jpg\n"
    assert FORMATS["paths0"](HITS) == "/photos/a b.jpg\0/photos/sub/tab\tnew\nline\\.jpg\0"


def test_table(monkeypatch):
    monkeypatch.chdir("/")
    assert FORMATS["table"](HITS) == (
        "  1   0.250  photos/a b.jpg  (4000x3000)  2020-05-04\n"
        "  2   0.250  photos/sub/tab\\tnew\\nline\\.jpg  (1x2)\n"
    )
    assert FORMATS["table"]([]) == ""


@pytest.mark.parametrize(
    ("folder", "expected"), [("/usr/lib", "python"), ("/usr", "lib/python"), ("/etc", "..")]
)
def test_nearest_name(monkeypatch, folder, expected):
    monkeypatch.chdir(folder)
    shown = nearest_name("/usr/lib/python")
    assert shown == (expected if expected != ".." else "/usr/lib/python")


FOLDED = [
    Hit(1, 0.5, HITS[0].image, duplicates=tuple(each.image for each in HITS[1:])),
    Hit(2, 0.25, HITS[1].image, duplicates=()),
]


def test_folded_hits(monkeypatch):
    monkeypatch.chdir("/")
    first, second = json.loads(FORMATS["json"](FOLDED))
    assert first["duplicates"] == ["/photos/sub/tab\tnew\nline\\.jpg"]
    assert (second["duplicates"], tuple(second)) == ([], (*FIELDS, "duplicates"))
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](FOLDED), newline="")))
    assert [row["duplicates"] for row in rows] == ["1", "0"]
    lines = FORMATS["table"](FOLDED).splitlines()
    assert lines[0].endswith("2020-05-04  +1 like it")
    assert lines[1].endswith("(1x2)")
    assert FORMATS["paths"](FOLDED[:1]) == "/photos/a b.jpg\n", "one path for each"


def test_the_table_is_as_wide_as_the_terminal(monkeypatch):
    monkeypatch.chdir("/")
    assert table_line(HITS[0], 80) == "  1   0.250  photos/a b.jpg  (4000x3000)  2020-05-04"
    long = hit(1, "a" * 50 + "/beach.jpg")
    line = table_line(long, 70)
    assert len(line) == 70
    assert "…" in line
    assert "/beach.jpg  (4000x3000)  2020-05-04" in line
    narrow = table_line(long, 20)
    assert "beach.jpg" in narrow, "too long is better than useless"


@pytest.mark.parametrize("camera", ["=1+1", "+A1", "-A1", "@SUM(A1)"])
def test_a_camera_that_a_spreadsheet_would_run(camera):
    metadata = ImageMetadata(1, 2, "PNG", camera_make=camera, camera_model='Say "hi", twice\n')
    out = FORMATS["csv"]([hit(1, "a.jpg", metadata)])
    [row] = csv.DictReader(io.StringIO(out, newline=""))
    assert row["camera_make"] == "'" + camera
    assert row["camera_model"] == 'Say "hi", twice\n'
    assert json.loads(FORMATS["json"]([hit(1, "a.jpg", metadata)]))[0]["camera_make"] == camera
