"""Decoding in processes: a file that crashes, hangs or eats memory costs itself and no other.

Each worker process has two pipes of its own and one thread here that feeds it. So there is never a
doubt which file a worker had in hand when it died, and no lock that a dying worker could keep.
See docs/adr/0005-decode-in-processes.md.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue

import psutil

from imgsearch.errors import SourceError
from imgsearch.records import Decoded, ImageFile, Skipped
from imgsearch.sources.decode import decode_file
from imgsearch.sources.decoder_process import DecodeOne, Orders, serve
from imgsearch.sources.decoders import DecodeSettings

BYTES_AHEAD = 512 << 20
"""Of decoded pixels that wait for the model: with large pictures, what bounds a run's memory."""
_IN_FLIGHT = 4  # files per worker: enough that none waits for the consumer
_PIPE_BYTES = 1 << 20
_START_SECONDS = 120.0  # a cold disk may take long to import NumPy
_GRACE_SECONDS = 5.0
_BUSY_SHARE = 0.25  # of a time limit spent computing: then it was the decoder, not the disk

# No fork: the parent has threads and may hold a GPU. No forkserver: it listens on a socket.
_SPAWN = multiprocessing.get_context("spawn")


class InlineDecoder:
    """Decodes in the calling thread; for a few trusted files. A `Decoder`."""

    def __init__(self, settings: DecodeSettings, decode_one: DecodeOne = decode_file) -> None:
        self._settings = settings
        self._decode_one = decode_one

    def decode(self, files: Iterable[ImageFile]) -> Iterator[Decoded | Skipped]:
        """One result per file, in the order of the files."""
        for file in files:
            yield self._decode_one(file, self._settings)

    def close(self) -> None:
        """Nothing to release."""


class ProcessDecoder:
    """Decodes in worker processes that are started with the first file. A `Decoder`.

    Parameters
    ----------
    workers : int
        Number of processes, at least 1.
    timeout_s : float
        Seconds that one file may take.
    memory_limit : int or None
        Bytes that decoding may take in each worker; None is no limit. Not enforced on Windows
        and, by its kernel, on macOS.
    decode_one : callable
        What a worker does with a file; a module-level function. Another one is for tests.
    in_flight : int
        Files to work on ahead of the consumer; 0 is a few per worker. Enough for two batches
        keeps the workers busy while a model works on the batch before.
    bytes_ahead : int
        Pixels to hold for the consumer, in bytes. Each worker may be at one more picture.

    Notes
    -----
    Workers are spawned, so a program that uses this class from its main script needs the usual
    `if __name__ == "__main__":` guard.
    """

    def __init__(
        self,
        settings: DecodeSettings,
        workers: int,
        timeout_s: float = 120.0,
        memory_limit: int | None = 4 << 30,
        decode_one: DecodeOne = decode_file,
        in_flight: int = 0,
        bytes_ahead: int = BYTES_AHEAD,
    ) -> None:
        self._bytes_ahead = bytes_ahead
        self._in_flight = in_flight or _IN_FLIGHT * max(1, workers)
        orders = Orders(settings, decode_one, memory_limit)
        self._workers = [_Worker(timeout_s, orders) for _ in range(max(1, workers))]
        self._busy = threading.Lock()
        self._run: _Run | None = None

    def decode(self, files: Iterable[ImageFile]) -> Iterator[Decoded | Skipped]:
        """One result per file, in any order; takes `files` only a few per worker ahead.

        Closing the iterator early drops what is in flight. One call at a time.

        Raises
        ------
        SourceError
            The worker processes cannot be started.
        """
        with self._busy:
            run = self._run = _Run(self._workers, self._in_flight, self._bytes_ahead)
            try:
                yield from run.results(files)
            finally:
                run.stop()

    def close(self) -> None:
        """Stop the worker processes, and with them a call of `decode` that was left halfway."""
        if self._run is not None:
            self._run.stop()  # or its threads would start workers again that are stopped here
        for worker in self._workers:
            worker.stop()


class _Run:
    """One call of `decode`: an inbox and an outbox, and a thread for each worker."""

    def __init__(self, workers: list[_Worker], in_flight: int, bytes_ahead: int) -> None:
        self._workers = workers
        self._in_flight = in_flight
        self._shelf = _Shelf(bytes_ahead)
        self._inbox: SimpleQueue[ImageFile | None] = SimpleQueue()
        self._outbox: SimpleQueue[Decoded | Skipped | BaseException] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._waiting = 0
        self._stopped = False

    def results(self, files: Iterable[ImageFile]) -> Iterator[Decoded | Skipped]:
        for file in files:
            self._submit(file)
            if self._waiting >= self._in_flight:
                yield self._next()
        while self._waiting:
            yield self._next()

    def stop(self) -> None:
        """End the threads; kill the workers if they are still at files that nobody wants."""
        self._stopped = True
        self._shelf.give_up()
        self._discard_inbox()
        for _ in self._threads:
            self._inbox.put(None)
        if self._waiting:
            for worker in self._workers:
                worker.kill()
        for thread in self._threads:
            thread.join()

    def _submit(self, file: ImageFile) -> None:
        if len(self._threads) < len(self._workers):
            worker = self._workers[len(self._threads)]
            thread = threading.Thread(target=self._feed, args=(worker,), daemon=True)
            self._threads.append(thread)
            thread.start()
        self._inbox.put(file)
        self._waiting += 1

    def _next(self) -> Decoded | Skipped:
        result = self._outbox.get()
        self._waiting -= 1
        if isinstance(result, BaseException):
            raise result
        self._shelf.take(_pixel_bytes(result))
        return result

    def _discard_inbox(self) -> None:
        try:
            while True:
                self._inbox.get_nowait()
        except Empty:
            return

    def _feed(self, worker: _Worker) -> None:
        _leave_interrupts_to_main_thread()
        while (file := self._inbox.get()) is not None:
            self._shelf.wait()
            try:
                result = worker.decode(file, lambda: self._stopped)
            except BaseException as error:  # raised again where somebody waits for a result
                self._outbox.put(error)
            else:
                self._shelf.put(_pixel_bytes(result))
                self._outbox.put(result)


class _Shelf:
    """Counts the pixels that wait for the consumer; who makes more waits while it is full.

    What is counted lies in the outbox or is about to, so a consumer that waits for a result
    always gets one: only a shelf with something on it makes anybody wait.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held, self._open = most, 0, True
        self._changed = threading.Condition()

    def wait(self) -> None:
        """Return when there is room, or when nobody wants anything any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._most or not self._open)

    def put(self, size: int) -> None:
        with self._changed:
            self._held += size

    def take(self, size: int) -> None:
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def give_up(self) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()


def _pixel_bytes(result: Decoded | Skipped) -> int:
    return result.pixels.nbytes if isinstance(result, Decoded) else 0


class _Worker:
    """One worker process, replaced when it dies."""

    def __init__(self, timeout_s: float, orders: Orders) -> None:
        self._timeout = timeout_s
        self._orders = orders
        self._process: multiprocessing.process.BaseProcess | None = None
        self._meter: psutil.Process | None = None
        self._requests: Connection | None = None
        self._results: Connection | None = None

    def decode(self, file: ImageFile, stopped: Callable[[], bool]) -> Decoded | Skipped:
        """The result for a file, whatever the decoder does to its process."""
        verdict = Skipped(file, "decoding was stopped", transient=True)
        # A crash may be the late effect of the file before, so one gets a second, fresh process.
        for _ in range(2):
            if stopped():
                break
            try:
                requests, results = self._connected()
                if stopped():
                    break
                spent = self._cpu_seconds()
                requests.send(file)
                if not results.poll(self._timeout):
                    return self._hung(file, self._cpu_seconds() - spent)
                result: Decoded | Skipped = results.recv()
                return result
            except (EOFError, OSError):
                verdict = self._crashed(file)
        return verdict

    def kill(self) -> None:
        """End the process at once; its pipes break, and whoever waits for it wakes up."""
        process = self._process
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """Let the process end, or make it end, and give its pipes back."""
        for pipe in (self._requests, self._results):
            if pipe is not None:
                pipe.close()
        if self._process is not None:
            self._process.terminate()
            self._process.join(_GRACE_SECONDS)
            self.kill()
            self._process.join(_GRACE_SECONDS)  # a process that waits for a dead disk stays
        self._process = self._meter = self._requests = self._results = None

    def _connected(self) -> tuple[Connection, Connection]:
        if self._requests is None or self._results is None:
            return self._start()
        return self._requests, self._results

    def _start(self) -> tuple[Connection, Connection]:
        # One-way pipes: a duplex one would be a socket pair.
        their_requests, self._requests = _SPAWN.Pipe(duplex=False)
        self._results, their_results = _SPAWN.Pipe(duplex=False)
        _widen(self._results)
        process = _SPAWN.Process(
            target=serve,
            args=(their_requests, their_results, os.getpid(), self._orders),
            name="imgsearch decoder",
            daemon=True,
        )
        try:
            process.start()
            self._process = process  # from here on, `kill` may come from another thread
            their_requests.close()
            their_results.close()
            if not self._results.poll(_START_SECONDS):
                raise EOFError
            self._results.recv()
            self._meter = psutil.Process(process.pid)
        except (EOFError, OSError, RuntimeError, psutil.Error) as error:
            self.kill()
            self.stop()
            raise SourceError(
                "the processes that decode pictures cannot be started",
                "Is there enough memory? 'imgsearch doctor' tells what is installed.",
            ) from error
        return self._requests, self._results

    def _crashed(self, file: ImageFile) -> Skipped:
        process = self._process
        if process is not None:
            process.join(_GRACE_SECONDS)
        code = process.exitcode if process is not None else None
        self.stop()
        if code == -getattr(signal, "SIGKILL", 9):
            reason = "the decoder was killed on this file: perhaps it needs too much memory"
            return Skipped(file, reason, transient=True)
        return Skipped(file, "the decoder crashed on this file")

    def _hung(self, file: ImageFile, cpu_seconds: float) -> Skipped:
        self.kill()
        self.stop()
        busy = cpu_seconds >= _BUSY_SHARE * self._timeout
        reason = f"took longer than {self._timeout:g} seconds to be "
        reason += "decoded" if busy else "read"
        return Skipped(file, reason, transient=not busy)

    def _cpu_seconds(self) -> float:
        """What the process has computed so far."""
        try:
            times = self._meter.cpu_times() if self._meter else None
        except psutil.Error:
            times = None
        return float(times.user + times.system) if times else 0.0


def _widen(pipe: Connection) -> None:
    """Give a pipe room for a picture, so that its two ends need not take turns every 64 KiB."""
    with suppress(ImportError, AttributeError, OSError):  # Linux alone can; users have a limit
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _leave_interrupts_to_main_thread() -> None:
    """Ctrl-C is for us to handle; processes started from this thread inherit the mask."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
