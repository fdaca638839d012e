"""A new, changed or deleted sidecar changes the metadata of its picture, and not the vector."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from imgsearch.catalog import Catalog
from tests.conftest import full_only
from tests.crash.plugin.cheap_encoder import CheapEncoder
from tests.fakes import rehearsed
from tests.indexing.real_files import CountingSource, Photos, picture
from tests.sources.test_sidecar_metadata import TAKEOUT, XMP


@pytest.fixture
def photos(catalog: Catalog, tmp_path: Path) -> Photos:
    photos = Photos(catalog, tmp_path / "photos")
    for seed, name in enumerate(("a.jpg", "b.jpg", "sub/a.jpg")):
        picture(photos.roots[0] / name, seed)
    (photos.roots[0] / "a.jpg.xmp").write_text(XMP)
    assert photos.index().added == 3
    return photos


def test_a_new_picture_is_read_with_its_sidecars(photos: Photos) -> None:
    root = photos.roots[0]
    assert photos.metadata(root / "a.jpg").title == "From the sidecar"
    assert photos.metadata(root / "b.jpg").title is None
    assert photos.metadata(root / "sub/a.jpg").title is None
    assert photos.index().unchanged == 3 and not photos.described


@full_only
def test_changes_of_a_sidecar(photos: Photos) -> None:
    root, revision, vectors = photos.roots[0], photos.catalog.head(), photos.vectors()
    sidecar = root / "b.jpg.supplemental-metadata.json"
    titles = []
    for content in ("One", "Two", None):
        if content:
            sidecar.write_text(json.dumps({**TAKEOUT, "description": content}))
        else:
            sidecar.unlink()
        source = CountingSource(str(root))
        assert rehearsed(photos.catalog, source, space=CheapEncoder.space).updated == 1
        report = photos.index()
        assert (report.updated, report.unchanged, photos.described) == (1, 2, ["b.jpg"])
        assert not photos.encoded
        titles.append(photos.metadata(root / "b.jpg").description)
        assert photos.index().unchanged == 3 and not photos.described
    assert titles == ["One", "Two", None]
    assert photos.catalog.head() == revision and photos.vectors() == vectors


def test_words_of_a_sidecar_can_be_searched(photos: Photos) -> None:
    [hit] = photos.catalog.with_words("harbour", 10)
    assert photos.catalog.get([hit[0]])[hit[0]].file.path == "a.jpg"
    (photos.roots[0] / "a.jpg.xmp").unlink()
    photos.index()
    assert not photos.catalog.with_words("harbour", 10)


def test_one_sidecar_of_two_pictures(photos: Photos) -> None:
    root = photos.roots[0]
    picture(root / "b.png", 7)
    (root / "b.xmp").write_text(XMP)
    report = photos.index()
    assert (report.added, report.updated) == (1, 1)
    assert {photos.metadata(root / name).title for name in ("b.jpg", "b.png")} == {
        "From the sidecar"
    }


def test_a_picture_moves_with_its_sidecar_and_without_it(photos: Photos) -> None:
    root = photos.roots[0]
    for name in ("a.jpg", "a.jpg.xmp"):
        (root / name).rename(root / "sub" / f"moved_{name}")
    report = photos.index()
    assert (report.moved, report.removed, report.updated, photos.encoded) == (1, 0, 0, [])
    assert photos.metadata(root / "sub/moved_a.jpg").title == "From the sidecar"
    (root / "sub/moved_a.jpg").rename(root / "c.jpg")
    assert (photos.index().moved, photos.encoded) == (1, [])
    assert photos.metadata(root / "c.jpg").title is None
    assert photos.index().unchanged == 3 and not photos.described


def test_a_copy_has_its_own_sidecars(photos: Photos) -> None:
    root = photos.roots[0]
    shutil.copy2(root / "a.jpg", root / "copy.jpg")
    report = photos.index()
    assert (report.added, report.updated, photos.encoded) == (1, 0, [])
    assert photos.metadata(root / "copy.jpg").title is None
    assert photos.metadata(root / "a.jpg").title == "From the sidecar"


def test_a_run_that_ends_before_a_sidecar_is_read_loses_nothing(photos: Photos) -> None:
    root = photos.roots[0]
    (root / "a.jpg").rename(root / "moved.jpg")
    (root / "a.jpg.xmp").write_text(XMP.replace("From the sidecar", "Later"))
    (root / "a.jpg.xmp").rename(root / "moved.jpg.xmp")
    committed: list[int] = []
    photos.index(after_commit=lambda: committed.append(1), stop=lambda: bool(committed))
    assert not photos.described
    report = photos.index()
    assert (report.updated, photos.described, photos.encoded) == (1, ["moved.jpg"], [])
    assert photos.metadata(root / "moved.jpg").title == "Later"


def test_a_sidecar_and_its_picture_change_together(photos: Photos) -> None:
    root = photos.roots[0]
    picture(root / "a.jpg", 8)
    (root / "a.jpg.xmp").unlink()
    report = photos.index()
    assert (report.updated, photos.encoded) == (1, ["a.jpg"])
    assert photos.metadata(root / "a.jpg").title is None
    assert photos.index().unchanged == 3


def test_an_excluded_sidecar_is_not_read(catalog: Catalog, tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", 1)
    (tmp_path / "a.jpg.xmp").write_text(XMP)
    (tmp_path / "a.jpg.json").write_text(json.dumps(TAKEOUT))
    [all_] = CountingSource(str(tmp_path)).scan()
    assert all_.sidecars == ("a.jpg.xmp", "a.jpg.json")
    [some] = CountingSource(str(tmp_path), exclude=["*.json"]).scan()
    assert some.sidecars == ("a.jpg.xmp",) and some.sidecar_stamp != all_.sidecar_stamp
