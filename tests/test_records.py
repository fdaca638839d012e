"""Values that describe a picture."""

from __future__ import annotations

import pytest

from imgsearch.records import camera_name


@pytest.mark.parametrize(("make", "model", "name"), [
    ("Canon", "Canon EOS 80D", "Canon EOS 80D"),
    ("NIKON CORPORATION", "NIKON D750", "NIKON D750"),
    ("EASTMAN KODAK COMPANY", "KODAK EASYSHARE C813", "KODAK EASYSHARE C813"),
    ("LG Electronics", "LG-H870", "LG-H870"),
    ("samsung", "SAMSUNG ES65", "SAMSUNG ES65"),
    ("Apple", "iPhone 12", "Apple iPhone 12"),
    ("HTC", "HTCOne", "HTC HTCOne"),
    ("OLYMPUS IMAGING CORP.", "E-M10", "OLYMPUS IMAGING CORP. E-M10"),
    ("Ricoh", None, "Ricoh"),
    ("", "X100", "X100"),
    ("---", "???", "--- ???"),
    (None, None, None),
])  # fmt: skip
def test_the_name_of_a_camera_has_its_make_once(make, model, name):
    assert camera_name(make, model) == name
