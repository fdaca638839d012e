"""The contract of ImageSource, for FilesystemSource and the in-memory test double."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

import pytest

from imgsearch.ports import ImageSource
from imgsearch.records import ImageFile, Known, Unvisited
from imgsearch.sources.folder_source import FilesystemSource
from tests.fakes import MemoryFolder


class World(Protocol):
    """A set of files that can be viewed as a source."""

    def put(self, path: str, content: str) -> None: ...
    def remove(self, path: str) -> None: ...
    def close(self) -> None: ...
    def source(self, scope: str = "") -> ImageSource: ...


class Disk:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "photos"

    def put(self, path: str, content: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()

    def close(self) -> None:
        shutil.rmtree(self.root)

    def source(self, scope: str = "") -> ImageSource:
        return FilesystemSource(str(self.root), scope)


class Memory:
    def __init__(self, folder: Path) -> None:
        self.root = str(folder / "photos")
        self.files: dict[str, tuple[str, int]] = {}
        self.unvisited: list[Unvisited] = []

    def put(self, path: str, content: str) -> None:
        self.files[path] = (content, len(self.files) + 1)

    def remove(self, path: str) -> None:
        del self.files[path]

    def close(self) -> None:
        self.unvisited = [Unvisited("", "is not there")]

    def source(self, scope: str = "") -> ImageSource:
        folder = MemoryFolder(self.root, scope)
        folder.files, folder.unvisited = self.files, self.unvisited
        return folder


@pytest.fixture(params=[Disk, Memory])
def world(request, tmp_path) -> World:
    world = request.param(tmp_path)
    for path in ("a.jpg", "sub/b.jpg", "sub/deep/c.jpg", "subway/d.jpg"):
        world.put(path, f"content of {path}")
    return world


def scanned_paths(source: ImageSource) -> list[str]:
    items = list(source.scan())
    assert all(isinstance(item, ImageFile) for item in items)
    return sorted(item.path for item in items)


def test_every_file_is_listed_once_with_its_path_below_the_root(world):
    source = world.source()
    assert scanned_paths(source) == ["a.jpg", "sub/b.jpg", "sub/deep/c.jpg", "subway/d.jpg"]
    assert all(each.root == source.root for each in source.scan())
    assert os.path.isabs(source.root)


@pytest.mark.parametrize(
    ("scope", "paths"),
    [
        ("sub", ["sub/b.jpg", "sub/deep/c.jpg"]),
        ("sub/deep", ["sub/deep/c.jpg"]),
        ("subway", ["subway/d.jpg"]),
    ],
)
def test_a_scope_is_a_folder_and_not_a_prefix_of_names(world, scope, paths):
    source = world.source(scope)
    assert source.scope == scope
    assert scanned_paths(source) == paths


def test_a_scan_sees_changes(world):
    before = {each.path: each for each in world.source().scan()}
    world.remove("sub/b.jpg")
    world.put("e.jpg", "new")
    world.put("a.jpg", "changed and longer than before")
    after = {each.path: each for each in world.source().scan()}
    assert sorted(after) == ["a.jpg", "e.jpg", "sub/deep/c.jpg", "subway/d.jpg"]
    assert after["subway/d.jpg"] == before["subway/d.jpg"]
    assert after["a.jpg"] != before["a.jpg"]


def test_the_same_bytes_have_the_same_digest(world):
    world.put("copy.jpg", "content of a.jpg")
    source = world.source()
    digests = {each.path: source.digest(each) for each in source.scan()}
    assert all(isinstance(each, Known) for each in digests.values())
    assert digests["copy.jpg"].content_hash == digests["a.jpg"].content_hash
    assert len({each.content_hash for each in digests.values()}) == 4
    assert all(each.file.path == path for path, each in digests.items())


def test_an_unreadable_root_yields_one_unvisited_and_no_file(world):
    world.close()
    [only] = world.source().scan()
    assert isinstance(only, Unvisited)
    assert only.path == ""
    assert only.reason
