"""The main loop of a decoder process; it imports NumPy and Pillow and nothing heavier."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from imgsearch.records import Decoded, ImageFile, Skipped
from imgsearch.sources.decoders import DecodeSettings

_WATCH_SECONDS = 1.0

DecodeOne = Callable[[ImageFile, DecodeSettings], Decoded | Skipped]


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Options of a worker; `memory_limit` is in bytes beyond the memory in use at its start."""

    settings: DecodeSettings
    decode_one: DecodeOne
    memory_limit: int | None


def serve(requests: Connection, results: Connection, parent: int, options: WorkerOptions) -> None:
    """Return a result for each file until the parent closes the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    _one_thread_each()
    _limit(options.memory_limit)
    with contextlib.suppress(EOFError, BrokenPipeError):
        results.send(None)  # ready
        _silence_stderr()
        while True:
            results.send(options.decode_one(requests.recv(), options.settings))


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


def _address_space() -> int:
    """Bytes of virtual memory mapped by the process."""
    import psutil

    return int(psutil.Process().memory_info().vms)


def _silence_stderr() -> None:
    """Discard stderr, to which C libraries write warnings about broken files."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
