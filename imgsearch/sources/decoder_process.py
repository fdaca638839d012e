"""The main loop of a decoder process; it imports NumPy and Pillow and nothing heavier."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from imgsearch.records import Decoded, ImageFile, Skipped
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.pixel_slots import PixelSlot, SlotWriter

_WATCH_SECONDS = 1.0
_BACKGROUND_NICE = 10
_NO_PIXELS = np.empty((0, 0, 3), np.uint8)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # numbers of glibc's options
_MAX_HEAP_ARRAY_BYTES, _MAX_KEPT_BYTES = 32 << 20, 64 << 20  # the former: the most of mallopt(3)

DecodeOne = Callable[[ImageFile, DecodeSettings], Decoded | Skipped]


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker; `memory_limit` is in bytes beyond the memory in use at its start, and
    `slots` the number of those for pixels in shared memory, 0 without it. Without `decode_one` it
    is `decode.decode_file`. `background` lowers the priority of the process."""

    settings: DecodeSettings
    decode_one: DecodeOne | None
    memory_limit: int | None
    slots: int = 0
    background: bool = False


def serve(requests: Connection, results: Connection, parent: int, shared: int | None) -> None:
    """Decode the files of each request, until the parent closes the pipe or dies.

    The first request is the `WorkerOptions`, because a process may start before they are known.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    _one_thread_each()
    with contextlib.suppress(EOFError, BrokenPipeError):
        options = requests.recv()  # imports the module of `decode_one`
        decode_one = options.decode_one or default_decoder()
        slots = SlotWriter(shared, options.slots) if shared is not None and options.slots else None
        _limit(options.memory_limit)
        if options.background and hasattr(os, "nice"):
            os.nice(_BACKGROUND_NICE)
        _keep_freed_memory()
        results.send(None)  # ready
        _silence_stderr()
        while True:
            files, numbers = requests.recv()
            found = [decode_one(file, options.settings) for file in files]
            send_results(results, found, numbers, slots)


def default_decoder() -> DecodeOne:
    """`decode.decode_file`, imported where it runs: the process of the model needs no Pillow."""
    from imgsearch.sources.decode import decode_file

    return decode_file


def send_results(
    pipe: Connection,
    results: Sequence[Any],
    numbers: Sequence[int | None],
    slots: SlotWriter | None = None,
) -> None:
    """Send the results of a request together.

    The pixels of a picture go into the slot of its number, or follow as they are, because pickling
    copies them.
    """
    heads: list[tuple[Any, tuple[int, ...] | None, bool]] = []
    following: list[memoryview] = []
    for result, number in zip(results, numbers, strict=True):
        if not _travels_apart(result):
            heads.append((result, None, False))
            continue
        pixels = result.pixels
        shared = slots is not None and number is not None and slots.write(number, pixels.data)
        heads.append((replace(result, pixels=_NO_PIXELS), pixels.shape, shared))
        if not shared:
            following.append(memoryview(pixels.data).cast("B"))
    pipe.send(heads)
    for data in following:
        rest = data
        while rest:
            rest = rest[os.write(pipe.fileno(), rest) :]


def receive_results(pipe: Connection, slots: Sequence[PixelSlot | None]) -> list[Any]:
    """The results of a request whose files had these slots.

    Pixels are those in a slot, not copied, or are read from the pipe into their array.

    Raises
    ------
    EOFError
        The process ended before it had sent all of them.
    """
    heads = zip(pipe.recv(), slots, strict=True)
    return [
        _with_pixels(pipe, result, shape, slot if shared else None)
        for (result, shape, shared), slot in heads
    ]


def _with_pixels(
    pipe: Connection, result: Any, shape: tuple[int, ...] | None, slot: PixelSlot | None
) -> Any:
    if shape is None:
        return result
    if slot is not None:
        return replace(result, pixels=np.asarray(slot.holding(shape)))
    pixels = np.empty(shape, np.uint8)
    rest = memoryview(pixels.data).cast("B")
    while rest:
        count = os.readv(pipe.fileno(), [rest])
        if not count:
            raise EOFError
        rest = rest[count:]
    return replace(result, pixels=pixels)


def _travels_apart(result: Any) -> bool:
    """True for a picture with pixels, on systems whose pipes are files."""
    if not isinstance(result, Decoded) or not hasattr(os, "readv"):
        return False
    pixels = result.pixels
    return pixels.dtype == np.uint8 and pixels.flags.c_contiguous and pixels.size > 0


def _watch(parent: int) -> None:
    """Exit with the parent, even if it was killed and a decoder is busy for hours."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def _one_thread_each() -> None:
    """Limit decoders to one thread, because there is a process for each core already."""
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.options.DECODE_THREADS = 1


def _limit(memory: int | None) -> None:
    """Limit the memory that the process may use beyond its current use; disable core dumps."""
    try:
        import resource
    except ImportError:  # Windows
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory is not None:
            limit = _address_space() + memory
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _keep_freed_memory() -> None:
    """Let glibc keep the memory of a picture for the next one.

    By default it returns memory to the system after each picture, which clears it again page by
    page: 13 to 41 % of the time of a JPEG of 1 megapixel at 224 to 1000 pixels (measured).
    """
    if sys.platform != "linux":
        return
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # musl has none
        mallopt(_M_MMAP_THRESHOLD, _MAX_HEAP_ARRAY_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _MAX_KEPT_BYTES)


def _address_space() -> int:
    """Bytes of virtual memory mapped by the process."""
    import psutil

    return int(psutil.Process().memory_info().vms)


def _silence_stderr() -> None:
    """Discard stderr, to which C libraries write warnings about broken files."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
