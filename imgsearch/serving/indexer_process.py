"""The indexer in its own process, so that a crash does not affect the parent.

    python -m imgsearch.serving.indexer_process

reads one JSON object from stdin, {"settings": ..., "request": {...}} for a run of the indexer or
{"settings": ..., "download": {...}} for a model, and writes JSON lines to stdout: {"state":
"running", "stage", "done", "total"} and at the end {"state": "done", ...}. It stops when stdin is
closed, the indexer after the current batch; this also happens when its parent dies.
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
from dataclasses import asdict, dataclass
from typing import Any

from imgsearch.encoders.download import DownloadStopped, Follow
from imgsearch.errors import ImgSearchError
from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.records import Progress
from imgsearch.settings import Settings

COUNTS = ("scanned", "added", "updated", "moved", "unchanged", "removed", "skipped")
STOP_SECONDS = 20.0
"""Time limit for stopping a run before it is killed; committed pictures are kept."""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """A model to download, by its name."""

    model: str


class IndexProcess:
    """A run of the indexer, or the download of a model.

    Parameters
    ----------
    request : IndexRequest or DownloadRequest
    on_event : callable
        Called with each event, in a thread of this object; the last event has the state "done",
        "interrupted" or "failed".
    """

    def __init__(
        self,
        settings: Settings,
        request: IndexRequest | DownloadRequest,
        on_event: Callable[[Event], None],
    ) -> None:
        self._on_event = on_event
        self._kind = "download" if isinstance(request, DownloadRequest) else "request"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "imgsearch.serving.indexer_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C goes to the server only, which stops this process
        )
        self._send({"settings": asdict(settings), self._kind: asdict(request)})
        self._thread = threading.Thread(target=self._listen, daemon=True, name="imgsearch-index")
        self._thread.start()

    @property
    def running(self) -> bool:
        """False after the last event."""
        return self._thread.is_alive()

    def wait(self) -> None:
        """Return after the last event."""
        self._thread.join()

    def stop(self) -> None:
        """Ask the run to stop, the indexer after the current batch."""
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
            error, hint = (
                ("the download", "Complete files are kept. Start it again.")
                if self._kind == "download"
                else ("the indexer", "Committed pictures are kept. Start indexing again.")
            )
            error = f"{error} ended unexpectedly ({_exit_reason(status)})"
            last = {"state": "failed", "error": error, "hint": hint}
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
    notes: list[str] = []
    library = Library(Settings(**settings), notes.append)
    follow = Follow(_reporter(emit), stop.is_set)
    try:
        if "download" in job:
            emit(_download(library, DownloadRequest(**job["download"]), follow))
        else:
            event = _run(library, IndexRequest(**job["request"]), follow)
            emit(event | {"notes": [*notes, *event["notes"]]})
    except DownloadStopped:
        emit({"state": "interrupted"})
        os._exit(0)  # its threads would go on
    except ImgSearchError as error:
        emit({"state": "failed", "error": str(error), "hint": error.hint})
    finally:
        library.close()


def _reporter(emit: Callable[[Event], None]) -> Callable[[Progress], None]:
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

    return on_progress


def _download(library: Library, request: DownloadRequest, follow: Follow) -> Event:
    start = time.monotonic()
    parts = library.models.download(request.model, progress=False, follow=follow)
    return {
        "state": "done",
        "files": sum(part.files for part in parts),
        "bytes": sum(part.size for part in parts),
        "revisions": [part.commit for part in parts],
        "unchecked": [file for part in parts for file in part.unchecked],
        "seconds": round(time.monotonic() - start, 3),
    }


def _run(library: Library, request: IndexRequest, follow: Follow) -> Event:
    report = library.index(request, follow.on_progress, follow.stop)
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
