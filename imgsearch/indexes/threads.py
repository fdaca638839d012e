"""FAISS, set up, and the threads that call it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

from imgsearch.errors import ImgSearchError

BLAS_THRESHOLD = 20
"""Batches of so many queries go through BLAS: for 64 queries 12 times as fast as the default."""
MOST_THREADS = 16
T = TypeVar("T")
R = TypeVar("R")


def import_faiss() -> ModuleType:
    """The faiss module, set up; raises `ImgSearchError` with the command that installs it."""
    try:
        import faiss
    except ImportError as error:
        raise ImgSearchError(
            f"FAISS cannot be loaded: {error}",
            "In your clone of imgsearch, run: pip install '.[cpu]' "
            "(or '.[gpu]' on a machine with an NVIDIA GPU; never both).",
        ) from error
    faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD
    module: ModuleType = faiss
    return module


def threads() -> int:
    """How many threads scan: FAISS's own number, which heeds OMP_NUM_THREADS and the cores."""
    return int(max(1, min(import_faiss().omp_get_max_threads(), MOST_THREADS)))


def each(work: Callable[[T], R], parts: Iterable[T]) -> Iterator[R]:
    """`work` of each part, in order, on as many threads, each of which is alone in FAISS.

    FAISS's own threads (OpenMP, OpenBLAS) wait for each other in a loop. Where another process
    takes a core, that loop takes the time that the thread it waits for would need. Ours sleep.
    """
    return _pool(os.getpid()).map(work, parts)


def alone(work: Callable[[], R]) -> R:
    """`work` in this thread, with none of FAISS's own beside it: see `each`."""
    faiss: Any = import_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        return work()
    finally:
        faiss.omp_set_num_threads(before)


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """One pool for each process: threads do not survive a fork."""
    faiss: Any = import_faiss()
    return ThreadPoolExecutor(
        threads(), "imgsearch-index", initializer=faiss.omp_set_num_threads, initargs=(1,)
    )
