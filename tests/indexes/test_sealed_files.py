"""FAISS files: durable, named by their revision, and doubted when anything is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from imgsearch.errors import CatalogError
from imgsearch.indexes import sealed_files
from imgsearch.indexes.faiss_index import FaissIndex
from tests.fakes import SPACE, batch, unit_rows


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


def flushed(folder: Path, revision: int = 7) -> FaissIndex:
    index = FaissIndex(str(folder), "lib", SPACE)
    index.apply(batch([4, 9], unit_rows(2), revision=revision, token="abcdef0123456789"))
    index.flush()
    return index


def test_flush_and_load(folder):
    flushed(folder)
    assert os.listdir(folder) == [f"lib.{SPACE.key}.7.faiss"]
    again = FaissIndex(str(folder), "lib", SPACE)
    assert (again.revision, again.token, again.doubt) == (7, "abcdef0123456789", "")
    assert np.array_equal(again.vectors(np.array([4, 9])), unit_rows(2))
    assert again.unflushed() == 0


def test_a_newer_file_replaces_the_older(folder):
    index = flushed(folder)
    index.apply(batch([5], unit_rows(1), 7, 8))
    assert index.unflushed() == 1
    index.flush()
    assert os.listdir(folder) == [f"lib.{SPACE.key}.8.faiss"]


def test_flush_without_change_writes_nothing(folder):
    index = flushed(folder)
    before = os.stat(folder / f"lib.{SPACE.key}.7.faiss").st_mtime_ns
    index.flush()
    assert os.stat(folder / f"lib.{SPACE.key}.7.faiss").st_mtime_ns == before


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "junk", "grow"])
def test_a_damaged_file_is_doubted(folder, damage):
    flushed(folder)
    path = folder / f"lib.{SPACE.key}.7.faiss"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    changed = {
        "cut": data[: len(data) // 2],
        "flip": data,
        "empty": b"",
        "junk": os.urandom(500),
        "grow": data + b"x",
    }
    path.write_bytes(changed[damage])
    again = FaissIndex(str(folder), "lib", SPACE)
    assert again.revision == 0 and len(again) == 0
    assert "damaged" in again.doubt


def test_the_token_is_sealed_too(folder):
    flushed(folder)
    path = folder / f"lib.{SPACE.key}.7.faiss"
    path.write_bytes(path.read_bytes().replace(b"abcdef0123456789", b"abcdef0123456780"))
    assert "damaged" in FaissIndex(str(folder), "lib", SPACE).doubt


def test_files_of_other_libraries_and_spaces_are_left_alone(folder):
    flushed(folder)
    other = FaissIndex(str(folder), "other", SPACE)
    assert len(other) == 0 and other.doubt == ""
    assert sealed_files.strangers(str(folder), "other") == [f"lib.{SPACE.key}.7.faiss"]


def test_what_a_killed_writer_left_is_swept(folder):
    flushed(folder)
    (folder / ".123.tmp").write_bytes(b"half")
    flushed(folder, revision=9)
    assert os.listdir(folder) == [f"lib.{SPACE.key}.9.faiss"]


def test_a_disk_that_refuses_is_told_in_a_sentence(tmp_path):
    (tmp_path / "index").write_text("a file where the folder should be")
    index = FaissIndex(str(tmp_path / "index"), "lib", SPACE)
    index.apply(batch([1], unit_rows(1)))
    with pytest.raises(CatalogError, match="cannot be written"):
        index.flush()


def test_a_file_of_an_earlier_version_is_called_that(folder):
    folder.mkdir()
    seal = b"imgsidx1" + (100).to_bytes(8, "little") + bytes(48)
    (folder / f"lib.{SPACE.key}.7.faiss").write_bytes(bytes(100) + seal)
    assert "earlier version" in FaissIndex(str(folder), "lib", SPACE).doubt


def test_a_folder_in_the_place_of_the_file_is_moved_aside(tmp_path):
    """Whatever is in it stays; no folder is taken for a file."""
    name = sealed_files.IndexName("library", "space", 7)

    def save(path):
        with open(path, "wb") as file:
            sealed_files.SealedWriter(file).close({"trained": 0})

    for number in (1, 2):
        place = tmp_path / str(name)
        if place.exists():
            place.unlink()
        place.mkdir()
        (place / "content").write_text(str(number))
        assert sealed_files.newest(str(tmp_path), "library", "space") is None
        sealed_files.write(str(tmp_path), name, save)
        assert sealed_files.newest(str(tmp_path), "library", "space") == name
        assert (tmp_path / f"{name}.moved-{number}" / "content").read_text() == str(number)
    assert sealed_files.stored_kind(str(tmp_path), "library", "space", "auto") == "exact"
