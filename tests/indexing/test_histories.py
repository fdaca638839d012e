"""After any history of the files, catalog and index agree with them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from imgsearch.catalog import open_catalog
from imgsearch.catalog.rows import from_blobs, to_blob
from imgsearch.errors import EncoderError
from imgsearch.indexes.faiss_index import FaissIndex, FlatIndex
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexing.index_files import rebuild, sync, verify
from imgsearch.ports import VectorIndex
from imgsearch.records import Unvisited
from tests.conftest import examples, needs_server
from tests.fakes import (
    DIMENSION,
    OTHER,
    SPACE,
    MemoryFolder,
    MemoryPool,
    SmallIvf,
    held,
    ingest,
    vector_of,
)
from tests.postgres_server import PostgresServer

PATHS = ["x.jpg", "y.jpg", "a/x.jpg", "a/b/z.jpg"]
CONTENTS = [f"content {n}" for n in range(6)] + ["broken 1", "broken 22"]
paths = st.sampled_from(PATHS)
contents = st.sampled_from(CONTENTS)
roots = st.sampled_from([0, 1])


class Histories(RuleBasedStateMachine):
    """Two folders change in all possible ways; runs succeed, fail or stop early."""

    kind: type[FaissIndex] = FlatIndex
    new_url: Callable[[], str] = str
    """Returns the place of the next catalog."""

    @initialize()
    def open(self) -> None:
        self.place = tempfile.mkdtemp(prefix="imgsearch-test-")
        self.library = str(Path(self.place) / "library")
        self.url = type(self).new_url()
        self.catalog = open_catalog(self.library, create=True, url=self.url)
        self.folders = [MemoryFolder("/one"), MemoryFolder("/two")]
        self.clock = 1
        self.reader = MemoryIndex("", self.catalog.uuid, SPACE)
        self.settled: set[int] = set()
        self.ids: dict[int, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "place"):
            self.catalog.close()
            shutil.rmtree(self.place)

    def _tick(self) -> int:
        self.clock += 1
        return self.clock

    @rule(root=roots, files=st.dictionaries(paths, contents, min_size=1))
    def write(self, root: int, files: dict[str, str]) -> None:
        for path, content in files.items():
            self.folders[root].files[path] = (content, self._tick())

    @rule(root=roots, path=paths)
    def touch(self, root: int, path: str) -> None:
        files = self.folders[root].files
        if path in files:
            files[path] = (files[path][0], self._tick())

    @rule(source=roots, old=paths, goal=roots, new=paths)
    def move(self, source: int, old: str, goal: int, new: str) -> None:
        if old in self.folders[source].files:
            self.folders[goal].files[new] = self.folders[source].files.pop(old)

    @rule(source=roots, old=paths, goal=roots, new=paths)
    def copy(self, source: int, old: str, goal: int, new: str) -> None:
        if old in self.folders[source].files:
            self.folders[goal].files[new] = self.folders[source].files[old]

    @rule(root=roots, one=paths, other=paths)
    def swap(self, root: int, one: str, other: str) -> None:
        files = self.folders[root].files
        if one in files and other in files:
            files[one], files[other] = files[other], files[one]

    @rule(root=roots, path=paths)
    def delete(self, root: int, path: str) -> None:
        self.folders[root].files.pop(path, None)

    @rule(batch_size=st.integers(1, 5))
    def run(self, batch_size: int) -> None:
        ingest(self.catalog, *self.folders, batch_size=batch_size)
        self._agree()

    @rule()
    def run_in_another_space(self) -> None:
        ingest(self.catalog, *self.folders, space=OTHER)
        assert set(held(self.catalog, OTHER)) == set(self._expected())

    @rule(after=st.integers(0, 4))
    def run_that_fails(self, after: int) -> None:
        pool = MemoryPool(*self.folders)
        pool.fail_after = after
        try:
            ingest(self.catalog, *self.folders, pool=pool, batch_size=2)
        except EncoderError:
            return

    @rule(after=st.integers(0, 4))
    def run_that_is_stopped(self, after: int) -> None:
        calls = iter(range(1000))
        ingest(self.catalog, *self.folders, batch_size=1, stop=lambda: next(calls) >= after)

    @rule(root=roots)
    def run_while_unmounted(self, root: int) -> None:
        before = {path for path in held(self.catalog) if path.startswith(self.folders[root].root)}
        self.folders[root].unvisited = [Unvisited("", "is not mounted")]
        ingest(self.catalog, *self.folders)
        self.folders[root].unvisited = []
        kept = set(held(self.catalog))
        moved = {f"{f.root}/{p}" for f in self.folders for p in f.files}
        assert before <= kept | moved

    @rule()
    def reopen(self) -> None:
        self.catalog.close()
        self.catalog = open_catalog(self.library, url=self.url)

    @rule(train=st.booleans(), retrain=st.booleans())
    def flush_and_purge(self, train: bool, retrain: bool) -> None:
        from datetime import timedelta

        index = self._stored()
        sync(self.catalog, index)
        index.flush(train, train and retrain)
        with self.catalog.writer() as writer:
            writer.purge(index.revision, timedelta(days=1))

    @rule(train=st.booleans())
    def rebuild_the_index(self, train: bool) -> None:
        index = self._stored()
        rebuild(self.catalog, index, train)
        assert index.revision == self.catalog.head()[0]
        assert verify(self.catalog, index) == []

    @rule()
    def lose_the_index(self) -> None:
        shutil.rmtree(Path(self.library) / "index", ignore_errors=True)

    def _stored(self) -> FaissIndex:
        return self.kind(str(Path(self.library) / "index"), self.catalog.uuid, SPACE)

    def _expected(self) -> dict[str, str]:
        return {
            f"{folder.root}/{path}": content
            for folder in self.folders
            for path, (content, _) in folder.files.items()
            if not content.startswith("broken")
        }

    def _agree(self) -> None:
        expected = self._expected()
        vectors = held(self.catalog)
        assert set(vectors) == set(expected)
        for path, content in expected.items():
            stored = from_blobs([to_blob(vector_of(content))], DIMENSION)[0]
            assert np.array_equal(vectors[path], stored)
        skipped = {each.file.absolute for each in self.catalog.skipped()}
        everything = {f"{f.root}/{path}" for f in self.folders for path in f.files}
        assert skipped == everything - set(expected)

    @precondition(lambda self: hasattr(self, "catalog"))
    @invariant()
    def every_index_equals_the_catalog(self) -> None:
        stored = self._stored()
        for index in (self.reader, stored):
            sync(self.catalog, index)
            assert verify(self.catalog, index) == []
            self._each_finds_itself(index)
        assert stored.check() == "" and stored.doubt == ""
        assert self.catalog.check() == []

    def _each_finds_itself(self, index: VectorIndex) -> None:
        """Any kind of index finds a picture and its copies with a score of 1."""
        ids = index.ids()
        if len(ids):
            vectors = index.vectors(ids)
            matches = index.search(vectors, len(ids))
            assert matches.ids.shape == (len(ids), len(ids))
            assert (np.sort(matches.ids, axis=1) == ids).all()
            assert np.allclose(
                matches.scores, np.sort(-vectors @ vectors.T, axis=1) * -1, atol=1e-6
            )

    @precondition(lambda self: hasattr(self, "catalog"))
    @invariant()
    def a_vector_is_never_that_of_another_content(self) -> None:
        for space in (SPACE, OTHER):
            for changes in self.catalog.changes(space, since=0):
                for image_id, record in self.catalog.get(changes.ids.tolist()).items():
                    row = changes.ids.tolist().index(image_id)
                    stored = from_blobs([to_blob(vector_of(record.content_hash))], DIMENSION)[0]
                    assert np.array_equal(changes.vectors[row], stored)


class TrainedHistories(Histories):
    """The same with an inverted file, which has lists from four pictures on."""

    kind = SmallIvf


class ServerHistories(Histories):
    """The same with the catalog on PostgreSQL."""


@needs_server
def test_histories_of_a_catalog_on_a_server(postgres: PostgresServer) -> None:
    ServerHistories.new_url = staticmethod(lambda: postgres.database("history"))
    run_state_machine_as_test(
        ServerHistories,
        settings=settings(
            max_examples=examples(20),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


TestHistories = Histories.TestCase
TestTrainedHistories = TrainedHistories.TestCase
for case in (TestHistories, TestTrainedHistories):
    case.settings = settings(
        max_examples=examples(50),
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
del case
