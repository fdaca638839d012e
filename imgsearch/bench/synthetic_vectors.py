"""Synthetic vectors distributed like those of pictures, and costs of an index of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import psutil

from imgsearch import plugins
from imgsearch.bench.wall_clock import seconds
from imgsearch.indexes.faiss_index import FaissIndex
from imgsearch.indexes.threads import import_faiss, threads
from imgsearch.ports import VectorIndex
from imgsearch.records import ChangeBatch
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, normalize

LIBRARY = "synthetic"
BATCH_VECTORS = 8192
SHARES = (1.0, 0.1, 0.01, 1e-4)
_VECTORS_PER_THEME = 50
_MAX_THEMES = 20_000
_SUBSPACE_DIMENSIONS = 32
_BUSY_LOOP = "while True: pass"


def space_of(dimension: int) -> EmbeddingSpace:
    """The space of the synthetic vectors."""
    return EmbeddingSpace(LIBRARY, "1", "none", dimension)


def clustered(count: int, dimension: int) -> Iterator[ChangeBatch]:
    """Unit vectors as a catalog returns them (float16, then normalised), the same in each call.

    They all lie in one cone, like those of a model. They belong to themes, some of which are 50
    times as common as others and near to some others. Within a theme they spread in 32 directions
    that all themes share, and slightly in all others.
    """
    numbers = np.random.default_rng(7)
    themes = max(1, min(_MAX_THEMES, count // _VECTORS_PER_THEME))
    families = _unit(numbers, max(1, themes // 100), dimension)
    middles = families[numbers.integers(0, len(families), themes)]
    middles = 0.7 * _unit(numbers, 1, dimension) + normalize(
        middles + 0.8 * _unit(numbers, themes, dimension)
    )
    shared = _unit(numbers, _SUBSPACE_DIMENSIONS, dimension)
    weights = np.arange(1, themes + 1) ** -0.4
    ends = np.cumsum(numbers.permutation(weights / weights.sum()))
    none = np.empty(0, np.int64)
    for start in range(0, count, BATCH_VECTORS):
        stop = min(count, start + BATCH_VECTORS)
        size = stop - start
        members = np.searchsorted(ends, numbers.random(size)).clip(max=themes - 1)
        spread = _unit(numbers, size, _SUBSPACE_DIMENSIONS) @ shared
        rows = middles[members] + 0.6 * spread + 0.6 * _unit(numbers, size, dimension)
        stored = normalize(normalize(rows).astype(np.float16))
        token = "-" if stop == count else ""
        yield ChangeBatch(start, stop, token, none, np.arange(start + 1, stop + 1), stored)


def _unit(numbers: np.random.Generator, count: int, dimension: int) -> Embeddings:
    return normalize(numbers.standard_normal((count, dimension), np.float32))


def open_or_build(
    kind: str, folder: str, count: int, dimension: int
) -> tuple[VectorIndex, float | None]:
    """The index of `count` vectors in `folder`, and the seconds to build it; None if it existed."""
    space = space_of(dimension)
    index = plugins.open_index(kind, folder, LIBRARY, space)
    if index.state.revision == count:
        return index, None
    vectors = partial(clustered, count, dimension)
    return index, seconds(partial(index.build, count, "-", vectors, train=True))


@dataclass(frozen=True, slots=True)
class Opening:
    """The cost of the first query in a new process, without imports.

    Attributes
    ----------
    open_ms, first_ms : float
        Opening, and the first query after it. The file may be in the system's cache.
    memory_bytes : int
        Growth of the resident memory, including the pages of the file that were read.
    """

    open_ms: float
    first_ms: float
    memory_bytes: int


def opening(kind: str, folder: str, space: EmbeddingSpace, library: str) -> Opening:
    """Measure it in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_open, kind, folder, space, library).result()


def _open(kind: str, folder: str, space: EmbeddingSpace, library: str) -> Opening:
    process = psutil.Process()
    import_faiss()
    query = _unit(np.random.default_rng(0), 1, space.dimension)
    before, started = process.memory_info().rss, time.perf_counter()
    index = plugins.open_index(kind, folder, library, space)
    opened = time.perf_counter()
    index.search(query, 20)
    done, after = time.perf_counter(), process.memory_info().rss
    return Opening((opened - started) * 1e3, (done - opened) * 1e3, after - before)


def ids_of(index: VectorIndex) -> Ids:
    """Ids of an index that `made` has made: 1 to their number."""
    return np.arange(1, len(index) + 1)


def selections(ids: Ids) -> dict[float, Ids]:
    """Random subsets of the ids, sorted, by their share."""
    numbers = np.random.default_rng(5)
    subsets = {}
    for share in SHARES:
        size = max(1, round(share * len(ids)))
        subsets[share] = np.sort(numbers.choice(ids, size, replace=False))
    return subsets


@contextmanager
def neighbour() -> Iterator[None]:
    """A context in which another process keeps one core busy."""
    process = subprocess.Popen([sys.executable, "-c", _BUSY_LOOP])  # noqa: S603 - our own code
    try:
        time.sleep(0.3)
        yield
    finally:
        process.kill()
        process.wait()


def raw_search(index: VectorIndex) -> Any:
    """FAISS's own search of the same file with its own threads; None without trained lists."""
    main = index.main if isinstance(index, FaissIndex) else None
    if main is None or not main.header.trained:
        return None
    import_faiss().omp_set_num_threads(threads())
    return main.raw.search


def read_rate() -> float:
    """Bytes per second that one thread reads from memory in NumPy."""
    field = np.ones(1 << 25, np.int64)
    return max(field.nbytes / seconds(field.max) for _ in range(3))


def scanned_bytes(index: VectorIndex) -> int:
    """Bytes that a query reads: the centres of all lists, and the lists that it searches."""
    main = index.main if isinstance(index, FaissIndex) else None
    if main is None:
        return len(index) * index.space.dimension * 4
    lists = (
        main.count * main.header.probes // main.header.lists if main.header.trained else main.count
    )
    middles = main.header.lists * index.space.dimension * 4 if main.header.trained else 0
    width = int(np.dtype(main.header.dtype).itemsize)
    return middles + lists * (width * index.space.dimension + 8)


def file_bytes(folder: str) -> int:
    """Bytes of the index files in a folder; 0 for an index on a server, which makes none."""
    if not os.path.isdir(folder):
        return 0
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.name.endswith(".faiss"))
