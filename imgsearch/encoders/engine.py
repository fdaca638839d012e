"""Runs batches through a network while the next one is assembled and copied to the device."""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imgsearch.encoders.batches import ahead
from imgsearch.encoders.memory import unless_out_of_memory
from imgsearch.vectors import Embeddings, Pixels

Batch = list[int]
Features = dict[str, Any]
Network = Callable[[Features], Tensor]
Assemble = Callable[[Batch], Features]


class _HostMemory:
    """Memory for the pixels of a batch, kept for later batches once no tensor refers to it.

    The system clears new memory page by page, which takes longer than copying the pixels. Memory is
    kept for two batches: one that is computed, and one that is assembled.
    """

    _free: ClassVar[deque[NDArray[np.uint8]]] = deque(maxlen=2)

    def __init__(self, memory: NDArray[np.uint8], size: int) -> None:
        self._memory, self._size = memory, size

    @classmethod
    def take(cls, size: int) -> _HostMemory:
        """Kept memory if it is large enough, else new memory."""
        with suppress(IndexError):
            memory = cls._free.pop()
            if memory.size >= size:
                return cls(memory, size)
        return cls(np.empty(size, np.uint8), size)

    def __del__(self) -> None:
        self._free.append(self._memory)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {**self._memory.__array_interface__, "shape": (self._size,)}


def host_pixels(shape: Sequence[int], device: torch.device) -> Tensor:
    """Memory on the host for the pixels of a batch: uint8, not yet written.

    It is used again for later batches, so pixels are copied without page faults. For a CUDA device
    it is pinned, and PyTorch keeps it; the device fetches the pixels from there.
    """
    if device.type == "cuda":
        return torch.empty(tuple(shape), dtype=torch.uint8, pin_memory=True)
    memory = np.asarray(_HostMemory.take(math.prod(shape)))
    return torch.from_numpy(memory).view(tuple(shape))


def joined(images: Sequence[Pixels], device: torch.device) -> Tensor:
    """All pictures one after the other: uint8, on the host, see `host_pixels`."""
    flat = host_pixels([sum(image.size for image in images)], device)
    if images:
        np.concatenate([image.ravel() for image in images], out=flat.numpy())
    return flat


class Engine:
    """A device, and a thread that prepares the next batch for it.

    On a CUDA device a batch is copied from pinned memory on a stream of its own, and each batch is
    launched before the result of the one before is awaited. So the device waits neither for the
    thread nor for the consumer of the results, as long as both are faster than it.

    Parameters
    ----------
    device : torch.device
    max_cores : int, optional
        Limit on the batches that `run_apart` computes at a time.
    """

    def __init__(self, device: torch.device, max_cores: int = sys.maxsize) -> None:
        self._device = device
        self._max_cores = max_cores
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="imgsearch-batch")
        self._is_cuda = device.type == "cuda"
        self._copies: Any = torch.cuda.Stream(device) if self._is_cuda else None  # type: ignore[no-untyped-call]

    def run(
        self, batches: list[Batch], assemble: Assemble, network: Network
    ) -> Iterator[tuple[Batch, Embeddings]]:
        """Yield batches with their rows, in order; stops at one for which memory is too small.

        Parameters
        ----------
        assemble : callable
            Features of a batch on the host; called in the thread. Tensors among them are copied to
            the device.
        network : callable
            Starts the computation of a tensor of rows, and does not wait for it.
        """
        work = partial(unless_out_of_memory, lambda batch: self._place(assemble(batch)))
        previous: tuple[Batch, Callable[[], Embeddings]] | None = None
        for batch, placed in ahead(self._thread, work, batches):
            start = partial(self._start, network)
            wait = unless_out_of_memory(start, placed) if placed else None
            if previous:
                yield previous[0], previous[1]()
                previous = None
            if wait is None:
                return
            if self._is_cuda:
                previous = batch, wait
            else:
                yield batch, wait()
        if previous:
            yield previous[0], previous[1]()

    def run_apart(
        self, batches: list[Batch], assemble: Assemble, network: Network
    ) -> Iterator[tuple[Batch, Embeddings]]:
        """As `run`, on a processor: each batch on one core, as many at a time as there are cores.

        For networks whose operators are too small to be divided among cores: the cores then wait
        for each other after each operator, and for those that decode pictures meanwhile.
        """

        def work(batch: Batch) -> Embeddings:
            return network(assemble(batch)).float().numpy()

        results = self._cores.map(partial(unless_out_of_memory, work), batches)
        for batch, rows in zip(batches, results, strict=True):
            if rows is None:
                return
            yield batch, rows

    @cached_property
    def cores(self) -> int:
        """Batches that `run_apart` computes at a time."""
        return min(torch.get_num_threads(), self._max_cores)

    @cached_property
    def _cores(self) -> ThreadPoolExecutor:
        """Threads that divide no operator."""
        count, before = self.cores, torch.get_num_threads()
        started = threading.Barrier(count + 1)

        def start() -> None:
            torch.get_num_threads()  # else the first operator would take the number of others
            torch.set_num_threads(1)
            started.wait()

        cores = ThreadPoolExecutor(count, "imgsearch-core", initializer=start)
        for _ in range(count):
            cores.submit(int)
        started.wait()
        torch.set_num_threads(before)  # threads that start later would divide nothing, either
        return cores

    def _place(self, features: Features) -> tuple[Features, torch.cuda.Event | None]:
        """The features on the device, and the event that ends their copies."""
        if not self._is_cuda:
            return self._moved(features, lambda value: value.to(self._device)), None
        with torch.cuda.stream(self._copies):
            placed = self._moved(
                features, lambda value: value.pin_memory().to(self._device, non_blocking=True)
            )
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record()
        return placed, copied

    @staticmethod
    def _moved(features: Features, move: Callable[[Tensor], Tensor]) -> Features:
        return {
            name: move(value) if isinstance(value, Tensor) else value
            for name, value in features.items()
        }

    def _start(
        self, network: Network, placed: tuple[Features, torch.cuda.Event | None]
    ) -> Callable[[], Embeddings]:
        """Start one batch; return a function that awaits its rows."""
        features, copied = placed
        if copied is None:
            rows = network(features)
            return lambda: rows.float().cpu().numpy()
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(copied)
        for value in features.values():
            if isinstance(value, Tensor):
                value.record_stream(stream)  # its memory belongs to the stream of the copies
        rows = network(features).float()
        # Requested now, so that the copy does not queue behind the next batch.
        copy, arrived = rows.to("cpu", non_blocking=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record(stream)

        def wait() -> Embeddings:
            arrived.synchronize()
            return copy.numpy()

        return wait
