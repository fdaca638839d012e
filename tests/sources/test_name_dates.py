"""Dates in the names of files."""

from __future__ import annotations

from datetime import datetime

import pytest

from imgsearch.sources.name_dates import read_name

DAY, TIME = datetime(2019, 5, 4), datetime(2019, 5, 4, 12, 1, 2)


@pytest.mark.parametrize(
    "name, start",
    [
        ("IMG-20190504-WA0001.jpg", DAY),
        ("VID-20190504-WA0001.jpg", DAY),
        ("2019-05-04.png", DAY),
        ("2019_05_04 garden.jpg", DAY),
        ("garden 2019.05.04.jpg", DAY),
        ("WP_20190504_001.jpg", DAY),
        ("20190504_999999.jpg", DAY),
        ("1920x1080_20190504.png", DAY),
        ("20190504_120102.jpg", TIME),
        ("20190504_120102(0).jpg", TIME),
        ("20190504120102.jpg", TIME),
        ("IMG20190504120102.jpg", TIME),
        ("MVIMG_20190504_120102.jpg", TIME),
        ("PXL_20190504_120102123.MP.jpg", TIME),
        ("Screenshot_2019-05-04-12-01-02-123_com.app.jpg", TIME),
        ("Screenshot 2019-05-04 at 12.01.02\u202fPM.png", TIME),
        ("WhatsApp Image 2019-05-04 at 12.01.02.jpeg", TIME),
        ("WhatsApp Image 2019-05-04 at 1.01.02 PM.jpeg", TIME.replace(hour=13)),
        ("WhatsApp Bild 2019-05-04 um 12.01.02.jpeg", TIME),
        ("Capture d'écran 2019-05-04 à 12.01.02.png", TIME),
        ("Captura de pantalla 2019-05-04 a las 12.01.02.png", TIME),
        ("Skärmavbild 2019-05-04 kl. 12.01.02.png", TIME),
        ("2019-05-04 garden 12.01.02.jpg", DAY),
        ("signal-2019-05-04-120102.jpg", TIME),
        ("photo_2019-05-04_12-01-02.jpg", TIME),
        ("2019-05-04 12.01.02.jpg", TIME),
        ("WP_20190504_12_01_02_Pro.jpg", TIME),
        ("2019-05-04T12:01:02.jpg", TIME),
        ("00000000_20190504.jpg", DAY),
    ],
)
def test_a_date_in_a_name(name, start):
    named = read_name(name).named
    assert named.start == start and named.precision == ("day" if start == DAY else "second")


@pytest.mark.parametrize(
    "name",
    ["holiday.jpg", "+4915112345678.jpg", "FB_IMG_1556971262123.jpg", "12345678.jpg",
     "20191332.jpg", "20190230.jpg", "0020190504.jpg", "201905041.jpg", "18250101.jpg",
     "20190504-1a2b-4c3d-8e9f-123456789abc.jpg", "ab20190504cdef0123.jpg", "2019-0504.jpg",
     "DSC_2019.jpg", "IMG_20990504.jpg", "20491231_120102.jpg", ""],
)  # fmt: skip
def test_numbers_that_are_not_dates(name):
    assert read_name(name).named is None
