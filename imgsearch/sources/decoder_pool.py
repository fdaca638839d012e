"""Decodes in worker processes: a file that crashes, hangs or exhausts memory affects no other.

Each worker has two pipes of its own and is fed by one thread here, so no worker can die while it
holds a lock that the others need. Files that go to a worker together and do not come back are
decoded again one by one, so it is always known which one it was decoding when it died. See
docs/adr/0005-decode-in-processes.md.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Empty, SimpleQueue

import psutil

from imgsearch.errors import SourceError, TooManyFiles, is_too_many_files
from imgsearch.records import Decoded, ImageFile, Skipped
from imgsearch.sources.decoder_process import (
    DecodeOne,
    WorkerOptions,
    default_decoder,
    receive_results,
)
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.worker_process import (
    SpareProcesses,
    WorkerProcess,
    leave_interrupts_to_main_thread,
)

BYTES_AHEAD = 512 << 20
"""Limit on decoded pixels waiting for the model; bounds a run's memory if images are large."""
_FILES_PER_WORKER = 4  # in flight: enough that no worker waits for the consumer
_BUSY_SHARE = 0.25  # share of the time limit spent computing above which the decoder hung
_QUICK_SECONDS = 1.0  # the processor time of a file is asked for only if it takes longer
_MAX_TOGETHER = 8
_TOGETHER_SECONDS = 0.3
"""Quick files travel together, as many as take about this time: fewer messages, and a worker that
need not wait for the next file."""
_TOGETHER_SHARE = 1 / 8  # of the time limit, after which files that travel together are given up


class InlineDecoder:
    """A `Decoder` in the calling thread, for a few trusted files."""

    def __init__(self, settings: DecodeSettings, decode_one: DecodeOne | None = None) -> None:
        self._settings = settings
        self._decode_one = decode_one or default_decoder()

    def decode(self, files: Iterable[ImageFile]) -> Iterator[Decoded | Skipped]:
        """One result per file, in the order of the files."""
        for file in files:
            yield self._decode_one(file, self._settings)

    def close(self) -> None:
        """Nothing to release."""


class ProcessDecoder:
    """A `Decoder` in worker processes, which start with the first file.

    Parameters
    ----------
    workers : int
        Number of processes, at least 1.
    timeout_s : float
        Seconds allowed for one file.
    memory_limit : int or None
        Bytes that decoding may use in each worker; None for no limit. Not enforced on Windows,
        nor by the kernel of macOS.
    decode_one : callable or None
        Decodes one file in a worker; a module-level function. By default `decode.decode_file`,
        which is imported in the workers only.
    in_flight : int
        Files to decode ahead of the consumer; 0 means a few per worker. Two batches keep the
        workers busy while a model encodes the previous batch.
    bytes_ahead : int
        Limit on pixels waiting for the consumer, in bytes; each worker may exceed it by the
        images it is decoding.
    spares : SpareProcesses or None
        Processes to use before others are started. They stay the property of the caller.
    background : bool
        Run the processes at a lower priority.

    Notes
    -----
    Workers are spawned, so a main script that uses this class needs the usual
    `if __name__ == "__main__":` guard.
    """

    def __init__(
        self,
        settings: DecodeSettings,
        workers: int,
        timeout_s: float = 120.0,
        memory_limit: int | None = 4 << 30,
        decode_one: DecodeOne | None = None,
        in_flight: int = 0,
        bytes_ahead: int = BYTES_AHEAD,
        spares: SpareProcesses | None = None,
        background: bool = False,
    ) -> None:
        self._bytes_ahead = bytes_ahead
        self._in_flight = in_flight or _FILES_PER_WORKER * max(1, workers)
        # Beside those in flight, pictures wait in the batch that is being encoded.
        slots = 2 * self._in_flight // max(1, workers) + 2
        options = WorkerOptions(settings, decode_one, memory_limit, slots, background)
        self._workers = [_Worker(timeout_s, options, spares) for _ in range(max(1, workers))]
        self._busy = threading.Lock()
        self._run: _Run | None = None

    def decode(self, files: Iterable[ImageFile]) -> Iterator[Decoded | Skipped]:
        """One result per file, in any order; reads `files` only a few per worker ahead.

        Closing the iterator early discards files in flight. Only one call at a time.

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
        """Stop the worker processes and an unfinished call of `decode`."""
        if self._run is not None:
            self._run.stop()  # else its threads would restart the workers stopped here
        for worker in self._workers:
            worker.stop()


class _Run:
    """One call of `decode`: an inbox, an outbox and a thread per worker."""

    def __init__(self, workers: list[_Worker], in_flight: int, bytes_ahead: int) -> None:
        self._workers = workers
        self._in_flight = in_flight
        self._budget = _PixelBudget(bytes_ahead)
        self._inbox: SimpleQueue[ImageFile | None] = SimpleQueue()
        self._outbox: SimpleQueue[list[Decoded | Skipped] | BaseException] = SimpleQueue()
        self._ready: deque[Decoded | Skipped] = deque()
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
        """End the threads; kill the workers if they are still decoding."""
        self._stopped = True
        self._budget.close()
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
        if not self._ready:
            results = self._outbox.get()
            if isinstance(results, BaseException):
                raise results
            self._ready.extend(results)
        self._waiting -= 1
        result = self._ready.popleft()
        self._budget.remove(_pixel_bytes([result]))
        return result

    def _discard_inbox(self) -> None:
        try:
            while True:
                self._inbox.get_nowait()
        except Empty:
            return

    def _feed(self, worker: _Worker) -> None:
        leave_interrupts_to_main_thread()
        while (file := self._inbox.get()) is not None:
            self._budget.wait()
            try:
                for results in worker.decode(self._with_next(file, worker), self._is_stopped):
                    self._budget.add(_pixel_bytes(results))
                    self._outbox.put(results)
            except BaseException as error:  # raised again in `_next`
                self._outbox.put(error)

    def _with_next(self, file: ImageFile, worker: _Worker) -> list[ImageFile]:
        """The file and some that wait behind it, if there is room for their pixels; at least as
        many are left for the others."""
        files: list[ImageFile] = [file]
        most = min(worker.together, self._budget.room // max(1, worker.picture_bytes))
        while len(files) < min(most, self._inbox.qsize() // len(self._workers)):
            try:
                following = self._inbox.get_nowait()
            except Empty:
                break
            if following is None:  # `stop`, meant for each thread
                self._inbox.put(None)
                break
            files.append(following)
        return files

    def _is_stopped(self) -> bool:
        return self._stopped


class _PixelBudget:
    """Limits the pixels that wait for the consumer; producers wait while it is exhausted.

    Counted pixels are in the outbox or about to be, so a consumer that waits for a result always
    gets one: producers wait only while something is counted.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes, self._open = max_bytes, 0, True
        self._changed = threading.Condition()

    def wait(self) -> None:
        """Return when there is room, or when the budget is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < self._max_bytes or not self._open)

    @property
    def room(self) -> int:
        """Bytes that may be added."""
        return self._max_bytes - self._bytes

    def add(self, size: int) -> None:
        with self._changed:
            self._bytes += size

    def remove(self, size: int) -> None:
        with self._changed:
            self._bytes -= size
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()


def _pixel_bytes(results: Iterable[Decoded | Skipped]) -> int:
    return sum(each.pixels.nbytes for each in results if isinstance(each, Decoded))


class _Worker:
    """One worker process, replaced when it dies."""

    def __init__(
        self, timeout_s: float, options: WorkerOptions, spares: SpareProcesses | None = None
    ) -> None:
        self._timeout = timeout_s
        self._quick = min(_QUICK_SECONDS, timeout_s / 8)
        self._together_s = min(_TOGETHER_SECONDS, timeout_s * _TOGETHER_SHARE / 2)
        self._options = options
        self._spares = spares
        self._process: WorkerProcess | None = None
        self._configured = False
        self.together, self.picture_bytes = 1, 0

    def decode(
        self, files: Sequence[ImageFile], stopped: Callable[[], bool]
    ) -> Iterator[list[Decoded | Skipped]]:
        """The results for files, even if the decoder kills its process.

        Files that do not arrive together are decoded one by one, which finds the one at fault.
        `together` becomes the number of such files for the next call, and `picture_bytes` the mean
        size of their pixels.
        """
        started, size = time.monotonic(), 0
        together = self._decode_together(files) if len(files) > 1 else None
        one_by_one = ([self._decode_one(file, stopped)] for file in files)
        for results in [together] if together else one_by_one:
            size += _pixel_bytes(results)
            yield results
        self.picture_bytes = size // len(files)
        each = (time.monotonic() - started) / len(files)
        self.together = max(1, min(_MAX_TOGETHER, int(self._together_s / max(each, 1e-3))))

    def _decode_together(self, files: Sequence[ImageFile]) -> list[Decoded | Skipped] | None:
        """The results; None if the process died, or took too long."""
        try:
            process = self._connected()
            slots = process.send(files)
            if process.results.poll(self._timeout * _TOGETHER_SHARE):
                return receive_results(process.results, slots)
        except (EOFError, OSError):
            pass
        self.kill()
        self.stop()
        return None

    def _decode_one(self, file: ImageFile, stopped: Callable[[], bool]) -> Decoded | Skipped:
        verdict = Skipped(file, "decoding was stopped", transient=True)
        # A crash may be a late effect of the previous file, so try again in a fresh process.
        for _ in range(2):
            if stopped():
                break
            try:
                process = self._connected()
                if stopped():
                    break
                slots = process.send([file])
                if not process.results.poll(self._quick):
                    spent = process.cpu_seconds()
                    if not process.results.poll(self._timeout - self._quick):
                        return self._hung(file, process.cpu_seconds() - spent)
                result: Decoded | Skipped = receive_results(process.results, slots)[0]
                return result
            except (EOFError, OSError):
                verdict = self._crashed(file)
        return verdict

    def kill(self) -> None:
        """Kill the process; its pipes break, which wakes any thread that waits for it."""
        process = self._process
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """Stop the process."""
        if self._process is not None:
            self._process.stop()
        self._process, self._configured = None, False

    def _connected(self) -> WorkerProcess:
        process = self._process
        if process is not None and self._configured:
            return process
        try:
            process = (self._spares and self._spares.take()) or WorkerProcess()
            self._process = process  # from here on, another thread may call `kill`
            process.configure(self._options)
        except (EOFError, OSError, RuntimeError, psutil.Error) as error:
            self.kill()
            self.stop()
            if isinstance(error, OSError) and is_too_many_files(error):
                raise TooManyFiles from error
            raise SourceError(
                "the processes that decode pictures cannot be started",
                "Is there enough memory? A script of yours must call imgsearch below"
                " 'if __name__ == \"__main__\":', because each process loads the script again."
                " 'imgsearch doctor' shows what is installed.",
            ) from error
        self._configured = True
        return process

    def _crashed(self, file: ImageFile) -> Skipped:
        code = self._process.exit_code() if self._process is not None else None
        self.stop()
        if code == -getattr(signal, "SIGKILL", 9):
            reason = "the decoder was killed on this file: perhaps it needs too much memory"
            return Skipped(file, reason, transient=True)
        return Skipped(file, "the decoder crashed on this file")

    def _hung(self, file: ImageFile, cpu_seconds: float) -> Skipped:
        self.kill()
        self.stop()
        busy = cpu_seconds >= _BUSY_SHARE * (self._timeout - self._quick)
        reason = f"took longer than {self._timeout:g} seconds to be "
        reason += "decoded" if busy else "read"
        return Skipped(file, reason, transient=not busy)
