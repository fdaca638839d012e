"""What metadata files beside a picture add to its own metadata."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from imgsearch.records import ImageFile
from imgsearch.sources.sidecar_metadata import MAX_SIDECAR_BYTES, read_sidecars, read_takeout
from imgsearch.sources.statement import EXIF, Moment, Statement, merged

TAKEOUT = {
    "title": "IMG_1.jpg",
    "description": "A walk\nby the sea",
    "photoTakenTime": {"timestamp": "1556971272", "formatted": "May 4, 2019, 12:01:12 PM UTC"},
    "creationTime": {"timestamp": "1600000000"},
    "geoData": {"latitude": 48.5, "longitude": -4.25, "altitude": 3.0},
    "geoDataExif": {"latitude": 1.0, "longitude": 2.0},
    "people": [{"name": "Ada"}, {"name": "Bo"}, {"name": "Ada"}],
    "favorited": True,
}
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">From the sidecar</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>harbour</rdf:li><rdf:li>boat</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def takeout(**changes: Any) -> Statement:
    return read_takeout(json.dumps({**TAKEOUT, **changes}).encode(), "sub/IMG_1.jpg")


def test_what_takeout_states() -> None:
    stated = takeout()
    assert stated.taken and stated.taken.start == datetime(2019, 5, 4, 12, 1, 12)
    assert stated.taken.utc_offset_minutes == 0
    assert stated.position == (48.5, -4.25)
    assert (stated.title, stated.description) == ("", "A walk by the sea")
    assert stated.people == ("Ada", "Bo")


def test_a_time_before_1970() -> None:
    stated = takeout(photoTakenTime={"timestamp": "-86400"})
    assert stated.taken and stated.taken.start == datetime(1969, 12, 31)


def test_zero_is_no_position() -> None:
    zero = {"latitude": 0.0, "longitude": 0.0}
    assert takeout(geoData=zero).position == (1.0, 2.0)
    assert takeout(geoData=zero, geoDataExif=zero).position is None
    assert takeout(geoData={"latitude": 0, "longitude": 7.5}).position == (0.0, 7.5)


def test_a_title_counts_if_the_name_was_cut() -> None:
    assert takeout(title="IMG_1_and_what_was_cut.jpg").title == "IMG_1_and_what_was_cut"


@pytest.mark.parametrize(
    "changes",
    [
        {"photoTakenTime": each}
        for each in (None, 7, [], {}, {"timestamp": "x"}, {"timestamp": "0"}, {"timestamp": 1e400},
                     {"timestamp": "9" * 30}, {"timestamp": "9" * 5000}, {"timestamp": None})
    ]
    + [{"people": each} for each in (None, "Ada", {"name": "Ada"}, [None, 7, {"name": 7}, [[]]])]
    + [{"description": each} for each in (None, 7, [], {"a": "b"})]
    + [{"title": each} for each in (None, 7, [], "")],
)  # fmt: skip
def test_values_of_other_kinds_state_nothing(changes: dict[str, Any]) -> None:
    stated = takeout(**changes)
    [field] = changes
    attribute = {"photoTakenTime": "taken"}.get(field, field)
    assert not getattr(stated, attribute)
    assert stated.position == (48.5, -4.25)


@pytest.mark.parametrize("latitude", [91, -91, float("nan"), float("inf"), 10**400, "48.5", None])
def test_a_position_out_of_range_is_none(latitude: object) -> None:
    place = {"latitude": latitude, "longitude": 2.0}
    assert takeout(geoData=place, geoDataExif=place).position is None


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0", b"{", b"[]", b"7", b"null", b'{"description": "of another program"}',
        b"[" * 1_000_000, b'{"geoData":' * 200_000, b"\xff\xfe{}", "{}".encode("utf-16"),
    ],
    ids=range(11),
)  # fmt: skip
def test_other_files_state_nothing(data: bytes) -> None:
    assert read_takeout(data) == Statement()


def file_with(folder: Path, **sidecars: str) -> ImageFile:
    names = [name.replace("__", ".") for name in sidecars]
    for name, content in zip(names, sidecars.values(), strict=True):
        (folder / name).write_text(content)
    return ImageFile(str(folder), "x.jpg", 1, 1, sidecars=tuple(names))


def test_the_order_of_sources(tmp_path: Path) -> None:
    """An XMP sidecar precedes the file, and the file precedes Takeout."""
    moment = Moment(datetime(2001, 2, 3, 4, 5, 6))
    own = Statement(source=EXIF, taken=moment, title="Its own", keywords=("sea", "boat"))
    file = file_with(tmp_path, x__jpg__xmp=XMP, x__jpg__json=json.dumps(TAKEOUT))
    whole, source = merged([own, *read_sidecars(file)])
    assert whole.title == "From the sidecar"
    assert whole.description == "A walk by the sea"
    assert (whole.taken, source) == (moment, "exif")
    assert whole.position == (48.5, -4.25)
    assert set(whole.keywords) == {"sea", "boat", "harbour"} and whole.people == ("Ada", "Bo")
    assert merged(read_sidecars(file))[1] == "takeout"
    assert merged(read_sidecars(file))[0].taken == Moment(
        datetime(2019, 5, 4, 12, 1, 12), "second", 0
    )


def test_a_sidecar_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "secret.xmp"
    outside.write_text(XMP)
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "out.xmp").symlink_to(outside)
    (folder / "large.xmp").write_text(XMP + " " * MAX_SIDECAR_BYTES)
    os.mkfifo(folder / "pipe.xmp")
    names = ("out.xmp", "large.xmp", "pipe.xmp", "missing.xmp")
    assert read_sidecars(ImageFile(str(folder), "x.jpg", 1, 1, sidecars=names)) == []
    (folder / "in.xmp").symlink_to("x.xmp")
    (folder / "x.xmp").write_text(XMP)
    inside = ImageFile(str(folder), "x.jpg", 1, 1, sidecars=("in.xmp",))
    assert [each.title for each in read_sidecars(inside)] == ["From the sidecar"]
