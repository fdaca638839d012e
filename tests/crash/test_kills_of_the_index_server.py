"""A kill of the client, or of the server, at any moment leaves an index that equals the catalog."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from imgsearch import plugins
from imgsearch.catalog import open_catalog
from imgsearch.errors import IndexServerError
from imgsearch.indexing.index_files import sync, verify
from tests import milvus_server
from tests.conftest import ROOT, needs_server
from tests.crash import SEED, SLOW_KILLS
from tests.fakes import SPACE, MemoryFolder, ingest, unit_rows

RESTART_SECONDS = 60
KILL_SECONDS = 180 if milvus_server.WHOLE else 30
"""Longest round: a whole Milvus takes a minute to start again."""
WRITER = """
import sys
from imgsearch import plugins
from imgsearch.catalog import open_catalog
from imgsearch.indexing.index_files import rebuild, sync
from tests.fakes import SPACE
catalog = open_catalog(sys.argv[1])
class Kind(plugins.index_class(sys.argv[2])):
    trained_from = 500
index = Kind(sys.argv[2], catalog.uuid, SPACE)
sync(catalog, index)
print("begin", flush=True)
index.flush(train=True)
print("flushed", flush=True)
while True:
    rebuild(catalog, index, train=True)
    print("built", flush=True)
    index.clear()
    sync(catalog, index)
    index.flush(train=True)
    print("flushed", flush=True)
"""
"""A process that flushes what is new, and then builds and flushes until it is killed."""

pytestmark = [
    pytest.mark.slow,
    needs_server,
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL"),
]


class Writer:
    """A process that writes the index, and what it has reported."""

    def __init__(self, library: str, url: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", WRITER, library, url]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.steps: list[str] = []
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert self._begun.wait(120), self.process.stderr and self.process.stderr.read()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.steps.append(line.strip())
            self._begun.set()
        self._begun.set()

    def end(self) -> str:
        """Wait for its end; its last line on stderr."""
        text = self.process.stderr.read() if self.process.stderr else ""
        self.process.wait(60)
        self._thread.join(10)
        return text.strip().rpartition("\n")[2]


class Story:
    """A catalog that changes, and an index on the server that is written and killed."""

    def __init__(self, folder, url: str, write_seconds: float) -> None:
        self.write_seconds = write_seconds
        self.random = random.Random(SEED)
        self.folder, self.url = str(folder / "library"), url
        self.catalog = open_catalog(self.folder, create=True)
        self.files = MemoryFolder()
        self.before: list[str] = []

    def change(self) -> None:
        """New, changed and removed pictures."""
        files = self.files.files
        for _ in range(400):
            name = f"{self.random.randrange(3000)}.jpg"
            files[name] = (f"content {self.random.random()}", self.random.randrange(10**6))
        for name in self.random.sample(sorted(files), 100):
            del files[name]
        ingest(self.catalog, self.files, batch_size=500)

    def round(self, kill) -> None:
        self.change()
        writer = Writer(self.folder, self.url)
        # within the first flush, or anywhere in a later build or flush
        share = self.random.choice([0.0, 0.02, 0.1, 0.5, 1.0]) * self.random.random()
        time.sleep(share * self.write_seconds)
        kill(writer)
        self.before += writer.steps
        self.check()

    def _opened(self):
        """The index of a new process. A Milvus that was killed loads its collections for a while
        after it says that it is ready."""
        until = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                index = plugins.index_class(self.url)(self.url, self.catalog.uuid, SPACE)
                assert index.check() == ""
                assert sync(self.catalog, index) == ""
                return index
            except IndexServerError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def check(self) -> None:
        """The index that a new process opens and catches up equals the catalog, bit by bit."""
        index = self._opened()
        assert verify(self.catalog, index) == []
        queries = unit_rows(3, seed=self.random.randrange(10**6))
        ids = index.ids()
        scores = queries @ index.vectors(ids).T
        best = -np.sort(-scores, axis=1)[:, :10]
        assert np.allclose(index.search(queries, 10).scores, best, atol=1e-6)


@pytest.fixture(params=["postgres", "milvus"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def story(tmp_path, server):
    print(f"IMGSEARCH_KILL_SEED={SEED}")
    story = Story(tmp_path, server.database("kills"), server.write_seconds)
    yield story
    steps = {step: story.before.count(step) for step in ("begin", "flushed", "built")}
    print(f"finished before the kills: {steps}")
    assert SLOW_KILLS < 20 or steps["flushed"], "no kill came after a flush"
    story.catalog.close()


@pytest.mark.timeout(60 + KILL_SECONDS * SLOW_KILLS)
def test_kills_of_the_client(story):
    def kill(writer: Writer) -> None:
        writer.process.kill()
        writer.end()

    for _ in range(SLOW_KILLS):
        story.round(kill)
    assert story.before.count("begin") == SLOW_KILLS, "the process was killed while it wrote"


@pytest.mark.timeout(60 + KILL_SECONDS * SLOW_KILLS)
def test_kills_of_the_server(story, server):
    scheme = story.url.partition("://")[0]

    def kill(writer: Writer) -> None:
        server.kill()
        last = writer.end()
        assert last.startswith(f"imgsearch.errors.{IndexServerError.__name__}: {scheme}://"), last
        server.start()

    for _ in range(SLOW_KILLS):
        story.round(kill)
    assert story.before.count("begin") == SLOW_KILLS
