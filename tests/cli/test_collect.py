"""Pictures collected in a folder: nothing is overwritten, and nothing is half there."""

from __future__ import annotations

import errno
import os

import pytest

from imgsearch.cli import collect
from imgsearch.cli.collect import Copies, Links


@pytest.fixture
def original(tmp_path):
    path = tmp_path / "from" / "beach.jpg"
    path.parent.mkdir()
    path.write_bytes(b"beach")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return str(path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "to").mkdir()
    return str(tmp_path / "to")


def put(into, original) -> tuple[str, bool]:
    target, new = into.put(original, collect._names(into.folder, os.path.basename(original)))
    return os.path.basename(target), new


def listed(folder) -> dict[str, bytes]:
    return {name: _bytes(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("links", ["hard links", "none"])
def test_copies_take_a_free_name(original, folder, monkeypatch, links):
    if links == "none":  # as on FAT

        def refuse(*_):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(collect.os, "link", refuse)
    into = Copies(folder)
    with open(os.path.join(folder, "beach.jpg"), "wb") as file:
        file.write(b"another")
    assert put(into, original) == ("beach-2.jpg", True)
    assert put(into, original) == ("beach-2.jpg", False), "it already exists"
    with open(original, "wb") as file:
        file.write(b"changed")
    assert put(into, original) == ("beach-3.jpg", True)
    assert listed(folder) == {
        "beach.jpg": b"another",
        "beach-2.jpg": b"beach",
        "beach-3.jpg": b"changed",
    }


def test_a_copy_has_the_time_of_its_original(original, folder):
    put(Copies(folder), original)
    assert os.stat(os.path.join(folder, "beach.jpg")).st_mtime == 1_000_000_000


@pytest.mark.parametrize("kind", ["folder", "dangling link", "link to the original"])
def test_existing_files_are_kept(original, folder, kind):
    occupied = os.path.join(folder, "beach.jpg")
    if kind == "folder":
        os.mkdir(occupied)
    else:
        os.symlink("/nowhere" if kind == "dangling link" else original, occupied)
    name, new = put(Copies(folder), original)
    if kind == "link to the original":
        assert (name, new) == ("beach.jpg", False), "the same picture"
    else:
        assert (name, new) == ("beach-2.jpg", True)
    assert os.path.islink(occupied) or os.path.isdir(occupied)
    assert _bytes(original) == b"beach"


def test_a_copy_into_the_folder_of_the_original(original):
    assert put(Copies(os.path.dirname(original)), original) == ("beach.jpg", False)


def test_links(original, folder):
    into = Links(folder)
    assert put(into, original) == ("beach.jpg", True)
    assert put(into, original) == ("beach.jpg", False)
    assert os.readlink(os.path.join(folder, "beach.jpg")) == original
    other = os.path.join(folder, "beach.jpg")
    os.unlink(other)
    os.symlink("/elsewhere/beach.jpg", other)
    assert put(into, original) == ("beach-2.jpg", True)
    assert os.readlink(other) == "/elsewhere/beach.jpg"


@pytest.mark.parametrize("into", [Copies, Links])
def test_a_missing_original_leaves_no_files(original, folder, into):
    os.unlink(original)
    with pytest.raises(FileNotFoundError):
        put(into(folder), original)
    assert listed(folder) == {}


def test_a_pipe_instead_of_a_picture_does_not_block(original, folder):
    os.unlink(original)
    os.mkfifo(original)
    with pytest.raises(OSError, match="not a regular file"):
        put(Copies(folder), original)
    assert listed(folder) == {}


def test_a_failed_copy_leaves_no_files(original, folder, monkeypatch):
    def full(source, target, *_):
        target.write(b"be")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(collect.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        put(Copies(folder), original)
    assert listed(folder) == {}


@pytest.mark.parametrize("name", ["a" * 251 + ".jpg", "é" * 125 + ".jpeg", "x.jpg", "noext"])
def test_numbered_names_fit_a_file_system(name):
    names = collect._names("/f", name)
    first, second, third = (os.path.basename(next(names)) for _ in range(3))
    assert first == name
    assert len({first, second, third}) == 3
    for each, number in ((second, 2), (third, 3)):
        assert len(os.fsencode(each)) <= 255
        stem, extension = os.path.splitext(each)
        assert extension == os.path.splitext(name)[1]
        assert stem.endswith(f"-{number}")
