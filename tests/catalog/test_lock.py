"""The writer lock, when somebody removes or replaces its file."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from imgsearch.catalog import Catalog, open_catalog
from imgsearch.catalog.lock import LOCK_FILE, writer_lock
from imgsearch.catalog.sqlite_file import FILE
from imgsearch.errors import LibraryBusy, LibraryMissing
from imgsearch.records import RootRecord
from tests.conftest import sqlite_only
from tests.fakes import DECODER, SPACE, MemoryFolder, encoded, ingest


def _remove(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    (path.parent / "new").touch()
    os.replace(path.parent / "new", path)


@sqlite_only
@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be removed")
@pytest.mark.parametrize("change", [_remove, _replace])
def test_a_writer_whose_lock_file_is_gone_writes_no_more(
    catalog: Catalog, change: Callable[[Path], None]
) -> None:
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit([encoded("a.jpg", "content a")])
        change(Path(catalog.folder) / LOCK_FILE)
        # Another process can take the lock now, and does not know of this writer.
        with closing(open_catalog(catalog.folder)) as other, other.writer() as second:
            second.put_root(RootRecord("/elsewhere"))
            with pytest.raises(LibraryBusy, match="removed or replaced"):
                writer.commit([encoded("b.jpg", "content b")])
            second.put_root(RootRecord("/more"))
    assert catalog.count() == 1
    assert len(catalog.roots()) == 3
    folder = MemoryFolder()
    folder.files = {"c.jpg": ("content c", 1)}
    assert ingest(catalog, folder).encoded == 1, "a later run is as usual"


def test_a_library_that_another_process_is_making_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with writer_lock(str(tmp_path)), pytest.raises(LibraryMissing):
        open_catalog(str(tmp_path))
    open_catalog(str(tmp_path)).close()
