"""Two processes and one library: one writer, and readers that are never blocked or inconsistent."""

from __future__ import annotations

import os
import queue
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from imgsearch.indexing.index_files import verify
from imgsearch.library import Library
from imgsearch.searching.hits import Hit
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.settings import Settings
from tests.conftest import full_only
from tests.crash.album import ENCODER, Album
from tests.crash.process import PLUGIN, imgsearch, start

ROUNDS = 6


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Album:
    monkeypatch.syspath_prepend(str(PLUGIN))
    return Album(tmp_path, 11)


def index(library: Path, album: Album, *more: str) -> list[str]:
    return ["index", "--library", str(library), "--model", "cheap", "--batch-size", "2", *more,
            *album.roots]  # fmt: skip


@contextmanager
def stopped_writer(library: Path, album: Album) -> Iterator[subprocess.Popen[str]]:
    """An indexer that holds the writer lock, stopped by SIGSTOP during its work."""
    process = start(*index(library, album))
    try:
        _wait_for(library / "writer.json", process)
        _wait_for_run(library, process)
        process.send_signal(signal.SIGSTOP)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=120)


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and str(process.pid) in path.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)


def _wait_for_run(library: Path, process: subprocess.Popen[str]) -> None:
    catalog = f"file:{library / 'catalog.sqlite'}?mode=ro"
    while True:
        assert process.poll() is None
        with suppress(sqlite3.OperationalError), sqlite3.connect(catalog, uri=True) as connection:
            if connection.execute("SELECT count(*) FROM runs").fetchone()[0]:
                return


@pytest.mark.skipif(os.name != "posix", reason="SIGSTOP")
def test_a_second_indexer_is_refused(album: Album, tmp_path: Path) -> None:
    library = tmp_path / "library"
    for _ in range(40):
        album.write(album.fresh())
    with stopped_writer(library, album) as first:
        second = imgsearch(*index(library, album))
        assert second.returncode == 1
        assert f"process {first.pid} on {socket.gethostname()}" in second.stderr
        assert "Wait until it has finished" in second.stderr
        assert "Traceback" not in second.stderr
        # Other writers are refused, too.
        forget = imgsearch("roots", "--library", str(library), "--forget", album.roots[0])
        assert forget.returncode == 1 and f"process {first.pid} on" in forget.stderr
    assert first.returncode == 0
    with suppress_close(Library(Settings(library=str(library), model="cheap"))) as lib:
        assert {hit.image.file.absolute for hit in find(lib, 1000)} == set(album.pictures())


@contextmanager
def suppress_close(library: Library) -> Iterator[Library]:
    try:
        yield library
    finally:
        library.close()


def find(library: Library, limit: int, seed: int = 0) -> list[Hit]:
    return library.search(SearchRequest([Term(vector=probe(seed))], limit=limit, min_strength=0.0))


def probe(seed: int) -> np.ndarray:
    return ENCODER.encode_texts([str(seed)])[0]


def check(hits: list[Hit], seed: int, album: Album) -> None:
    """Each hit has the path and score of a picture that once existed there."""
    for hit in hits:
        file, content_hash = hit.image.file, hit.image.content_hash
        assert (file.absolute, content_hash) in album.ever
        expected = float(probe(seed) @ album.vectors[content_hash])
        assert abs(hit.score - expected) < 2e-6, hit
    assert len({hit.image.file.absolute for hit in hits}) == len(hits)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    order = [(-hit.score, hit.image.file.absolute) for hit in hits]
    assert order == sorted(order)


class Reader(threading.Thread):
    """Searches continuously, and reopens the library after every eighth search."""

    def __init__(self, library: Path, album: Album, faults: queue.SimpleQueue[BaseException]):
        super().__init__(daemon=True)
        self._settings = Settings(library=str(library), model="cheap")
        self._album = album
        self._faults = faults
        self.searches, self.slowest, self.counts = 0, 0.0, set[int]()
        self.done = threading.Event()

    def run(self) -> None:
        try:
            while not self.done.is_set():
                with suppress_close(Library(self._settings)) as library:
                    for _ in range(8):
                        self._search(library)
        except BaseException as error:
            self._faults.put(error)

    def _search(self, library: Library) -> None:
        seed = random.randrange(1000)
        started = time.monotonic()
        hits = find(library, random.choice([1, 5, 1000]), seed)
        self.slowest = max(self.slowest, time.monotonic() - started)
        check(hits, seed, self._album)
        with library.catalog.snapshot():
            library.searcher.refresh()
            assert verify(library.catalog, library.searcher.index) == []
            ids = library.searcher.index.ids().tolist()
            assert sorted(library.catalog.get(ids)) == ids
            assert len(ids) == sum(root.images for root in library.catalog.roots())
        self.searches += 1
        self.counts.add(len(ids))


@full_only
def test_a_searcher_always_sees_one_consistent_state(album: Album, tmp_path: Path) -> None:
    """Two readers, while another process adds, changes, moves, deletes and purges pictures."""
    library = tmp_path / "library"
    for _ in range(20):
        album.write(album.fresh())
    assert imgsearch(*index(library, album)).returncode == 0
    faults: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    readers = [Reader(library, album, faults) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(ROUNDS):
        album.change(8)
        done = start(*index(library, album), IMGSEARCH_KEEP_DAYS="0" if number % 2 else "30")
        if number % 3 == 2:
            # Files also change during indexing.
            while done.poll() is None:
                album.change(1)
                time.sleep(0.05)
        _, err = done.communicate(timeout=120)
        assert done.returncode == 0, err
    for reader in readers:
        reader.done.set()
    for reader in readers:
        reader.join(60)
        assert not reader.is_alive()
    if not faults.empty():
        raise faults.get()
    assert all(len(reader.counts) >= 3 for reader in readers), "states between the first and last"
    assert imgsearch(*index(library, album)).returncode == 0
    with suppress_close(Library(Settings(library=str(library), model="cheap"))) as lib:
        hits = {hit.image.file.absolute: hit.image.content_hash for hit in find(lib, 10_000)}
    assert hits == album.pictures()
    print(f"{sum(reader.searches for reader in readers)} searches, the slowest took "
          f"{max(reader.slowest for reader in readers):.2f} s")  # fmt: skip


@full_only
def test_readers_are_not_blocked_by_an_open_transaction(album: Album, tmp_path: Path) -> None:
    library = tmp_path / "library"
    assert imgsearch(*index(library, album)).returncode == 0
    before = set(album.pictures())
    connection = sqlite3.connect(library / "catalog.sqlite", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE images SET status = 'gone'")
    try:
        with suppress_close(Library(Settings(library=str(library), model="cheap"))) as lib:
            started = time.monotonic()
            assert {hit.image.file.absolute for hit in find(lib, 10)} == before
            assert lib.status()["images"] == len(before)
            assert time.monotonic() - started < 5
        done = imgsearch("search", "anything", "--all", "--library", str(library),
                         "--format", "paths0", "--model", "cheap")  # fmt: skip
        assert set(done.stdout.split("\0")) - {""} == before
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@full_only
def test_a_writer_is_not_blocked_by_an_open_snapshot(album: Album, tmp_path: Path) -> None:
    """The reader continues to see the state of its snapshot."""
    library = tmp_path / "library"
    assert imgsearch(*index(library, album)).returncode == 0
    before = set(album.pictures())
    with suppress_close(Library(Settings(library=str(library), model="cheap"))) as lib:
        find(lib, 1)
        with lib.catalog.snapshot():
            assert len(lib.catalog.all_ids()) == len(before)
            album.change(10)
            assert imgsearch(*index(library, album)).returncode == 0
            there = {path for path in before if os.path.lexists(path)}
            assert {hit.image.file.absolute for hit in find(lib, 1000)} == there
        assert {hit.image.file.absolute for hit in find(lib, 1000)} == set(album.pictures())


@full_only
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_killed_writer_leaves_no_lock_behind(album: Album, tmp_path: Path) -> None:
    library = tmp_path / "library"
    for _ in range(20):
        album.write(album.fresh())
    with stopped_writer(library, album) as process:
        process.kill()
        process.wait()
        done = imgsearch(*index(library, album))
        assert done.returncode == 0, done.stderr


def test_the_holder_is_named_by_pid_and_host(tmp_path: Path) -> None:
    """In a separate process, because a lock does not exclude its own process."""
    from imgsearch.catalog.lock import writer_lock

    ask = ("from imgsearch.catalog.lock import writer_lock; import sys\n"
           "with writer_lock(sys.argv[1]): print('in')")  # fmt: skip
    with writer_lock(str(tmp_path)):
        done = subprocess.run([sys.executable, "-c", ask, str(tmp_path)], check=False,
                              capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1
    holder = re.search(r"process (\d+) on (\S+), since", done.stderr)
    assert holder and (int(holder[1]), holder[2]) == (os.getpid(), socket.gethostname())
    with suppress(OSError):
        os.remove(tmp_path / "writer.json")
