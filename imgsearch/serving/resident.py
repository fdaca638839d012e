"""A library that stays open: one thread owns it, and other threads put jobs in its queue.

A model, an index and SQLite connections must not be shared between threads. So a `Lane` is a
thread that makes the object it owns, uses it and closes it; callers get futures. Texts of requests
that wait together are encoded together, which takes less time than one after the other.
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

from threadpoolctl import threadpool_limits

from imgsearch.errors import ImgSearchError
from imgsearch.library import Library
from imgsearch.searching.hits import SearchResult
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.vectors import Embeddings, EmbeddingSpace

T = TypeVar("T")
Owned = TypeVar("Owned")

MAX_WAITING_JOBS = 256
"""Jobs in the queue; one more is refused at once, which is better than an answer too late."""
MAX_JOBS_TOGETHER = 32
"""Jobs that are taken out of the queue together."""
MAX_TEXTS_PER_CALL = 8
"""Texts of one call of the model. Twice as many save a tenth of its time per text, and each of them
waits twice as long: see docs/PERFORMANCE.md."""
MAX_KEPT_TEXTS = 1024
"""Texts whose vectors are kept: a page that searches as the user types needs them again."""
CLOSE_TIMEOUT_SECONDS = 30.0

Watch = Callable[[str, float], None]
"""Gets measurements by name, in seconds: "queue", the wait of a job; "model", a call of the model,
and "text", its share for each text. "together" is the number of texts of a call."""

Key = tuple[EmbeddingSpace, str | None, str]


class Overloaded(ImgSearchError):
    """The queue is full."""

    def __init__(self) -> None:
        super().__init__("too many searches are waiting already", "Try again in a moment.")


class Closed(ImgSearchError):
    """The library is being closed."""

    def __init__(self) -> None:
        super().__init__("the library is being closed", "Start it again.")


@dataclass(slots=True)
class Job(Generic[Owned]):
    """A piece of work in the queue, and its subject: a request, or what the lane works on."""

    work: Callable[[Owned, Any], Any]
    subject: Any = None
    future: Future[Any] = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)

    def begin(self) -> bool:
        """True unless it was cancelled; from now on it cannot be."""
        return self.future.set_running_or_notify_cancel()


def _wanted(jobs: Sequence[Job[Owned]]) -> list[Job[Owned]]:
    """The jobs that were not cancelled meanwhile."""
    return [job for job in jobs if not job.future.cancelled()]


class Lane(Generic[Owned]):
    """A thread that owns an object which must not leave it.

    Cancelling the future of a job that has not begun saves the work.

    Parameters
    ----------
    make : callable
        Makes the object, in the thread; called again for the next job if it raises.
    close : callable
        Called with the object, in the thread, at the end.
    max_waiting : int
        Maximum number of jobs in the queue.
    renew : callable
        Called with the object, in the thread, before each batch of jobs: others may have changed
        its source.
    """

    def __init__(
        self,
        make: Callable[[], Owned],
        close: Callable[[Owned], None],
        max_waiting: int = MAX_WAITING_JOBS,
        name: str = "imgsearch-lane",
        renew: Callable[[Owned], None] = lambda owned: None,
    ) -> None:
        self._make, self._dispose, self._renew = make, close, renew
        self._jobs: queue.Queue[Job[Owned] | None] = queue.Queue(max_waiting)
        self._closing = threading.Event()
        self._owned: Owned | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of jobs in the queue, approximately."""
        return self._jobs.qsize()

    def submit(self, work: Callable[[Owned], T]) -> Future[T]:
        """Have `work` called with the object, in its thread.

        Raises
        ------
        Overloaded, Closed
            At once; what `work` raises is raised by the future.
        """
        return self._put(Job(lambda owned, subject: work(owned)))

    def close(self, timeout_s: float = CLOSE_TIMEOUT_SECONDS) -> bool:
        """Refuse new jobs, finish those that wait, and close; False if that takes too long."""
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
            self._drop_cancelled()
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                raise Overloaded from None
        return job.future

    def _drop_cancelled(self) -> None:
        """Make room: jobs that nobody waits for stay in the queue until their turn comes."""
        with self._jobs.mutex:
            kept = [job for job in self._jobs.queue if job is None or not job.future.cancelled()]
            self._jobs.queue.clear()
            self._jobs.queue.extend(kept)

    def _run(self) -> None:
        more = True
        while more:
            jobs, more = self._take()
            jobs = _wanted(jobs)
            if jobs:
                self._serve_or_fail(jobs)
        self._refuse_the_rest()
        if self._owned is not None:
            self._dispose(self._owned)

    def _take(self) -> tuple[list[Job[Owned]], bool]:
        """The oldest job and those behind it; False after the last of all."""
        jobs: list[Job[Owned]] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) >= MAX_JOBS_TOGETHER:
                return jobs, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, True
        return jobs, False

    def _serve_or_fail(self, jobs: Sequence[Job[Owned]]) -> None:
        try:
            if self._owned is None:
                self._owned = self._make()
            with suppress(ImgSearchError):  # each job will meet it, and report it
                self._renew(self._owned)
            self._serve(self._owned, jobs)
        except BaseException as error:  # the thread must outlive whatever a job does
            for job in jobs:
                if not job.future.done() and (job.future.running() or job.begin()):
                    job.future.set_exception(error)

    def _serve(self, owned: Owned, jobs: Sequence[Job[Owned]]) -> None:
        for job in jobs:
            self._do(owned, job)

    def _do(self, owned: Owned, job: Job[Owned]) -> None:
        if not job.begin():
            return
        try:
            result = job.work(owned, job.subject)
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    def _refuse_the_rest(self) -> None:
        """Refuse jobs that came in behind the last one."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None and job.begin():
                job.future.set_exception(Closed())


class Resident(Lane[Library]):
    """A library that answers many requests at a time, with its model loaded once.

    Each request sees the index caught up with the catalog, and a library that was made, or given
    another model, since the last one.

    Parameters
    ----------
    open_library : callable
        Makes the library, in the thread that will own it.
    watch : callable
        Gets measurements of waiting and encoding, in that thread.
    renew : callable
        As for a `Lane`.
    """

    def __init__(
        self,
        open_library: Callable[[], Library],
        max_waiting: int = MAX_WAITING_JOBS,
        watch: Watch = lambda name, value: None,
        renew: Callable[[Library], None] = Library.renew,
    ) -> None:
        # Threads of OpenBLAS spin while they wait for each other, and take the processor from other
        # requests. NumPy alone is bound by this: torch and FAISS, which have their own, load later.
        threadpool_limits(limits=1, user_api="blas")
        self._watch = watch
        self._vectors: OrderedDict[Key, Embeddings] = OrderedDict()
        super().__init__(open_library, Library.close, max_waiting, "imgsearch-resident", renew)

    def search(self, request: SearchRequest) -> Future[SearchResult]:
        """The best pictures for a request, as `Library.search` finds them."""
        return self.ask(request, lambda library, asked: library.search(asked))

    def ask(self, request: SearchRequest, work: Callable[[Library, SearchRequest], T]) -> Future[T]:
        """Have `work` called with the library and the request, its texts with their vectors.

        Texts of other requests that wait are encoded in the same batch. A text that cannot be
        encoded stays a text.

        Raises
        ------
        Overloaded, Closed
            At once; what `work` raises is raised by the future.
        """
        return self._put(Job(work, request))

    def warm(self) -> Future[None]:
        """Open the index and load the model's part for texts, before the first request.

        The future raises `QueryError` if nothing is indexed yet.
        """

        def load(library: Library) -> None:
            library.searcher.encoder().encode_texts(["a photo"])  # loads the network for texts

        return self.submit(load)

    def _serve(self, owned: Library, jobs: Sequence[Job[Library]]) -> None:
        for job in jobs:
            if job.subject is not None and job.subject.instruction is None:
                job.subject = replace(job.subject, instruction=owned.settings.instruction)
        space = self._space(owned, jobs)
        for batch in self._batches(space, jobs):
            self._answer(owned, space, batch)

    def _space(self, library: Library, jobs: Sequence[Job[Library]]) -> EmbeddingSpace | None:
        """The space that the texts of the requests are encoded in; None without texts."""
        with suppress(ImgSearchError):  # each job will meet it, and report it
            if any(_texts(job.subject) for job in jobs):
                return library.searcher.space
        return None

    def _batches(
        self, space: EmbeddingSpace | None, jobs: Sequence[Job[Library]]
    ) -> Iterator[list[Job[Library]]]:
        """The jobs in their order, cut where their new texts fill a call of the model."""
        batch: list[Job[Library]] = []
        new: set[Key] = set()
        for job in jobs:
            keys = self._new_texts(space, job.subject) if space is not None else set()
            if batch and len(new | keys) > MAX_TEXTS_PER_CALL:
                yield batch
                batch, new = [], set()
            batch.append(job)
            new |= keys
        yield batch

    def _new_texts(self, space: EmbeddingSpace, request: SearchRequest | None) -> set[Key]:
        """Texts of a request whose vectors are not kept."""
        keys = {_key(space, request, term) for term in _texts(request) if request}
        return {key for key in keys if key not in self._vectors}  # a difference would hash them all

    def _answer(
        self, library: Library, space: EmbeddingSpace | None, jobs: Sequence[Job[Library]]
    ) -> None:
        jobs = _wanted(jobs)
        taken = time.perf_counter()
        for job in jobs:
            self._watch("queue", taken - job.since)
        if space is not None:
            with suppress(ImgSearchError):
                self._encode(library, space, jobs)
        if not (jobs := _wanted(jobs)):
            return
        with library.snapshot():  # begins after all of these requests were made
            for job in jobs:
                self._do(library, job)

    def _encode(
        self, library: Library, space: EmbeddingSpace, jobs: Sequence[Job[Library]]
    ) -> None:
        """Give the texts of the requests their vectors, in one call of the model if possible."""
        missing: dict[str | None, dict[str, None]] = defaultdict(dict)
        for job in jobs:
            for _, instruction, text in sorted(
                self._new_texts(space, job.subject), key=itemgetter(2)
            ):
                missing[instruction][text] = None
        for instruction, texts in missing.items():
            self._encode_texts(library, space, instruction, list(texts))
        for job in jobs:
            if job.subject is not None:
                job.subject = self._with_vectors(job.subject, space)
        while len(self._vectors) > MAX_KEPT_TEXTS:
            self._vectors.popitem(last=False)

    def _encode_texts(
        self, library: Library, space: EmbeddingSpace, instruction: str | None, texts: list[str]
    ) -> None:
        encoder = library.searcher.encoder()
        for start in range(0, len(texts), MAX_TEXTS_PER_CALL):
            batch = texts[start : start + MAX_TEXTS_PER_CALL]
            self._watch("together", float(len(batch)))
            started = time.perf_counter()
            try:
                rows = encoder.encode_texts(batch, instruction)
            except Exception:  # noqa: S112 - one text may be at fault: each request tries its own
                continue
            seconds = time.perf_counter() - started
            self._watch("model", seconds)
            self._watch("text", seconds / len(batch))
            for text, row in zip(batch, rows, strict=True):
                self._vectors[space, instruction, text] = row.copy()

    def _with_vectors(self, request: SearchRequest, space: EmbeddingSpace) -> SearchRequest:
        terms = []
        for term in request.terms:
            key = _key(space, request, term)
            if _needs_encoding(term) and key in self._vectors:
                self._vectors.move_to_end(key)
                term = replace(term, vector=self._vectors[key])  # noqa: PLW2901
            terms.append(term)
        return replace(request, terms=terms)


def _key(space: EmbeddingSpace, request: SearchRequest, term: Term) -> Key:
    return space, request.instruction or None, term.text or ""


def _texts(request: SearchRequest | None) -> list[Term]:
    """The terms of a request that a model has to encode as texts."""
    if request is None or request.mode == "text":
        return []
    return [term for term in request.terms if _needs_encoding(term)]


def _needs_encoding(term: Term) -> bool:
    return bool((term.text or "").strip()) and not term.fused and term.vector is None
