"""A kill at any moment leaves a library intact: no committed picture lost, none confused."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from imgsearch.catalog import open_catalog
from imgsearch.errors import LibraryMissing
from tests.crash import KILLS, SEED
from tests.crash.album import Album, inspect, open_index
from tests.crash.process import Exit, drive

LIFE = 20
"""Kills per library."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(60 + 30 * LIFE),
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL"),
]


class Story:
    """A library, its pictures, and the kills that it survives."""

    def __init__(self, place: Path, seed: int, kind: str, url: str = "") -> None:
        self.kind, self.url = kind, url
        self.random = random.Random(seed)
        self.album = Album(place, seed)
        self.library = str(place / "library")
        self.committed: dict[str, str] = {}
        self.revision = self.flushed = 0
        self.span = {"index": 1.0, "search": 0.3}
        self.steps = {"index": 20_000, "search": 2_000}
        self.tally: Counter[str] = Counter()
        for _ in range(6):
            self.album.add()

    def round(self) -> bool:
        """Change the pictures, start a process, kill it, and check; True if the kill exit it."""
        self.album.change(self.random.randrange(10))
        command = self._command()
        kind = command[0]
        exit, how = self._run(command)
        assert exit.killed or exit.status in (0, 1), exit.stdout
        assert "Traceback" not in exit.stdout or exit.killed, exit.stdout
        self._check(exit)
        if exit.killed:
            self.tally[f"{kind} by {how}"] += 1
            self.tally["after a commit"] += bool(exit.committed)
            self.tally["after a flush"] += bool(exit.last("flushed"))
            self.tally["with lists"] += bool(exit.last("trained"))
        elif kind == "index":
            self.span[kind] = exit.seconds
            self.steps[kind] = exit.last("steps") or self.steps[kind]
        return exit.killed

    def _command(self) -> list[str]:
        library = ["--library", self.library, "--quiet"]
        if self.random.random() < 0.15 and os.path.exists(self.library):
            if self.random.random() < 0.7:
                shutil.rmtree(os.path.join(self.library, "index"), ignore_errors=True)
                self.flushed = 0
            return ["search", *library, "--model", "cheap", "anything"]
        sizes = ["--batch-size", str(self.random.randrange(1, 9)), "--workers", "2"]
        return ["index", *library, *sizes, "--model", "cheap", *self.album.roots]

    def _run(self, command: list[str]) -> tuple[Exit, str]:
        kind = command[0]
        more = {"IMGSEARCH_KEEP_DAYS": self.random.choice(["0", "30"]), **self._environment()}
        if self.random.random() < 0.5:
            more["DRIVER_FLUSH"] = "1"
        before = self.album.fingerprint()
        how = self.random.choices(["start", "clock", "fact", "step"], [1, 4, 6, 4])[0]
        if how == "step":
            exit = drive(command, DRIVER_STEP=str(self._step(kind)), **more)
        elif how == "start":
            exit = drive(command, self.random.uniform(0, 0.6), facts=0, **more)
        elif how == "fact":
            facts = self.random.randrange(2, 10)
            exit = drive(command, self.random.uniform(0, 0.03), facts, **more)
        else:
            exit = drive(command, self.random.uniform(0, self.span[kind]), **more)
        assert self.album.fingerprint() == before
        return exit, how

    def _environment(self) -> dict[str, str]:
        index = {"IMGSEARCH_INDEX": self.kind, "DRIVER_TRAINED": "8"}
        return {**index, "IMGSEARCH_CATALOG": self.url} if self.url else index

    def _step(self, kind: str) -> int:
        """A step from a uniform or, equally often, a log-uniform distribution."""
        steps = self.steps[kind]
        even = self.random.random() < 0.5
        return max(
            1, round(steps * self.random.random() if even else steps ** self.random.random())
        )

    def _check(self, exit: Exit) -> None:
        """All that was reported as committed or flushed exists, and all that exists is right."""
        present = self.album.pictures()
        self.committed |= exit.committed
        self.committed = {p: h for p, h in self.committed.items() if present.get(p) == h}
        self.revision = max(self.revision, exit.last("revision"))
        self.flushed = max(self.flushed, exit.last("flushed"))
        try:
            catalog = open_catalog(self.library, url=self.url)
        except LibraryMissing:
            assert not self.committed
            return
        try:
            index = open_index(catalog)
            assert index.revision >= self.flushed
            pictures = inspect(catalog, index, self.album)
            assert catalog.head()[0] >= self.revision
            assert self.committed.items() <= pictures.items()
        finally:
            catalog.close()

    def end(self) -> None:
        """An undisturbed run makes the library equal to the folders."""
        command = ["index", "--library", self.library, "--model", "cheap", *self.album.roots]
        exit = drive(command, DRIVER_FLUSH="1", **self._environment())
        assert bool(exit.last("trained")) <= (self.kind == "ivf")
        assert exit.status == 0, exit.stdout
        self._check(exit)
        catalog = open_catalog(self.library, url=self.url)
        try:
            assert inspect(catalog, open_index(catalog), self.album) == self.album.pictures()
            skipped = {each.file.absolute for each in catalog.skipped()}
            assert skipped == set(self.album.paths()) - set(self.album.pictures())
        finally:
            catalog.close()
        left = [name for name in os.listdir(Path(self.library) / "index") if name.endswith("tmp")]
        assert left == []


@pytest.mark.parametrize("kind", ["auto", "ivf"])
@pytest.mark.parametrize("life", range(-(-KILLS // (2 * LIFE))))
def test_no_kill_loses_or_confuses_a_picture(tmp_path: Path, kind: str, life: int) -> None:
    started = time.monotonic()
    goal = min(LIFE, max(1, KILLS // 2) - life * LIFE)
    print(f"IMGSEARCH_KILL_SEED={SEED} IMGSEARCH_KILLS={KILLS}, life {life} of the kind {kind}")
    story, killed = Story(tmp_path, SEED + life, kind), 0
    while killed < goal:
        killed += story.round()
    story.end()
    print(f"{killed} kills in {time.monotonic() - started:.0f} s: {dict(story.tally)}")
