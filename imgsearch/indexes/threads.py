"""FAISS and the threads that call it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

from imgsearch.errors import ImgSearchError

BLAS_THRESHOLD = 20
"""Minimum number of queries for BLAS: 64 queries are 12 times as fast as with the default."""
MAX_THREADS = 16
T = TypeVar("T")
R = TypeVar("R")


def import_faiss() -> ModuleType:
    """The configured faiss module; raises `ImgSearchError` with the command that installs it."""
    try:
        import faiss
    except (ImportError, RuntimeError) as error:  # RuntimeError: faiss-gpu without CUDA's libraries
        raise ImgSearchError(
            f"FAISS cannot be loaded: {error}",
            "In your clone of imgsearch, run: pip install '.[cpu]' "
            "(or '.[gpu]' on a machine with an NVIDIA GPU; never both).",
        ) from error
    faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD
    module: ModuleType = faiss
    return module


def threads() -> int:
    """Number of scanning threads: FAISS's own, which respects OMP_NUM_THREADS and the cores."""
    return int(max(1, min(import_faiss().omp_get_max_threads(), MAX_THREADS)))


def each(work: Callable[[T], R], parts: Iterable[T]) -> Iterator[R]:
    """Yield `work` of each part, in order, on `threads()` threads, without FAISS's own threads.

    FAISS's own threads (OpenMP, OpenBLAS) spin while they wait for each other. If another process
    occupies a core, the spinning takes time from the thread that it waits for. Ours sleep.
    """
    return _pool(os.getpid()).map(work, parts)


def alone(work: Callable[[], R]) -> R:
    """Run `work` in this thread, without FAISS's own threads: see `each`."""
    faiss: Any = import_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        return work()
    finally:
        faiss.omp_set_num_threads(before)


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """One pool per process, because threads do not survive a fork."""
    faiss: Any = import_faiss()
    return ThreadPoolExecutor(
        threads(), "imgsearch-index", initializer=faiss.omp_set_num_threads, initargs=(1,)
    )
