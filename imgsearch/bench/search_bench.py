"""Measures the latency and the recall of searches."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from itertools import cycle, islice
from typing import Any

import numpy as np

from imgsearch.bench import synthetic_vectors
from imgsearch.bench.measurement import sample_texts
from imgsearch.bench.meter import describe_machine
from imgsearch.bench.wall_clock import Latency, latency, seconds
from imgsearch.encoders.devices import choose_device
from imgsearch.errors import QueryError
from imgsearch.library import Library
from imgsearch.ports import VectorIndex
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.vectors import Embeddings, Ids, normalize

LIMIT = 20
RECALL_AT = 10
BATCHES = (1, 64)
CHUNK_VECTORS = 65536
_NOISE = 0.5
"""Norm of the noise that is added to a stored unit vector to make a query."""
_TIE = 1e-6
"""Scores this close to the last of the exact ones count as found, because of rounding."""

Chunks = Iterable[tuple[Ids, Embeddings]]


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """The costs of an index on disk.

    Attributes
    ----------
    described : str
        Its kind, in words.
    floor_ms : float
        Time for one thread to read the bytes that a query needs from memory.
    filtered : dict
        Latency of one query, by the share of the vectors that pass a filter.
    of_raw : dict
        Time of FAISS's own search of the same lists over ours, by number of queries at once.
    neighbour : Latency
        Latency of one query while another process keeps a core busy.
    build_s : float or None
        Time to build it; None if it existed.
    """

    described: str
    file_bytes: int
    opening: synthetic_vectors.Opening
    floor_ms: float
    filtered: dict[str, Latency]
    of_raw: dict[str, float]
    neighbour: Latency
    build_s: float | None


@dataclass(frozen=True, slots=True)
class SearchReport:
    """The time of a search, part by part; None for parts that a synthetic index does not have.

    Attributes
    ----------
    open_ms : float or None
        Opening catalog and index in this process, without Python's imports; the files may be in
        the system's cache.
    index : dict
        Latency of the index alone for the best `limit`, by number of queries at once.
    recall_at_10 : float
        Share of the ten best, by exact float32 products in NumPy, that the index found.
    load_model_s : float or None
        Loading the model and encoding the first text.
    text : Latency or None
        Encoding one text.
    search : Latency or None
        Searching by one text.
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
        """Plain values for JSON."""
        return asdict(self)


def measure_search(library: Library, repeats: int = 50) -> SearchReport:
    """Measure searches of a library; like any search, this may rewrite its index file.

    Raises
    ------
    QueryError
        Nothing is indexed with the model in use.
    """
    open_s = seconds(lambda: library.searcher.index)
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
    load_s = seconds(lambda: library.encoder().encode_texts(texts[:1]))
    encoder = library.encoder()
    text = latency([partial(encoder.encode_texts, [each]) for each in texts])
    requests = [SearchRequest([Term(text=each)], LIMIT, min_strength=0.0) for each in texts]
    search = latency([partial(library.search, request) for request in requests])
    return _report(library, index, latencies, recall, open_s * 1e3, load_s, text, search)


def measure_synthetic(
    library: Library, count: int, dimension: int, repeats: int = 50, folder: str = ""
) -> SearchReport:
    """Measure an index of `count` synthetic vectors of the configured kind; needs no library.

    Parameters
    ----------
    folder : str
        Folder in which the index is kept and reused; "" for a temporary one.
    """
    with tempfile.TemporaryDirectory(prefix="imgsearch-") as temporary:
        place = os.path.join(folder or temporary, f"{count}x{dimension}")
        index, build_s = synthetic_vectors.open_or_build(
            library.settings.index, place, count, dimension
        )
        latencies, recall = _of_index(index, _sample(index), _chunks(index), repeats)
        facts = _facts(library, index, place, build_s, latencies, repeats)
        return _report(library, index, latencies, recall, facts=facts)


def _sample(index: VectorIndex) -> Embeddings:
    """Random vectors of the index."""
    ids = synthetic_vectors.ids_of(index)
    sample = np.random.default_rng(1).choice(ids, min(len(ids), 4096), replace=False)
    return index.vectors(np.sort(sample))


def _chunks(index: VectorIndex) -> Iterator[tuple[Ids, Embeddings]]:
    ids = synthetic_vectors.ids_of(index)
    for start in range(0, len(ids), CHUNK_VECTORS):
        part = ids[start : start + CHUNK_VECTORS]
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
    queries = _queries(_sample(index))
    ones = [queries[n : n + 1] for n in islice(cycle(range(len(queries))), repeats)]

    def among(allowed: Ids) -> Latency:
        return latency([partial(index.search, each, LIMIT, allowed) for each in ones])

    filtered = {
        f"{share:g}": among(ids)
        for share, ids in synthetic_vectors.selections(synthetic_vectors.ids_of(index)).items()
    }
    of_raw, raw = {}, synthetic_vectors.raw_search(index)
    for batch in BATCHES if raw else ():
        parts = [queries[:batch]] if batch > 1 else ones
        calls = [partial(raw, each, LIMIT) for each in parts]
        own = [partial(index.search, each, LIMIT) for each in parts]
        times = [latency(each * (5 if batch > 1 else 1)).p50_ms for each in (calls, own)]
        of_raw[str(batch)] = times[0] / times[1]
    with synthetic_vectors.neighbour():
        beside = latency([partial(index.search, each, LIMIT) for each in ones])
    return IndexFacts(
        index.state.kind,
        synthetic_vectors.file_bytes(folder),
        synthetic_vectors.opening(kind, folder, space, synthetic_vectors.LIBRARY),
        synthetic_vectors.scanned_bytes(index) / synthetic_vectors.read_rate() * 1e3,
        filtered,
        of_raw,
        beside,
        build_s,
    )


def recall_at(index: VectorIndex, queries: Embeddings, chunks: Chunks, k: int = RECALL_AT) -> float:
    """Share of the k best, by exact products over all chunks, that the index finds.

    Parameters
    ----------
    queries : ndarray of shape (q, dimension), float32, unit norm
    chunks : iterable of (ids, vectors)
        All vectors of the index, each once.
    """
    k = min(k, len(index))
    hits = index.search(queries, k).ids
    best: Embeddings = np.full(hits.shape, -np.inf, np.float32)
    true = best.copy()
    for ids, vectors in chunks:
        if not len(ids):
            continue
        scores = queries @ vectors.T
        together = np.concatenate([best, scores], axis=1)
        best = np.partition(together, -k, axis=1)[:, -k:]
        order = np.argsort(ids)
        places = order[np.searchsorted(ids, hits, sorter=order).clip(max=len(ids) - 1)]
        here = ids[places] == hits
        true[here] = np.take_along_axis(scores, places, axis=1)[here]
    last = best.min(axis=1, keepdims=True)
    return float((true >= last - _TIE).mean())


def _of_index(
    index: VectorIndex, vectors: Embeddings, chunks: Chunks, repeats: int
) -> tuple[dict[str, Latency], float]:
    """Latency by number of queries, and recall, for queries near some of `vectors`."""
    queries = _queries(vectors)
    latencies = {}
    for batch in BATCHES:
        starts = islice(cycle(range(0, len(queries), batch)), repeats)
        latencies[str(batch)] = latency(
            [partial(index.search, queries[start : start + batch], LIMIT) for start in starts]
        )
    return latencies, recall_at(index, queries, chunks)


def _queries(vectors: Embeddings) -> Embeddings:
    """Queries near some of these vectors."""
    numbers = np.random.default_rng(1)
    rows = vectors[numbers.integers(0, len(vectors), max(BATCHES))]
    return normalize(rows + _NOISE * normalize(numbers.standard_normal(rows.shape)))


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
