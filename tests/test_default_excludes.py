"""What a scan leaves out by default: copies go, originals stay, and a name given is a folder."""

from __future__ import annotations

import re

import pytest

from imgsearch import default_excludes
from tests.conftest import CHECKOUT
from tests.sources.test_folder_source import put, scan


@pytest.mark.parametrize(
    "name",
    [
        *sorted(default_excludes.NAMES),
        ".Trash",
        ".Trash-1000",
        ".Trashes",
        "$RECYCLE.BIN",
        "#SNAPSHOT",
        "@Recently-Snapshot",
        "@eaDir",
        "RECYCLER",
        "Catalog Previews.lrdata",
        "Catalog.LRCAT-DATA",
    ],
)
def test_such_a_folder_is_left_out_and_can_be_named(tmp_path, name):
    put(tmp_path, "a.jpg", f"{name}/b.jpg", f"deep/{name}/sub/c.jpg")
    assert scan(tmp_path) == (["a.jpg"], {}, {})
    assert scan(tmp_path, hidden=True) == (["a.jpg"], {}, {})
    assert scan(tmp_path / name)[0] == ["b.jpg"]
    assert scan(tmp_path / "deep" / name)[0] == ["sub/c.jpg"]


@pytest.mark.parametrize(
    ("original", "copies"),
    [
        (
            "F.photoslibrary/originals/0/a.heic",
            ["resources/derivatives/a.jpg", "Previews/a.jpg", "scopes/cloud/a.jpg"],
        ),
        ("Old.PhotosLibrary/Masters/2012/a.jpg", ["Thumbnails/a.jpg", "resources/media/a.jpg"]),
        ("iPhoto.photolibrary/Masters/a.jpg", ["Thumbnails/a.jpg", "Previews/2012/a.jpg"]),
        ("iPhoto Library/Originals/a.jpg", ["Modified/a.jpg", "Data/a.jpg"]),
        ("A.aplibrary/Masters/2010/a.jpg", ["Thumbnails/a.jpg", "Previews/a.jpg"]),
        ("A.aplibrary/P.approject/a.aplmaster/a.jpg", ["Thumbnails/a.jpg"]),
        ("session/Capture/a.jpg", ["Capture/CaptureOne/Cache/Thumbnails/a.jpg"]),
        ("C.cocatalog/Originals/a.jpg", ["Cache/Thumbnails/a.jpg"]),
        ("data/me/files/a.jpg", ["../appdata_oc1x2y/preview/1/a.jpg", "files_trashbin/a.jpg"]),
        ("lightroom/a.jpg", ["Main Previews.lrdata/1/a.jpg", "Main.lrcat-data/b.jpg"]),
        ("picasa/.picasaoriginals/a.jpg", [".thumbnails/a.jpg"]),
    ],
)
def test_originals_stay(tmp_path, original, copies):
    top = original.split("/")[0]
    put(tmp_path, original, *(f"{top}/{copy}" for copy in copies if "../" not in copy))
    put(tmp_path, *(f"{top}/{copy[3:]}" for copy in copies if "../" in copy))
    hidden = ".picasa" in original
    assert scan(tmp_path, hidden=hidden)[0] == [original]
    assert scan(tmp_path / top, hidden=hidden)[0] == [original.partition("/")[2]]


def test_a_folder_of_copies_can_be_named(tmp_path):
    put(tmp_path, "F.photoslibrary/resources/derivatives/a.jpg")
    assert scan(tmp_path / "F.photoslibrary" / "resources")[0] == ["derivatives/a.jpg"]


def test_similar_names_stay(tmp_path):
    paths = ["cache/a.jpg", "masters/a.jpg", "originals/a.jpg", "preview/a.jpg", "snapshot/a.jpg"]
    paths += ["recycling/a.jpg", "zfs/a.jpg", "x.photoslibrary.backup/resources/a.jpg"]
    put(tmp_path, *paths)
    assert scan(tmp_path)[0] == sorted(paths)


def test_the_documentation_lists_them_all():
    page = (CHECKOUT / "docs" / "FOLDERS.md").read_text().lower()
    listed = set(re.findall(r"`([^`]+)`", page))
    for name in (*default_excludes.NAMES, ".trash*"):
        assert name in listed, name
    for end in (
        *default_excludes.SUFFIXES,
        *default_excludes.PACKAGES,
        *default_excludes.COPIES_INSIDE,
    ):
        assert any(f"*{end}" in each for each in listed), end
