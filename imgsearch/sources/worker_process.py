"""The processes that decode, and how they are started.

Imports neither NumPy nor Pillow, so that processes can start before this one has imported them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import psutil

from imgsearch.sources.decoder_start import start
from imgsearch.sources.pixel_slots import PixelSlot, PixelSlots, shared_file

if TYPE_CHECKING:
    from imgsearch.records import ImageFile
    from imgsearch.sources.decoder_process import WorkerOptions

_PIPE_BYTES = 1 << 20
_START_SECONDS = 120.0  # importing NumPy from a cold disk may take long
_GRACE_SECONDS = 5.0

# Not fork: the parent has threads and may use a GPU. Not forkserver: it listens on a socket.
_SPAWN = multiprocessing.get_context("spawn")


class WorkerProcess:
    """One decoder process, the two pipes to it, and memory for pixels; it starts at once."""

    def __init__(self) -> None:
        # One-way pipes, because a duplex one is a socket pair.
        with ExitStack() as theirs, ExitStack() as ours:
            their_requests, self.requests = _SPAWN.Pipe(duplex=False)
            theirs.enter_context(their_requests)
            ours.enter_context(self.requests)
            self.results, their_results = _SPAWN.Pipe(duplex=False)
            theirs.enter_context(their_results)
            ours.enter_context(self.results)
            _widen(self.results)
            self._slots: PixelSlots | None = None
            if (shared := shared_file()) is not None:
                ours.callback(shared.close)
            self._shared = shared
            self._process = _SPAWN.Process(
                target=start,
                args=(their_requests, their_results, os.getpid(), shared),
                name="imgsearch decoder",
                daemon=True,
            )
            self._process.start()
            self._meter = psutil.Process(self._process.pid)
            ours.pop_all()

    def configure(self, options: WorkerOptions) -> None:
        """Send the options, and wait until the process is ready; raises `EOFError` if it died.

        The time that a file may take begins after that, and imports do not count.
        """
        if self._shared is not None:
            with suppress(OSError):  # else pixels come through the pipe
                self._slots = PixelSlots(self._shared, options.slots)
            self._shared.close()
        self.requests.send(options if self._slots else replace(options, slots=0))
        if not self.results.poll(_START_SECONDS):
            raise EOFError
        self.results.recv()

    def send(self, files: Sequence[ImageFile]) -> list[PixelSlot | None]:
        """Send files to decode; returns the slot that the pixels of each may come in."""
        slots = [self._slots.take() if self._slots else None for _ in files]
        numbers = [slot.number if slot else None for slot in slots]
        self.requests.send((list(files), numbers))
        return slots

    def cpu_seconds(self) -> float:
        """CPU seconds that the process has used so far; 0 if it has ended."""
        try:
            times = self._meter.cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def kill(self) -> None:
        """Kill the process; its pipes break, which wakes any thread that waits for it."""
        self._process.kill()

    def exit_code(self) -> int | None:
        """The exit code, waited for a moment; None if the process goes on."""
        self._process.join(_GRACE_SECONDS)
        return self._process.exitcode

    def stop(self) -> None:
        """Terminate the process, or kill it, and close its pipes."""
        self.requests.close()
        self.results.close()
        if self._shared is not None:
            self._shared.close()
        self._process.terminate()
        self._process.join(_GRACE_SECONDS)
        self._process.kill()
        self._process.join(_GRACE_SECONDS)  # a process waiting for a dead disk remains


class SpareProcesses:
    """Processes for a `ProcessDecoder`, started while a model loads and its input is unknown."""

    def __init__(self) -> None:
        self._spares: deque[WorkerProcess] = deque()
        self._thread: threading.Thread | None = None

    def start(self, count: int) -> None:
        """Start them in the background; does nothing the second time."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._fill, args=(count,), daemon=True)
            self._thread.start()

    def _fill(self, count: int) -> None:
        leave_interrupts_to_main_thread()
        # A decoder that fails to start one, too, reports it.
        with suppress(OSError, RuntimeError, psutil.Error):
            for _ in range(count):
                self._spares.append(WorkerProcess())

    def take(self) -> WorkerProcess | None:
        """One of them, perhaps still importing; None if there are no more."""
        if self._thread is not None:
            self._thread.join()
        with suppress(IndexError):
            return self._spares.popleft()
        return None

    def close(self) -> None:
        """Stop those that no decoder has taken."""
        while spare := self.take():
            spare.stop()


def _widen(pipe: Connection) -> None:
    """Enlarge a pipe's buffer, so that its two ends need not take turns every 64 KiB."""
    with suppress(ImportError, AttributeError, OSError):  # Linux only, and limited per user
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def leave_interrupts_to_main_thread() -> None:
    """Block SIGINT in this thread; processes started from it inherit the mask."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
