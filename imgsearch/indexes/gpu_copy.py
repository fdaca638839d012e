"""A copy of the main part of an index on GPUs, made and searched by FAISS.

Lists become a `GpuIndexIVFScalarQuantizer` with the float16 of the file; a file without lists
becomes `GpuIndexFlatIP` with float16 storage. Several GPUs hold shards. The candidates of a GPU are
compared in float32 with the vectors of the file, like those of the processor.

Limits of FAISS 1.15 on CUDA: k and the number of lists per query are at most 2048, and selectors
of ids are ignored. What exceeds the limits is scanned on the processor; for a filter, enough
candidates are fetched that those which pass are among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.indexes import gpus
from imgsearch.indexes.mapped_vectors import EXTRA_CANDIDATES, Rows, Stored
from imgsearch.indexes.threads import import_faiss
from imgsearch.vectors import Embeddings

MAX_SELECTION = 2048
"""FAISS's limit on CUDA for k and for the lists of a query."""
FILTER_MARGIN = 1.5
"""Candidates fetched over those expected to contain enough that pass a filter."""
PIECE_BYTES = 1 << 30
"""Vectors in float32 that are added to one `GpuIndexFlatIP`. It grows by copying itself, so a
single one would need twice its memory; the array in float32 is in the memory of this process."""
HALF_SLACK = 2.0**-9
"""Maximum error of an inner product in float16 with sums in float32. Rounding to 11 bits changes a
number by a share of at most u = 2^-11, so the product of two rounded unit vectors by at most 2u +
u^2 (Cauchy and Schwarz). Numbers below 2^-14 change by at most 2^-25 each, together by less than
2^-16 for vectors of up to 65,536 numbers. The total is less than 2^-9."""


class GpuCopy:
    """The vectors of a file in an index of FAISS that has the limits of a GPU.

    Parameters
    ----------
    main : Stored
        The file.
    index : faiss.Index
        All of its vectors, with row numbers as ids.
    place : str
        Their place, in words.
    """

    def __init__(self, main: Stored, index: Any, place: str) -> None:
        self._main, self._index, self.place = main, index, place
        self.slack = main.header.slack + HALF_SLACK

    def scan(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None, probes: int = 0
    ) -> tuple[Embeddings, Rows]:
        """Approximate scores and rows of the best k, best first; row -1 if there are fewer.

        Parameters
        ----------
        bitmap : ndarray of uint8 or None
            Rows that may be found.
        probes : int
            Number of lists to search; 0 for all.
        """
        main, k = self._main, min(k, self._main.count)
        lists = (probes or main.header.lists) if main.header.trained else 1
        if max(k, lists) <= MAX_SELECTION:
            if bitmap is None:
                return self._search(queries, k, lists)
            passing = np.unpackbits(bitmap, count=main.count, bitorder="little").astype(bool)
            if (found := self._filtered(queries, k, passing, lists)) is not None:
                return found
        if probes:
            return main.scan_near(queries, k, bitmap, probes)
        return main.scan_all(queries, k, bitmap)

    def _filtered(
        self, queries: Embeddings, k: int, passing: NDArray[np.bool_], lists: int
    ) -> tuple[Embeddings, Rows] | None:
        """The best k of the rows that pass; None if more candidates than the limit were needed."""
        total = int(passing.sum())
        expected = k * len(passing) / max(1, total)
        fetched = int(FILTER_MARGIN * expected) + EXTRA_CANDIDATES
        fetched = min(fetched, len(passing), MAX_SELECTION)
        scores, rows = self._search(queries, fetched, lists)
        passes = (rows >= 0) & passing[rows]
        order = np.argsort(~passes, axis=1, kind="stable")[:, :k]
        kept = np.take_along_axis(passes, order, 1)
        complete = (kept.sum(axis=1) >= min(k, total)) | (rows[:, -1] < 0)
        if fetched < len(passing) and not complete.all():
            return None
        scores = np.where(kept, np.take_along_axis(scores, order, 1), np.float32(-np.inf))
        return scores, np.where(kept, np.take_along_axis(rows, order, 1), -1)

    def _search(self, queries: Embeddings, k: int, lists: int) -> tuple[Embeddings, Rows]:
        parameters = None
        if self._main.header.trained:
            parameters = import_faiss().SearchParametersIVF(nprobe=lists)
        scores, rows = self._index.search(queries, k, params=parameters)
        scores[rows < 0] = -np.inf
        return scores, rows


def copied(main: Stored) -> GpuCopy:
    """A file's vectors, copied to GPUs on which they fit; raises `NoGpu` if there are none."""
    devices = gpus.chosen(main.header.plain())
    try:
        index = _lists(main, devices) if main.header.trained else _flat(main, devices)
    except RuntimeError as error:  # FAISS's errors, for instance that memory has run out
        raise gpus.NoGpu(reason(error)) from error
    return GpuCopy(main, index, gpus.named(devices))


def reason(error: RuntimeError) -> str:
    """The sentence of an error of FAISS, without the place in its source."""
    lines = str(error).strip().splitlines() or [repr(error)]
    return lines[0].rpartition("Error: ")[2][:200]


def _lists(main: Stored, devices: Sequence[int]) -> Any:
    """The trained lists, on one GPU or as shards on several, with each list on all of them."""
    faiss, raw = import_faiss(), main.raw
    raw.nprobe = min(raw.nprobe, MAX_SELECTION)  # FAISS refuses more even if it is not used
    options = faiss.GpuMultipleClonerOptions()
    options.shard, options.useFloat16, options.use_cuvs = True, True, False
    resources = [_resources() for _ in devices]
    return faiss.index_cpu_to_gpu_multiple_py(resources, raw, options, devices)


def _flat(main: Stored, devices: Sequence[int]) -> Any:
    """All vectors in the order of the file, a consecutive part on each GPU."""
    ends = np.linspace(0, main.count, len(devices) + 1).astype(int).tolist()
    parts = zip(devices, ends[:-1], ends[1:], strict=True)
    shards = import_faiss().IndexShards(main.dimension, True, True)
    for device, start, stop in parts:
        shards.add_shard(_pieces(main, device, start, stop))
    return shards


def _pieces(main: Stored, device: int, start: int, stop: int) -> Any:
    faiss, resources = import_faiss(), _resources()
    config = faiss.GpuIndexFlatConfig()
    config.device, config.useFloat16, config.use_cuvs = device, True, False
    pieces = faiss.IndexShards(main.dimension, False, True)  # one thread: one set of resources
    step = max(1, PIECE_BYTES // (4 * main.dimension))
    for first in range(start, stop, step):
        piece = faiss.GpuIndexFlatIP(resources, main.dimension, config)
        piece.add(main.as_stored(np.arange(first, min(stop, first + step))))
        pieces.add_shard(piece)
    return pieces


def _resources() -> Any:
    resources = import_faiss().StandardGpuResources()
    resources.setTempMemory(gpus.SCRATCH_BYTES)
    return resources
