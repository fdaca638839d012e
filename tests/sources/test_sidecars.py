"""Which metadata files belong to which picture."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from imgsearch.sources.sidecars import FolderSidecars

LONG = "a_name_that_is_longer_than_the_forty_six_characters"
CUT = LONG[:47]
"""Takeout cuts the name of a picture itself to 47 characters."""


def sidecars(*names: str) -> FolderSidecars:
    return FolderSidecars("/nowhere", names, True)


@pytest.mark.parametrize(
    ("image", "sidecar"),
    [
        ("x.jpg", "x.jpg.xmp"),
        ("x.jpg", "x.xmp"),
        ("x.jpg", "x.XMP"),
        ("X.JPG", "x.jpg.XMP"),
        ("x.nef", "x.xmp"),
        ("x.jpg", "x.jpg.json"),
        ("x.JPG", "x.JPG.JSON"),
        ("x.jpg", "x.json"),
        ("x.jpg", "x.jpg.supplemental-metadata.json"),
        ("x.jpg", "x.jpg.supplemental-me.json"),
        ("x.jpg", "x.jpg.s.json"),
        ("x.jpg", "x.jpg..json"),
        ("x.y.jpg", "x.y.jpg.supple.json"),
        ("x(1).jpg", "x.jpg(1).json"),
        ("x(1).jpg", "x(1).jpg.json"),
        ("x(1).jpg", "x(1).json"),
        ("x(12).jpg", "x.jpg.supplemental-metadata(12).json"),
        ("x(1).jpg", "x.jpg.supplemental-meta(1).json"),
        ("x-edited.jpg", "x.jpg.json"),
        ("x-edited.jpg", "x.jpg.supplemental-metadata.json"),
        ("x-edited.jpg", "x.HEIC.supplemental-metadata.json"),
        ("x-bearbeitet.jpg", "x.jpg.json"),
        ("x-modifi\u00e9.jpg", "x.jpg.json"),
        ("x-\u7de8\u96c6\u6e08\u307f.jpg", "x.jpg.json"),
        ("x-edited(1).jpg", "x.jpg(1).json"),
        ("x(1)-edited.jpg", "x.jpg.supplemental-metadata(1).json"),
        (f"{CUT}.jpg", f"{LONG[:46]}.json"),
        (f"{CUT}(1).jpg", f"{LONG[:46]}(1).json"),
        (f"{LONG[:41]}.jpg", f"{LONG[:41]}.jpg..json"),
        (f"{LONG[:42]}.jpg", f"{LONG[:42]}.jpg.json"),
        (f"{LONG[:43]}.jpg", f"{LONG[:43]}.jp.json"),
        (f"{LONG[:45]}.jpg", f"{LONG[:45]}..json"),
        (f"{LONG[:46]}.jpg", f"{LONG[:46]}.json"),
        (f"{LONG[:30]}.jpg", f"{LONG[:30]}.jpg.supplementa.json"),
        (f"{LONG[:36]}.jpg", f"{LONG[:36]}.JP.supplemental-meta.json"),
        (f"{LONG[:42]}-edit.jpg", f"{LONG[:42]}.jpg.json"),
        (f"{LONG[:44]}-ha.jpg", f"{LONG[:44]}.j.json"),
        (unicodedata.normalize("NFD", "\u00e9t\u00e9.jpg"), "\u00e9t\u00e9.jpg.json"),
    ],
)
def test_a_sidecar_belongs_to(image: str, sidecar: str) -> None:
    assert sidecars(sidecar, "metadata.json").of(image) == (sidecar,)


@pytest.mark.parametrize(
    ("image", "sidecar"),
    [
        ("x.jpg", "y.jpg.json"),
        ("x.jpg", "x.jpg(1).json"),
        ("x(1).jpg", "x.jpg.json"),
        ("x(1).jpg", "x.jpg(2).json"),
        ("x.jpg", "xy.jpg.json"),
        ("xy.jpg", "x.json"),
        ("x.jpg", "x.jpg.other.json"),
        ("x-2.jpg", "x.jpg.json"),
        ("x-ed.jpg", "x.jpg.json"),
        ("x.jpg", "x-edited.jpg.json"),
        ("x.jpg", "x.png.xmp"),
        ("x.jpg", "x.png.json"),
        (f"{LONG[:38]}.jpg", f"{LONG[:37]}.json"),
        (f"{LONG[:40]}_other.jpg", f"{LONG[:46]}.json"),
    ],
)
def test_a_sidecar_does_not_belong_to(image: str, sidecar: str) -> None:
    assert sidecars(sidecar).of(image) == ()


def test_the_order_is_that_of_precedence() -> None:
    folder = sidecars("x.json", "x.jpg.supplemental-metadata.json", "x.xmp", "x.jpg.xmp")
    assert folder.of("x.jpg") == ("x.jpg.xmp", "x.xmp", "x.jpg.supplemental-metadata.json")
    assert folder.of("x.png") == ("x.xmp", "x.json")
    own = sidecars("x.jpg(1).json", "x(1).jpg.json")
    assert own.of("x(1).jpg") == ("x(1).jpg.json",)


def test_a_stamp_changes_with_each_of_the_files(tmp_path: Path) -> None:
    names = ("x.jpg.xmp", "x.xmp")

    def stamp() -> int:
        return FolderSidecars(str(tmp_path), names, True).stamp(names)

    stamps = [stamp()]
    for name in names:
        (tmp_path / name).write_text("one")
        stamps.append(stamp())
        os.utime(tmp_path / name, (1, 1))
        stamps.append(stamp())
        (tmp_path / name).write_text("two")
        os.utime(tmp_path / name, (1, 1))  # only the ctime shows it
        stamps.append(stamp())
    assert len(set(stamps)) == len(stamps) and stamp() == stamps[-1]
    assert all(-(2**63) <= each < 2**63 and each for each in stamps)
    assert FolderSidecars(str(tmp_path), names, True).stamp(()) == 0
