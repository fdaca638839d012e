"""The indexer in its own process, so that a crash does not affect the parent.

    python -m imgsearch.serving.indexer_process

reads one JSON object from stdin, {"settings": ..., "paths": [...]}, and writes JSON lines to
stdout: {"state": "running", "stage", "done", "total"} and at the end {"state": "done", ...}. It
stops after the current batch when stdin is closed, which also happens when its parent dies.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from imgsearch.errors import ImgSearchError
from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.records import Progress
from imgsearch.settings import Settings

COUNTS = ("scanned", "added", "updated", "moved", "unchanged", "removed", "skipped")
STOP_SECONDS = 20.0
"""Time limit for stopping a run before it is killed; committed pictures are kept."""

Event = dict[str, Any]


class IndexProcess:
    """A run of the indexer.

    Parameters
    ----------
    on_event : callable
        Called with each event, in a thread of this object; the last event has the state "done",
        "interrupted" or "failed".
    """

    def __init__(
        self, settings: Settings, request: IndexRequest, on_event: Callable[[Event], None]
    ) -> None:
        self._on_event = on_event
        self._process = subprocess.Popen(
            [sys.executable, "-m", "imgsearch.serving.indexer_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C goes to the server only, which stops this process
        )
        self._send({"settings": asdict(settings), "request": asdict(request)})
        self._thread = threading.Thread(target=self._listen, daemon=True, name="imgsearch-index")
        self._thread.start()

    @property
    def running(self) -> bool:
        """False after the last event."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask the run to stop after the current batch."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
        except OSError:
            pass  # it has ended

    def close(self, timeout_s: float = STOP_SECONDS) -> None:
        """Stop the run, and kill it if that takes too long."""
        self.stop()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._process.kill()
            self._thread.join(timeout_s)

    def _send(self, job: Event) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            pass  # the process has died; the thread reports that

    def _listen(self) -> None:
        last: Event = {}
        assert self._process.stdout is not None
        for line in self._process.stdout:
            last = json.loads(line)
            if last["state"] == "running":
                self._on_event(last)
        status = self._process.wait()
        if last.get("state", "running") == "running":
            last = {
                "state": "failed",
                "error": f"the indexer ended unexpectedly ({_exit_reason(status)})",
                "hint": "Committed pictures are kept. Start indexing again.",
            }
        self._on_event(last)


def _exit_reason(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def main() -> None:
    """Run the job on stdin and write its events to stdout."""
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # other output must not be mistaken for an event

    stop = threading.Event()

    def emit(event: Event) -> None:
        try:
            out.write(json.dumps(event) + "\n")
            out.flush()
        except OSError:  # the parent has closed the pipe
            stop.set()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_watch_stdin, args=(stop,), daemon=True).start()
    settings = job["settings"]
    settings["models"] = tuple(tuple(each) for each in settings["models"])
    library = Library(Settings(**settings))
    try:
        emit(_run(library, IndexRequest(**job["request"]), stop, emit))
    except ImgSearchError as error:
        emit({"state": "failed", "error": str(error), "hint": error.hint})
    finally:
        library.close()


def _run(
    library: Library,
    request: IndexRequest,
    stop: threading.Event,
    emit: Callable[[Event], None],
) -> Event:
    start = time.monotonic()

    def on_progress(progress: Progress) -> None:
        seconds = time.monotonic() - start
        emit(
            {
                "state": "running",
                "stage": progress.stage,
                "done": progress.done,
                "total": progress.total,
                "seconds": round(seconds, 3),
                "rate": round(progress.done / seconds, 3) if seconds else 0.0,
            }
        )

    report = library.index(request, on_progress, stop.is_set)
    event: Event = {name: getattr(report, name) for name in COUNTS}
    event |= {"state": "interrupted" if report.interrupted else "done"}
    event |= {"seconds": round(report.seconds, 3), "notes": [*report.notes, *report.remarks]}
    event |= {"exclude": {root: list(each) for root, each in report.exclude.items()}}
    return event


def _watch_stdin(stop: threading.Event) -> None:
    """Stop the run when stdin is closed; no further input is expected."""
    while os.read(0, 4096):
        pass
    stop.set()


if __name__ == "__main__":
    main()
