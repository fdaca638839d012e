"""Backups: complete, checked, and restored into the same library."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgsearch.catalog import open_catalog
from imgsearch.catalog.sqlite_file import FILE
from imgsearch.errors import CatalogError, LibraryBusy, LibraryMissing, LibraryTooNew
from imgsearch.exchange.backup import backup, restore

RUN = (
    "import sys; from imgsearch.exchange import backup as b; getattr(b, sys.argv[1])(*sys.argv[2:])"
)


def _catalog(folder: Path, rows: int = 50) -> Path:
    open_catalog(str(folder), create=True).close()
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute("CREATE TABLE ballast (value BLOB)")
        connection.executemany(
            "INSERT INTO ballast VALUES (?)", [(os.urandom(4000),) for _ in range(rows)]
        )
    connection.close()
    return folder


def _rows(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return _catalog(tmp_path / "library")


def test_a_restored_backup_is_the_library(library: Path, tmp_path: Path) -> None:
    written = backup(str(library), str(tmp_path / "saved"))
    restored = restore(str(tmp_path / "saved"), str(tmp_path / "new"))
    assert (restored.images, restored.vectors) == (written.images, written.vectors)
    assert _rows(tmp_path / "new" / FILE) == _rows(library / FILE)
    assert (tmp_path / "saved").stat().st_mode & 0o077 == 0
    open_catalog(str(tmp_path / "new")).close()


def test_a_backup_during_a_transaction_has_what_was_committed(
    library: Path, tmp_path: Path
) -> None:
    writer = sqlite3.connect(library / FILE, isolation_level=None)
    writer.execute("INSERT INTO ballast VALUES ('committed')")  # in the log, not in the file
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO ballast VALUES ('open')")
    backup(str(library), str(tmp_path / "saved"))
    writer.execute("COMMIT")
    writer.close()
    saved = sqlite3.connect(tmp_path / "saved")
    kept = saved.execute("SELECT value FROM ballast WHERE typeof(value) = 'text'").fetchall()
    saved.close()
    assert kept == [("committed",)]


def test_nothing_is_replaced_unless_asked(library: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.write_bytes(b"mine")
    with pytest.raises(CatalogError, match="already exists"):
        backup(str(library), str(saved))
    assert saved.read_bytes() == b"mine"
    backup(str(library), str(saved), replace=True)
    before = _rows(library / FILE)
    with pytest.raises(CatalogError, match="already holds a library"):
        restore(str(saved), str(library))
    assert _rows(library / FILE) == before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    with pytest.raises(CatalogError, match="not empty"):
        restore(str(saved), str(tmp_path / "photos"), replace=True)
    with pytest.raises(CatalogError, match="the catalog itself"):
        backup(str(library), str(library / FILE), replace=True)
    with pytest.raises(LibraryMissing):
        backup(str(tmp_path / "photos"), str(tmp_path / "other"))


def test_a_library_in_use_is_not_replaced(library: Path, tmp_path: Path) -> None:
    backup(str(library), str(tmp_path / "saved"))
    reader = sqlite3.connect(library / FILE)
    reader.execute("SELECT count(*) FROM ballast").fetchall()
    with pytest.raises(LibraryBusy):
        restore(str(tmp_path / "saved"), str(library), replace=True)
    reader.close()
    with sqlite3.connect(library / FILE) as writer:
        writer.execute("DELETE FROM ballast")
    writer.close()
    restore(str(tmp_path / "saved"), str(library), replace=True)
    assert _rows(library / FILE) == _rows(tmp_path / "saved")


def test_a_damaged_library_is_replaced(library: Path, tmp_path: Path) -> None:
    backup(str(library), str(tmp_path / "saved"))
    (library / FILE).write_bytes(b"not a database" * 1000)
    restore(str(tmp_path / "saved"), str(library), replace=True)
    assert _rows(library / FILE) == _rows(tmp_path / "saved")


def test_files_that_are_not_backups_are_refused(library: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    backup(str(library), str(saved))
    whole = saved.read_bytes()
    newer = tmp_path / "newer"
    shutil.copy(saved, newer)
    with sqlite3.connect(newer) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(LibraryTooNew):
        restore(str(newer), str(tmp_path / "new"))
    for data in (
        b"",
        b"text",
        whole[: len(whole) // 2],
        whole[:9000] + bytes(9000) + whole[18000:],
    ):
        saved.write_bytes(data)
        with pytest.raises(CatalogError):
            restore(str(saved), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("action", ["backup", "restore"])
def test_a_kill_leaves_nothing_that_looks_whole(action: str, tmp_path: Path) -> None:
    library = _catalog(tmp_path / "library", rows=5000)
    backup(str(library), str(tmp_path / "saved"))
    source, target = (
        (library, tmp_path / "out" / "copy")
        if action == "backup"
        else (tmp_path / "saved", tmp_path / "out")
    )
    (tmp_path / "out").mkdir()
    process = subprocess.Popen([sys.executable, "-c", RUN, action, str(source), str(target)])
    while process.poll() is None and not any((tmp_path / "out").glob(".imgsearch-*")):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    final = target if action == "backup" else target / FILE
    assert process.returncode == -signal.SIGKILL
    assert not final.exists()
    subprocess.run([sys.executable, "-c", RUN, action, str(source), str(target)], check=True)
    assert _rows(final) == _rows(library / FILE)
