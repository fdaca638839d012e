"""How fast searching is, and whether the index finds what there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from itertools import cycle, islice
from typing import Any

import numpy as np

from imgsearch import plugins
from imgsearch.app import Library
from imgsearch.encoders.measure import sample_texts
from imgsearch.encoders.meter import describe_machine
from imgsearch.encoders.options import choose_device
from imgsearch.errors import QueryError
from imgsearch.opened import INDEX
from imgsearch.ports import VectorIndex
from imgsearch.records import ChangeBatch, Query, Term
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, normalize

LIMIT = 20
RECALL = 10
BATCHES = (1, 64)
CHUNK = 65536
_NOISE = 0.5
"""Length of the noise that is added to a stored unit vector to make a query of it."""
_TIE = 1e-6
"""Scores so close to the last of the exact ones count as found: rounding may order them anew."""

Chunks = Iterable[tuple[Ids, Embeddings]]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one call: median and 95th percentile."""

    p50_ms: float
    p95_ms: float
    runs: int


@dataclass(frozen=True, slots=True)
class SearchReport:
    """What a search takes, part by part; None is a part that an index in memory does not have.

    Attributes
    ----------
    open_ms : float or None
        Opening catalog and index by a process that has neither; the system may have the files in
        memory. Python's imports are not in it.
    index : dict
        By number of queries at once: the index alone, the best `limit` of them.
    recall_at_10 : float
        Share of the ten best by exact float32 products in NumPy that the index found.
    load_model_s : float or None
        Loading the model, until the first text is encoded.
    text : Latency or None
        One text to its vector.
    search : Latency or None
        One text to its pictures.
    """

    model: str
    vectors: int
    dimension: int
    limit: int
    date: str
    machine: dict[str, Any]
    open_ms: float | None
    index: dict[str, Latency]
    recall_at_10: float
    load_model_s: float | None
    text: Latency | None
    search: Latency | None

    def plain(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


def measure_search(library: Library, repeats: int = 50) -> SearchReport:
    """Measure searches of a library; like any search, this may write its index file anew.

    Raises
    ------
    QueryError
        Nothing is indexed with the model in use.
    """
    open_s = _seconds(lambda: library.searcher)
    index, catalog = library.searcher.index, library.catalog
    space = index.space

    def chunks() -> Iterator[tuple[Ids, Embeddings]]:
        with catalog.snapshot():
            for changes in catalog.changes(space, since=0):
                yield changes.ids, changes.vectors

    first = next(((ids, vectors) for ids, vectors in chunks() if len(ids)), None)
    if first is None:
        raise QueryError("the library has no pictures yet", "Add some: imgsearch index FOLDER")
    latencies, recall = _of_index(index, first[1], chunks(), repeats)
    texts = sample_texts(repeats)
    load_s = _seconds(lambda: library.encoder().encode_texts(texts[:1]))
    encoder = library.encoder()
    text = _latency([partial(encoder.encode_texts, [each]) for each in texts])
    queries = [Query((Term(text=each),), LIMIT) for each in texts]
    search = _latency([partial(library.search, query) for query in queries])
    return _report(library, index, latencies, recall, open_s * 1e3, load_s, text, search)


def measure_synthetic(
    library: Library, count: int, dimension: int, repeats: int = 50
) -> SearchReport:
    """Measure an index in memory of `count` random unit vectors; no library is needed."""
    space = EmbeddingSpace("synthetic", "1", "none", dimension)
    index: VectorIndex = plugins.index_class(INDEX)("", "", space)
    numbers = np.random.default_rng(0)
    kept = []
    for start in range(0, count, CHUNK):
        ids = np.arange(start, min(start + CHUNK, count), dtype=np.int64)
        vectors = normalize(numbers.standard_normal((len(ids), dimension), np.float32))
        none = np.empty(0, np.int64)
        index.apply(ChangeBatch(index.revision, index.revision + 1, "-", none, ids, vectors))
        kept.append((ids, vectors))
    latencies, recall = _of_index(index, kept[0][1], kept, repeats)
    return _report(library, index, latencies, recall)


def recall_at(index: VectorIndex, queries: Embeddings, chunks: Chunks, k: int = RECALL) -> float:
    """The share of the k best, by exact products over all chunks, that the index finds.

    Parameters
    ----------
    queries : ndarray of shape (q, dimension), float32, unit norm
    chunks : iterable of (ids, vectors)
        Everything that is in the index, each vector once.
    """
    k = min(k, len(index))
    found = index.search(queries, k).ids
    best: Embeddings = np.full(found.shape, -np.inf, np.float32)
    true = best.copy()
    for ids, vectors in chunks:
        if not len(ids):
            continue
        scores = queries @ vectors.T
        together = np.concatenate([best, scores], axis=1)
        best = np.partition(together, -k, axis=1)[:, -k:]
        order = np.argsort(ids)
        places = order[np.searchsorted(ids, found, sorter=order).clip(max=len(ids) - 1)]
        here = ids[places] == found
        true[here] = np.take_along_axis(scores, places, axis=1)[here]
    least = best.min(axis=1, keepdims=True)
    return float((true >= least - _TIE).mean())


def _of_index(
    index: VectorIndex, vectors: Embeddings, chunks: Chunks, repeats: int
) -> tuple[dict[str, Latency], float]:
    """Latency by number of queries, and recall, of queries near to some of `vectors`."""
    numbers = np.random.default_rng(1)
    rows = vectors[numbers.integers(0, len(vectors), max(BATCHES))]
    noise = normalize(numbers.standard_normal(rows.shape))
    queries = normalize(rows + _NOISE * noise)
    latencies = {}
    for batch in BATCHES:
        starts = islice(cycle(range(0, len(queries), batch)), repeats)
        latencies[str(batch)] = _latency(
            [partial(index.search, queries[start : start + batch], LIMIT) for start in starts]
        )
    return latencies, recall_at(index, queries, chunks)


def _latency(calls: Sequence[Callable[[], object]]) -> Latency:
    calls[0]()
    times = [_seconds(call) * 1e3 for call in calls]
    return Latency(float(np.median(times)), float(np.percentile(times, 95)), len(times))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _report(
    library: Library,
    index: VectorIndex,
    latencies: dict[str, Latency],
    recall: float,
    open_ms: float | None = None,
    load_s: float | None = None,
    text: Latency | None = None,
    search: Latency | None = None,
) -> SearchReport:
    return SearchReport(
        index.space.model,
        len(index),
        index.space.dimension,
        LIMIT,
        date.today().isoformat(),
        describe_machine(choose_device(library.settings.device)),
        open_ms,
        latencies,
        recall,
        load_s,
        text,
        search,
    )
