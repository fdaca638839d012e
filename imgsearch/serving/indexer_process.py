"""The indexer in a process of its own: whatever it meets, the process that started it goes on.

    python -m imgsearch.serving.indexer_process

reads one JSON object from stdin, {"settings": ..., "paths": [...]}, and writes JSON lines to
stdout: {"state": "running", "stage", "done", "total"} and at the end {"state": "done", ...}. It
stops after the batch in hand when stdin is closed, which also happens when its parent dies.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from imgsearch.errors import ImgSearchError
from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.records import Progress
from imgsearch.settings import Settings

COUNTS = ("scanned", "added", "updated", "moved", "unchanged", "removed", "skipped")
STOP_SECONDS = 20.0
"""After that, a run that was told to stop is killed; what was committed is kept."""

Event = dict[str, Any]


class IndexProcess:
    """One run of the indexer.

    Parameters
    ----------
    on_event : callable
        Gets each event, in a thread of this object; the last one has the state "done",
        "interrupted" or "failed".
    """

    def __init__(
        self, settings: Settings, paths: Sequence[str], on_event: Callable[[Event], None]
    ) -> None:
        self._on_event = on_event
        self._process = subprocess.Popen(
            [sys.executable, "-m", "imgsearch.serving.indexer_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at the server is for the server, which tells us
        )
        self._tell({"settings": asdict(settings), "paths": list(paths)})
        self._thread = threading.Thread(target=self._listen, daemon=True, name="imgsearch-index")
        self._thread.start()

    @property
    def running(self) -> bool:
        """False after the last event."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Have it stop after the batch in hand."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
        except OSError:
            pass  # it has ended

    def close(self, timeout_s: float = STOP_SECONDS) -> None:
        """Stop it, and kill it if that takes too long."""
        self.stop()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._process.kill()
            self._thread.join(timeout_s)

    def _tell(self, order: Event) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it died at once: the thread will tell

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
                "error": f"the indexer ended unexpectedly ({_ended(status)})",
                "hint": "What was committed is kept: start it again.",
            }
        self._on_event(last)


def _ended(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def main() -> None:
    """Index as told on stdin, and tell on stdout."""
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever else prints must not be taken for an event

    stopped = threading.Event()

    def tell(event: Event) -> None:
        try:
            out.write(json.dumps(event) + "\n")
            out.flush()
        except OSError:  # nobody listens any more
            stopped.set()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_watch_stdin, args=(stopped,), daemon=True).start()
    settings = order["settings"]
    settings["models"] = tuple(tuple(each) for each in settings["models"])
    library = Library(Settings(**settings))
    try:
        tell(_indexed(library, IndexRequest(order["paths"], add=False), stopped, tell))
    except ImgSearchError as error:
        tell({"state": "failed", "error": str(error), "hint": error.hint})
    finally:
        library.close()


def _indexed(
    library: Library,
    request: IndexRequest,
    stopped: threading.Event,
    tell: Callable[[Event], None],
) -> Event:
    started = time.monotonic()

    def on_progress(progress: Progress) -> None:
        seconds = time.monotonic() - started
        tell(
            {
                "state": "running",
                "stage": progress.stage,
                "done": progress.done,
                "total": progress.total,
                "seconds": round(seconds, 3),
                "rate": round(progress.done / seconds, 3) if seconds else 0.0,
            }
        )

    report = library.index(request, on_progress, stopped.is_set)
    found: Event = {name: getattr(report, name) for name in COUNTS}
    found |= {"state": "interrupted" if report.interrupted else "done"}
    found |= {"seconds": round(report.seconds, 3), "notes": report.notes}
    return found


def _watch_stdin(stopped: threading.Event) -> None:
    """Nothing more comes: when it closes, nobody wants the run any more."""
    while os.read(0, 4096):
        pass
    stopped.set()


if __name__ == "__main__":
    main()
