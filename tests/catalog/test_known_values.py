"""The values that pictures can be filtered by."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsearch.catalog import Catalog
from imgsearch.catalog.sqlite_file import FILE, connect
from imgsearch.records import KnownValue
from tests.fakes import MemoryFolder, ingest


@pytest.fixture
def labelled(catalog: Catalog) -> Catalog:
    folder = MemoryFolder()
    names = ("2019/Rome/IMG_1.jpg", "2019/Rome/img_2.jpg", "2020/a/b/dsc.jpg", "top.jpg")
    folder.files = {name: (f"content {name}", 1) for name in names}
    ingest(catalog, folder)
    db = connect(str(Path(catalog.folder) / FILE))
    db.execute(
        "UPDATE images SET camera_make = 'Canon', camera_model = 'EOS 5D',"
        " camera_key = 'canon eos 5d' WHERE path LIKE '2019%'"
    )
    for name, people in zip(names, ("Zoë\nAnn Lee", "ZOE", None, None), strict=True):
        db.execute("UPDATE images SET people = ? WHERE path = ?", (people, name))
    db.close()
    return catalog


def test_values_come_as_they_are_written_with_their_counts(labelled: Catalog) -> None:
    assert labelled.known_values() == [
        KnownValue("camera", "Canon EOS 5D", 2),
        KnownValue("person", "Zoë", 2),
        KnownValue("person", "Ann Lee", 1),
    ]


def test_folders_include_those_around_them(labelled: Catalog) -> None:
    root = labelled.roots()[0].path
    below = ["", "/2019", "/2019/Rome", "/2020", "/2020/a", "/2020/a/b"]
    assert labelled.folders() == [root + each for each in below]


def test_names_begin_with_a_text_in_any_case(labelled: Catalog) -> None:
    assert labelled.names("Img", 5) == ["IMG_1.jpg", "img_2.jpg"]
    assert labelled.names("img", 1) == ["IMG_1.jpg"]
    assert labelled.names("%", 5) == []
