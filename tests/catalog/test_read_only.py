"""A library in a folder that is read-only here, while another process writes to it elsewhere."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from imgsearch.catalog import Catalog, open_catalog
from imgsearch.errors import CatalogError
from tests.fakes import MemoryFolder, ingest

READER = """
import sys
from imgsearch.catalog import open_catalog
from imgsearch.errors import CatalogError
catalog = open_catalog(sys.argv[1])
print("open", flush=True)
for line in sys.stdin:
    try:
        print(catalog.count(), catalog.head()[0], flush=True)
    except CatalogError as error:
        print(error, flush=True)
"""
MOUNT = 'mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" && shift 2 && exec "$@"'

pytestmark = pytest.mark.skipif(
    sys.platform != "linux"
    or os.getuid() != 0
    or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="needs a mount namespace of its own",
)


class Reader:
    """A process that sees a library at a read-only mount point, and keeps it open."""

    def __init__(self, library: Path, place: Path) -> None:
        place.mkdir()
        command = ["unshare", "-m", "sh", "-c", MOUNT, "sh", library, place]
        self.process = subprocess.Popen(
            [*command, sys.executable, "-c", READER, place],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._line() == "open"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._line()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    with closing(open_catalog(str(tmp_path / "library"), create=True)) as catalog:
        _write(catalog, 3)
    return tmp_path / "library"


@pytest.fixture
def reader(library: Path, tmp_path: Path) -> Iterator[Reader]:
    with closing(Reader(library, tmp_path / "ro")) as reader:
        yield reader


def _write(catalog: Catalog, count: int) -> str:
    """Make the library have these pictures; returns what a reader should see."""
    folder = MemoryFolder()
    folder.files = {f"{n}.jpg": (f"content {n}", 1) for n in range(count)}
    ingest(catalog, folder, batch_size=50)
    return f"{catalog.count()} {catalog.head()[0]}"


def test_a_reader_follows_writers_that_come_and_go(library: Path, reader: Reader) -> None:
    assert reader.ask().startswith("3 ")
    for count in (5, 400, 2):
        with closing(open_catalog(str(library))) as catalog:
            expected = _write(catalog, count)
            assert reader.ask() == expected, "while the writer has it open: from the log"
            expected = _write(catalog, count + 1)
            assert reader.ask() == expected
        assert reader.ask() == expected, "when the writer has closed it"
    for count in (7, 8):  # writers that are gone before it looks again
        with closing(open_catalog(str(library))) as catalog:
            expected = _write(catalog, count)
        assert reader.ask() == expected


def test_a_reader_that_starts_beside_a_writer(library: Path, tmp_path: Path) -> None:
    with closing(open_catalog(str(library))) as catalog:
        expected = _write(catalog, 9)
        with closing(Reader(library, tmp_path / "ro")) as reader:
            assert reader.ask() == expected
            expected = _write(catalog, 4)
            assert reader.ask() == expected


def test_what_a_killed_writer_left_is_read(library: Path, tmp_path: Path) -> None:
    writer = subprocess.run(
        [sys.executable, "-c", "import os, signal, sqlite3, sys\n"
         "db = sqlite3.connect(sys.argv[1])\n"
         "db.execute('UPDATE library SET revision = 77'), db.commit()\n"
         "os.kill(os.getpid(), signal.SIGKILL)", library / "catalog.sqlite"],
        check=False,
    )  # fmt: skip
    assert writer.returncode == -9 and (library / "catalog.sqlite-wal").stat().st_size
    with closing(Reader(library, tmp_path / "ro")) as reader:
        assert reader.ask() == "3 77"


def test_a_replaced_read_that_may_be_torn_is_refused(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that comes, writes and goes while a reader is in the middle of one state."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with closing(open_catalog(str(library))) as catalog:
        with pytest.raises(CatalogError, match="while it was read"), catalog.snapshot():
            assert catalog.count() == 3
            with closing(sqlite3.connect(library / "catalog.sqlite")) as db:
                db.execute("UPDATE library SET revision = 77")
                db.commit()
            catalog.count()
        assert catalog.head()[0] == 77
