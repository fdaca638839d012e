"""Which folders a watch offers, over real folders and the events of the system."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from imgsearch.indexing import watch as module
from imgsearch.indexing.watch import Watch
from imgsearch.records import RootRecord
from tests.conftest import full_only

SETTLE_SECONDS = 0.2
Start = Callable[..., "Watched"]


class Watched:
    """A watch in a thread, and what it has offered."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.offered: list[str] = []
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for batch in self.watch.batches(self.stop):
            self.offered += batch

    def expect(self, *folders: Path | str, timeout_s: float = 20.0) -> None:
        """Wait for these folders, in any order, and forget what was offered. Folders below these
        may be offered, too: a scan takes the outermost."""
        until = time.monotonic() + timeout_s
        wanted = {str(folder) for folder in folders}
        while not wanted <= set(self.offered) and time.monotonic() < until:
            time.sleep(0.02)
        below = tuple(f"{folder}/" for folder in wanted)
        assert {folder for folder in self.offered if not folder.startswith(below)} == wanted
        self.offered.clear()

    def expect_nothing(self, seconds: float = 1.0) -> None:
        time.sleep(seconds)
        assert self.offered == []

    def close(self) -> None:
        self.stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def roots(tmp_path: Path) -> list[RootRecord]:
    folder = tmp_path / "photos"
    (folder / "2024" / "rome").mkdir(parents=True)
    return [RootRecord(str(folder))]


@pytest.fixture
def start(roots: list[RootRecord], monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a watch of `roots`, past its first batch."""
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.2)
    started: list[Watched] = []

    def begin(**options: object) -> Watched:
        first = [root.path for root in roots if os.path.isdir(root.path)]
        watch = Watch(lambda: list(roots), **{"settle_s": SETTLE_SECONDS, **options})  # type: ignore[arg-type]
        started.append(Watched(watch))
        started[-1].expect(*first)
        return started[-1]

    yield begin
    for each in started:
        each.close()


def photos(roots: Sequence[RootRecord]) -> Path:
    return Path(roots[0].path)


@full_only
def test_a_new_and_a_changed_file(roots: list[RootRecord], start: Start) -> None:
    watched = start()
    file = photos(roots) / "2024" / "rome" / "a.jpg"
    file.write_bytes(b"1")
    watched.expect(file.parent)
    file.write_bytes(b"22")
    watched.expect(file.parent)
    file.read_bytes()
    os.listdir(file.parent)
    watched.expect_nothing()  # reading is not a change


def test_names_that_are_not_utf8(roots: list[RootRecord], start: Start) -> None:
    watched = start()
    folder = os.fsencode(photos(roots)) + b"/caf\xe9"
    os.mkdir(folder)
    watched.expect(photos(roots))
    with open(folder + b"/a.jpg", "wb") as file:
        file.write(b"1")
    watched.expect(os.fsdecode(folder))


def test_a_file_is_offered_when_it_is_written(roots: list[RootRecord], start: Start) -> None:
    watched = start(settle_s=0.6)
    file = photos(roots) / "2024" / "slow.jpg"
    with open(file, "wb", buffering=0) as out:
        for _ in range(20):
            out.write(b"x" * 1000)
            time.sleep(0.1)
            assert watched.offered == []
    watched.expect(file.parent)


@full_only
def test_a_folder_without_a_pause_is_offered_at_last(
    roots: list[RootRecord], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DELAY_SECONDS", 0.5)
    watched = start(settle_s=30)
    (photos(roots) / "2024" / "a.jpg").write_bytes(b"1")
    watched.expect(photos(roots) / "2024")


@full_only
def test_folders_that_come_move_and_go(roots: list[RootRecord], start: Start) -> None:
    watched, top = start(), photos(roots)
    (top / "2025").mkdir()
    watched.expect(top)
    (top / "2025" / "a.jpg").write_bytes(b"1")
    watched.expect(top / "2025")
    os.replace(top / "2025", top / "2024" / "moved")
    watched.expect(top)
    (top / "2024" / "moved" / "b.jpg").write_bytes(b"1")
    watched.expect(top / "2024" / "moved")
    shutil.rmtree(top / "2024")
    watched.expect(top)  # the nearest folder that exists


@full_only
def test_what_a_scan_leaves_out_is_not_offered(roots: list[RootRecord], start: Start) -> None:
    top = photos(roots)
    roots[0] = replace(roots[0], exclude=("drafts/",))
    library = top / "library"
    for name in (".hidden", "drafts", "@eaDir", "library"):
        (top / name).mkdir()
    watched = start(apart=str(library))
    for name in (".hidden", "drafts", "@eaDir", "library"):
        (top / name / "a.jpg").write_bytes(b"1")
    (top / ".part.jpg").write_bytes(b"1")
    watched.expect_nothing()
    roots[0] = replace(roots[0], hidden=True)
    watched.expect_nothing()  # options apply from the next event on
    (top / ".hidden" / "a.jpg").write_bytes(b"22")
    watched.expect(top / ".hidden")


@full_only
def test_a_disk_that_goes_and_comes_back(roots: list[RootRecord], start: Start) -> None:
    watched = start()
    away = photos(roots).with_name("away")
    os.replace(photos(roots), away)
    watched.expect_nothing()
    (away / "2024" / "a.jpg").write_bytes(b"1")
    shutil.copytree(away, photos(roots))  # another inode, as after a mount
    watched.expect(photos(roots))
    (photos(roots) / "2024" / "b.jpg").write_bytes(b"1")
    watched.expect(photos(roots) / "2024")


@full_only
def test_a_folder_joins_and_leaves(roots: list[RootRecord], start: Start, tmp_path: Path) -> None:
    watched = start()
    other = tmp_path / "other"
    other.mkdir()
    roots.append(RootRecord(str(other)))
    watched.expect(other)
    (other / "a.jpg").write_bytes(b"1")
    watched.expect(other)
    del roots[1]
    watched.expect_nothing(0.6)
    (other / "b.jpg").write_bytes(b"1")
    watched.expect_nothing()


@full_only
def test_many_changed_folders_are_one_scan(
    roots: list[RootRecord], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FOLDERS", 3)
    folders = [photos(roots) / f"f{number}" for number in range(5)]
    for folder in folders:
        folder.mkdir()
    watched = start(settle_s=1.0)
    for folder in folders:
        (folder / "a.jpg").write_bytes(b"1")
    watched.expect(photos(roots))


@full_only
def test_folders_without_events_are_polled(
    roots: list[RootRecord], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network disk, and where the system watches no more folders."""

    def full() -> object:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(module, "Observer", full)
    notes: list[str] = []
    watched = start(poll_s=0.5, note=notes.append)
    assert "fs.inotify.max_user_watches" in notes[0]
    watched.expect(photos(roots))
    watched.expect(photos(roots))


def test_a_network_disk_is_polled(
    roots: list[RootRecord], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "filesystem", lambda path: "nfs4")
    watched = start(poll_s=0.5)
    watched.expect(photos(roots))


def test_what_could_not_be_indexed_is_offered_again(
    roots: list[RootRecord], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.3)
    watched = start()
    watched.watch.again([str(photos(roots) / "2024")])
    watched.expect(photos(roots))
