"""Files from reports of users, whose metadata exiftool wrote."""

from __future__ import annotations

import importlib.util
from datetime import datetime

import pytest

from tests.conftest import needs_shared
from tests.sources.metadata_files import read

JULY, FEBRUARY = datetime(1965, 7, 1), datetime(2011, 2, 6)


@needs_shared
@pytest.mark.parametrize(
    "name, stated",
    [
        ("date_month_only.jpg", {"taken_at": JULY, "taken_precision": "month"}),
        ("date_hour24.jpg", {"taken_at": FEBRUARY, "taken_precision": "day"}),
        ("xmp_date.jpg", {"taken_at": datetime(2009, 6, 7, 8, 9, 10), "taken_source": "xmp"}),
        (
            "IMG-20190504-WA0001.jpg",
            {"taken_at": datetime(2019, 5, 4), "taken_source": "file name"},
        ),
        ("comment_cjk.jpg", {"description": "富士山の写真"}),
        ("gps_zero.jpg", {"latitude": None, "longitude": None}),
        ("xmp_headline.jpg", {"title": "quokkaheadline"}),
        ("keyword.jp2", {"keywords": ("jptwokeyw",)}),
        ("keyword.dng", {"keywords": ("dngkeyw",), "taken_at": datetime(2014, 5, 6, 7, 8, 9)}),
        ("hierarchical.jpg", {"keywords": ("Zanzibarhier", "Places")}),
        ("person.jpg", {"people": ("Rosalindperson",)}),
        ("union.jpg", {"keywords": ("alphaxmp", "betaiptc")}),
        ("mpo.jpg", {"format": "JPEG"}),
    ],
)
def test_what_a_reported_file_states(shared, name, stated):
    if name.endswith(".dng") and importlib.util.find_spec("rawpy") is None:
        pytest.skip("needs the extra raw")
    found = read((shared / "reports" / "files" / name).read_bytes(), name)
    assert {field: getattr(found, field) for field in stated} == stated
