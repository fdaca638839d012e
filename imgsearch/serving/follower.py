"""Indexes what changes in the folders of a library, while a server or a daemon answers searches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing

from imgsearch.catalog.overview import Overview
from imgsearch.errors import CatalogError
from imgsearch.indexing.plan import IndexRequest
from imgsearch.records import RootRecord
from imgsearch.serving.indexer_process import Event, IndexProcess
from imgsearch.settings import Settings


class Follower:
    """A thread that has changed folders of a library indexed.

    Parameters
    ----------
    index : callable
        Indexes these folders, and returns the reason of a failure, "" without one.
    say : callable
        Gets notes for the user, one sentence each.
    """

    def __init__(
        self,
        settings: Settings,
        index: Callable[[Sequence[str]], str],
        say: Callable[[str], None],
    ) -> None:
        self._settings, self._index, self._say = settings, index, say
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="imgsearch-watch", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """End the thread; a run of `index` has to be ended as well."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        from imgsearch.indexing.watch import Watch

        watch = Watch(self._roots, apart=self._settings.library, note=self._say)
        for folders in watch.batches(self._stop):
            if reason := self._index(folders):
                self._say(f"Indexing failed and will be tried again: {reason}")
                watch.again(folders)

    def _roots(self) -> list[RootRecord]:
        """The folders of the library; none before it exists."""
        try:
            with closing(Overview(self._settings.library, self._settings.catalog)) as overview:
                return overview.roots(counted=False)
        except CatalogError:
            return []


class IndexRuns:
    """Runs of the indexer in processes of their own, one at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: IndexProcess | None = None
        self._closed = threading.Event()

    def index(self, folders: Sequence[str]) -> str:
        """Index folders of the library; the reason of a failure, "" without one."""
        events: list[Event] = []
        process = IndexProcess(self._settings, IndexRequest(folders, add=False), events.append)
        self._process = process
        if self._closed.is_set():
            process.stop()
        process.wait()
        return str(events[-1]["error"]) if events[-1]["state"] == "failed" else ""

    def close(self, timeout_s: float) -> None:
        """End the run, after its current batch if that is soon enough."""
        self._closed.set()
        if self._process is not None:
            self._process.close(timeout_s)
