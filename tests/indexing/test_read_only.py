"""Pictures are only read: everything below a root is the same before and after."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PHOTOS, full_only
from tests.crash.album import Album, fingerprint
from tests.crash.process import imgsearch

NAMES = ["tabby_cat_face.jpg", "kingfisher.webp", "baseball.png", "horses.heic"]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Write-protected pictures of several formats, some of them broken."""
    place = tmp_path / "pictures"
    place.mkdir()
    Album(place, 1).change(60)
    for name in NAMES:
        shutil.copy(PHOTOS / name, place / name)
    (place / "notes.txt").write_text("no picture")
    (place / "link.jpg").symlink_to("tabby_cat_face.jpg")
    paths = [place, *place.rglob("*")]
    _permit(paths, ~0o222)
    yield place
    _permit(paths, 0o777, add=0o200)


def _permit(paths: list[Path], mask: int, add: int = 0) -> None:
    for path in paths:
        if not path.is_symlink():
            os.chmod(path, path.stat().st_mode & mask | add)


@full_only
def test_nothing_below_a_root_is_written(tree: Path, tmp_path: Path) -> None:
    before = fingerprint(str(tree))
    library = ["--library", str(tmp_path / "library"), "--model", "cheap"]
    cat = str(tree / "tabby_cat_face.jpg")
    for command in (
        ["index", str(tree), "--dry-run", *library],
        ["index", str(tree), *library, "--json"],
        ["index", str(tree), *library],
        ["search", "a cat", *library],
        ["similar", cat, *library, "--format", "json"],
        ["similarity", cat, "a cat", *library],
        ["status", *library[:2]],
        ["skipped", *library[:2]],
        ["roots", *library[:2]],
    ):
        done = imgsearch(*command)
        assert done.returncode == 0, (command, done.stderr)
        assert fingerprint(str(tree)) == before, command
        if "--json" in command:
            assert json.loads(done.stdout)["added"] > 20


@full_only
def test_a_library_within_a_root_is_refused(tree: Path) -> None:
    before = fingerprint(str(tree))
    for library in (tree / "library", tree, tree / "a" / "b"):
        for more in ((), ("--dry-run",)):
            done = imgsearch("index", str(tree), "--library", str(library), *more)
            assert done.returncode == 1
            assert "is inside" in done.stderr and "--library" in done.stderr
            assert "Traceback" not in done.stderr
    assert fingerprint(str(tree)) == before


@full_only
def test_a_root_that_grows_around_the_library_is_refused(tmp_path: Path) -> None:
    """Also through a link, and for a known root."""
    root, library = tmp_path / "one", tmp_path / "elsewhere"
    shutil.copytree(PHOTOS, root, ignore=lambda folder, names: set(names) - set(NAMES))
    assert (
        imgsearch("index", str(root), "--library", str(library), "--model", "cheap").returncode == 0
    )
    shutil.move(library, root / "library")
    library.symlink_to(root / "library")
    before = fingerprint(str(root))
    for paths in ([], [str(root)]):
        done = imgsearch("index", *paths, "--library", str(library), "--model", "cheap")
        assert done.returncode == 1 and "is inside" in done.stderr
    after = fingerprint(str(root))
    library_path = str(root / "library")
    assert {k: v for k, v in after.items() if not k.startswith(library_path)} == {
        k: v for k, v in before.items() if not k.startswith(library_path)
    }
