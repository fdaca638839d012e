"""A library that stays open: one thread owns it, and whoever has a question puts it in a queue.

A model, an index and SQLite connections are no things to share between threads. So a `Lane` is a
thread that makes the object it owns, uses it and closes it; everybody else gets futures. Texts of
queries that wait together are encoded together, which takes less time than one after the other.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, Generic, TypeVar

from imgsearch.errors import ImgSearchError
from imgsearch.library import Library
from imgsearch.records import Hit, Query, Term
from imgsearch.vectors import Embeddings, EmbeddingSpace

T = TypeVar("T")
Owned = TypeVar("Owned")

MOST_WAITING = 256
"""Questions in the queue; one more is refused at once, which is better than an answer too late."""
MOST_TOGETHER = 32
"""Questions that are taken out of the queue together."""
MOST_TEXTS = 8
"""Texts of one call of the model. Twice as many save a tenth of its time per text, and each of them
waits twice as long: see docs/PERFORMANCE.md."""
REMEMBERED = 1024
"""Texts whose vectors are kept: a page that searches while somebody types asks for them again."""
CLOSING_SECONDS = 30.0

Watch = Callable[[str, float], None]
"""Gets what was measured, by name: "queue", "model" and "text", which is a call of the model for
each of its texts, in seconds; "together", the texts of a call, as a count."""

Key = tuple[EmbeddingSpace, str | None, str]


class Overloaded(ImgSearchError):
    """Too many questions wait already."""

    def __init__(self) -> None:
        super().__init__("too many searches are waiting already", "Try again in a moment.")


class Closed(ImgSearchError):
    """The library is being closed."""

    def __init__(self) -> None:
        super().__init__("the library is being closed", "Start it again.")


@dataclass(slots=True)
class Job(Generic[Owned]):
    """A piece of work in the queue, and what it is about: a query, or what a lane's kind takes."""

    work: Callable[[Owned, Any], Any]
    about: Any = None
    future: Future[Any] = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)


class Lane(Generic[Owned]):
    """A thread that owns an object which must not leave it.

    Parameters
    ----------
    make : callable
        Makes the object, in the thread; called again for the next job if it raises.
    close : callable
        Called with the object, in the thread, at the end.
    most_waiting : int
        Jobs in the queue at most.
    renew : callable
        Called with the object, in the thread, before jobs are done: others may have changed what
        it stands for.
    """

    def __init__(
        self,
        make: Callable[[], Owned],
        close: Callable[[Owned], None],
        most_waiting: int = MOST_WAITING,
        name: str = "imgsearch-lane",
        renew: Callable[[Owned], None] = lambda owned: None,
    ) -> None:
        self._make, self._dispose, self._renew = make, close, renew
        self._jobs: queue.Queue[Job[Owned] | None] = queue.Queue(most_waiting)
        self._closing = threading.Event()
        self._owned: Owned | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs in the queue, about."""
        return self._jobs.qsize()

    def submit(self, work: Callable[[Owned], T]) -> Future[T]:
        """Have `work` called with the object, in its thread.

        Raises
        ------
        Overloaded, Closed
            At once; what `work` raises is raised by the future.
        """
        return self._put(Job(lambda owned, about: work(owned)))

    def close(self, timeout_s: float = CLOSING_SECONDS) -> bool:
        """Take no more jobs, finish those that wait, and close; False if that takes too long."""
        if not self._closing.is_set():
            self._closing.set()
            try:
                self._jobs.put(None, timeout=timeout_s)
            except queue.Full:
                return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _put(self, job: Job[Owned]) -> Future[Any]:
        if self._closing.is_set():
            raise Closed
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise Overloaded from None
        return job.future

    def _run(self) -> None:
        more = True
        while more:
            jobs, more = self._take()
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if jobs:
                self._serve_or_fail(jobs)
        self._refuse_the_rest()
        if self._owned is not None:
            self._dispose(self._owned)

    def _take(self) -> tuple[list[Job[Owned]], bool]:
        """The job that waits longest and those behind it; False after the last of all."""
        jobs: list[Job[Owned]] = []
        found = self._jobs.get()
        while found is not None:
            jobs.append(found)
            if len(jobs) >= MOST_TOGETHER:
                return jobs, True
            try:
                found = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, True
        return jobs, False

    def _serve_or_fail(self, jobs: Sequence[Job[Owned]]) -> None:
        try:
            if self._owned is None:
                self._owned = self._make()
            with suppress(ImgSearchError):  # each job will meet it, and tell whoever asked
                self._renew(self._owned)
            self._serve(self._owned, jobs)
        except BaseException as error:  # the thread must outlive whatever a job does
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(error)

    def _serve(self, owned: Owned, jobs: Sequence[Job[Owned]]) -> None:
        for job in jobs:
            self._do(owned, job)

    def _do(self, owned: Owned, job: Job[Owned]) -> None:
        try:
            found = job.work(owned, job.about)
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(found)

    def _refuse_the_rest(self) -> None:
        """Jobs that slipped in behind the last one."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None and job.future.set_running_or_notify_cancel():
                job.future.set_exception(Closed())


class Resident(Lane[Library]):
    """A library that answers many at a time, with its model loaded once.

    Each question sees the index brought up to the catalog (`Searcher.refresh`), and a library that
    was made, or given another model, since the last one.

    Parameters
    ----------
    open_library : callable
        Makes the library, in the thread that will own it.
    watch : callable
        Told how long queries wait and how their texts are encoded; called in that thread.
    renew : callable
        As that of a `Lane`.
    """

    def __init__(
        self,
        open_library: Callable[[], Library],
        most_waiting: int = MOST_WAITING,
        watch: Watch = lambda name, value: None,
        renew: Callable[[Library], None] = Library.renew,
    ) -> None:
        self._watch = watch
        self._known: OrderedDict[Key, Embeddings] = OrderedDict()
        super().__init__(open_library, Library.close, most_waiting, "imgsearch-resident", renew)

    def search(self, query: Query) -> Future[list[Hit]]:
        """The best pictures for a query, as `Library.search` finds them."""
        return self.ask(query, lambda library, asked: library.search(asked))

    def ask(self, query: Query, work: Callable[[Library, Query], T]) -> Future[T]:
        """Have `work` called with the library and the query, whose texts come with their vectors
        where that could be done; other queries that wait are encoded in the same batch.

        Raises
        ------
        Overloaded, Closed
            At once; what `work` raises is raised by the future.
        """

        return self._put(Job(work, query))

    def warm(self) -> Future[None]:
        """Open the index and load what words need, before anybody has to wait for it.

        The future raises `QueryError` where nothing is indexed yet.
        """

        def load(library: Library) -> None:
            library.searcher.encoder().encode_texts(["a photo"])  # a network is loaded when asked

        return self.submit(load)

    def _serve(self, owned: Library, jobs: Sequence[Job[Library]]) -> None:
        space = self._space(owned, jobs)
        for some in self._shares(space, jobs):
            self._answer(owned, space, some)

    def _space(self, library: Library, jobs: Sequence[Job[Library]]) -> EmbeddingSpace | None:
        """What the texts of the queries are encoded in; None if there are none."""
        with suppress(ImgSearchError):  # each job will meet it, and tell whoever asked
            if any(_texts(job.about) for job in jobs):
                return library.searcher.index.space
        return None

    def _shares(
        self, space: EmbeddingSpace | None, jobs: Sequence[Job[Library]]
    ) -> Iterator[list[Job[Library]]]:
        """The jobs in their order, cut where their new texts are enough for a call of the model."""
        some: list[Job[Library]] = []
        new: set[Key] = set()
        for job in jobs:
            keys = self._new(space, job.about) if space is not None else set()
            if some and len(new | keys) > MOST_TEXTS:
                yield some
                some, new = [], set()
            some.append(job)
            new |= keys
        yield some

    def _new(self, space: EmbeddingSpace, query: Query | None) -> set[Key]:
        """Texts of a query whose vectors are not known."""
        keys = {(space, query.instruction, term.text or "") for term in _texts(query) if query}
        return {key for key in keys if key not in self._known}  # a difference would hash them all

    def _answer(
        self, library: Library, space: EmbeddingSpace | None, jobs: Sequence[Job[Library]]
    ) -> None:
        taken = time.perf_counter()
        for job in jobs:
            self._watch("queue", taken - job.since)
        if space is not None:
            with suppress(ImgSearchError):
                self._encode(library, space, jobs)
        with library.snapshot():  # begun after all of them were asked
            for job in jobs:
                self._do(library, job)

    def _encode(
        self, library: Library, space: EmbeddingSpace, jobs: Sequence[Job[Library]]
    ) -> None:
        """Give the texts of the queries their vectors, in one call of the model if they can be."""
        missing: dict[str | None, dict[str, None]] = defaultdict(dict)
        for job in jobs:
            for _, instruction, text in sorted(self._new(space, job.about), key=itemgetter(2)):
                missing[instruction][text] = None
        for instruction, texts in missing.items():
            self._learn(library, space, instruction, list(texts))
        for job in jobs:
            if job.about is not None:
                job.about = self._with_vectors(job.about, space)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _learn(
        self, library: Library, space: EmbeddingSpace, instruction: str | None, texts: list[str]
    ) -> None:
        encoder = library.searcher.encoder()
        space.require(encoder.space)
        for start in range(0, len(texts), MOST_TEXTS):
            some = texts[start : start + MOST_TEXTS]
            self._watch("together", float(len(some)))
            started = time.perf_counter()
            try:
                rows = encoder.encode_texts(some, instruction)
            except Exception:  # noqa: S112 - one text may be the fault: each query tries its own
                continue
            seconds = time.perf_counter() - started
            self._watch("model", seconds)
            self._watch("text", seconds / len(some))
            for text, row in zip(some, rows, strict=True):
                self._known[space, instruction, text] = row.copy()

    def _with_vectors(self, query: Query, space: EmbeddingSpace) -> Query:
        terms = []
        for term in query.terms:
            key = (space, query.instruction, term.text or "")
            if term.text is not None and term.vector is None and key in self._known:
                self._known.move_to_end(key)
                term = replace(term, vector=self._known[key])  # noqa: PLW2901
            terms.append(term)
        return replace(query, terms=terms)


def _texts(query: Query | None) -> list[Term]:
    """The terms of a query that a model has to encode as texts."""
    if query is None or query.mode == "text":
        return []
    return [term for term in query.terms if (term.text or "").strip() and term.vector is None]
