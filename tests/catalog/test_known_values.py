"""The values that pictures can be filtered by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsearch.catalog import Catalog
from imgsearch.records import KnownValue, RootRecord
from tests.fakes import SPACE, encoded


@pytest.fixture
def labelled(catalog: Catalog) -> Catalog:
    pictures = {
        "2019/Rome/IMG_1.jpg": ("Canon", ("Zoë", "Ann Lee")),
        "2019/Rome/img_2.jpg": ("Canon", ("ZOE",)),
        "2020/a/b/dsc.jpg": (None, ()),
        "top.jpg": (None, ()),
    }
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, "none", "fp32")
        for name, (make, people) in pictures.items():
            made = encoded(name, f"content {name}")
            model = make and "EOS 5D"
            facts = replace(made.metadata, camera_make=make, camera_model=model, people=people)
            writer.commit([replace(made, metadata=facts)])
        writer.end_run("done", {})
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
