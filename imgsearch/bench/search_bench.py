"""How fast searching is, and whether the index finds what there is."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from itertools import cycle, islice
from typing import Any

import numpy as np

from imgsearch.bench import synthetic
from imgsearch.bench.measurement import sample_texts
from imgsearch.bench.meter import describe_machine
from imgsearch.encoders.devices import choose_device
from imgsearch.errors import QueryError
from imgsearch.library import Library
from imgsearch.ports import VectorIndex
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.vectors import Embeddings, Ids, normalize

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
class IndexFacts:
    """What an index on disk takes.

    Attributes
    ----------
    described : str
        Its kind.
    floor_ms : float
        The bytes that a query has to read, at the rate at which one thread reads memory.
    filtered : dict
        By the share of the vectors that pass a filter: one query among them.
    of_raw : dict
        By number of queries at once: FAISS's own search of the same lists, its time over ours.
    neighbour : Latency
        One query while another process keeps a core busy.
    build_s : float or None
        Making it; None where it was there.
    """

    described: str
    file_bytes: int
    opening: synthetic.Opening
    floor_ms: float
    filtered: dict[str, Latency]
    of_raw: dict[str, float]
    neighbour: Latency
    build_s: float | None


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
    facts: IndexFacts | None = None

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
    open_s = _seconds(lambda: library.searcher.index)
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
    requests = [SearchRequest([Term(text=each)], LIMIT, min_strength=0.0) for each in texts]
    search = _latency([partial(library.search, request) for request in requests])
    return _report(library, index, latencies, recall, open_s * 1e3, load_s, text, search)


def measure_synthetic(
    library: Library, count: int, dimension: int, repeats: int = 50, folder: str = ""
) -> SearchReport:
    """Measure an index of `count` made-up vectors, of the kind that is set; no library is needed.

    Parameters
    ----------
    folder : str
        The index is kept there, and used again if it is there; "" is a temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="imgsearch-") as temporary:
        kept = os.path.join(folder or temporary, f"{count}x{dimension}")
        index, build_s = synthetic.made(library.settings.index, kept, count, dimension)
        latencies, recall = _of_index(index, _some(index), _chunks(index), repeats)
        facts = _facts(library, index, kept, build_s, latencies, repeats)
        return _report(library, index, latencies, recall, facts=facts)


def _some(index: VectorIndex) -> Embeddings:
    """Vectors of the index, drawn by chance."""
    ids = synthetic.ids_of(index)
    chosen = np.random.default_rng(1).choice(ids, min(len(ids), 4096), replace=False)
    return index.vectors(np.sort(chosen))


def _chunks(index: VectorIndex) -> Iterator[tuple[Ids, Embeddings]]:
    ids = synthetic.ids_of(index)
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK]
        yield part, index.vectors(part)


def _facts(
    library: Library,
    index: VectorIndex,
    folder: str,
    build_s: float | None,
    latencies: dict[str, Latency],
    repeats: int,
) -> IndexFacts:
    kind, space = library.settings.index, index.space
    queries = _queries(_some(index))
    ones = [queries[n : n + 1] for n in islice(cycle(range(len(queries))), repeats)]

    def among(allowed: Ids) -> Latency:
        return _latency([partial(index.search, each, LIMIT, allowed) for each in ones])

    filtered = {
        f"{share:g}": among(ids)
        for share, ids in synthetic.selections(synthetic.ids_of(index)).items()
    }
    of_raw, raw = {}, synthetic.raw_search(index)
    for batch in BATCHES if raw else ():
        parts = [queries[:batch]] if batch > 1 else ones
        calls = [partial(raw, each, LIMIT) for each in parts]
        own = [partial(index.search, each, LIMIT) for each in parts]
        spent = [_latency(each * (5 if batch > 1 else 1)).p50_ms for each in (calls, own)]
        of_raw[str(batch)] = spent[0] / spent[1]
    with synthetic.neighbour():
        beside = _latency([partial(index.search, each, LIMIT) for each in ones])
    return IndexFacts(
        index.described(),
        synthetic.file_bytes(folder),
        synthetic.opening(kind, folder, space, synthetic.LIBRARY),
        synthetic.scanned_bytes(index) / synthetic.read_rate() * 1e3,
        filtered,
        of_raw,
        beside,
        build_s,
    )


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
    queries = _queries(vectors)
    latencies = {}
    for batch in BATCHES:
        starts = islice(cycle(range(0, len(queries), batch)), repeats)
        latencies[str(batch)] = _latency(
            [partial(index.search, queries[start : start + batch], LIMIT) for start in starts]
        )
    return latencies, recall_at(index, queries, chunks)


def _queries(vectors: Embeddings) -> Embeddings:
    """Queries near to some of these vectors."""
    numbers = np.random.default_rng(1)
    rows = vectors[numbers.integers(0, len(vectors), max(BATCHES))]
    return normalize(rows + _NOISE * normalize(numbers.standard_normal(rows.shape)))


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
    facts: IndexFacts | None = None,
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
        facts,
    )
