"""Runs the real command line, reports durable changes to a pipe, and may kill itself.

    driver.py ARGUMENT...        like `imgsearch`

DRIVER_REPORT is the descriptor of the pipe. It receives a line after each completed commit and
flush. DRIVER_STEP=N kills the process with SIGKILL at the Nth call of, or return from, a function
of imgsearch in the main thread; without it, the last line has the number of these steps.
DRIVER_FLUSH=1 makes each change worth a flush. DRIVER_TRAINED=N makes the kind ivf train its lists
from N pictures on.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any


def main() -> None:
    from imgsearch.cli import main as imgsearch

    report({"started": True})
    watch_commits()
    watch_flushes()
    if os.environ.get("DRIVER_FLUSH"):
        from imgsearch.indexing import index_files

        index_files.MAX_TAIL_SHARE = 0.0
    if os.environ.get("DRIVER_TRAINED"):
        from imgsearch.indexes.faiss_index import IvfIndex

        IvfIndex.trained_from = int(os.environ["DRIVER_TRAINED"])
    steps = count_steps(int(os.environ.get("DRIVER_STEP", "0")))
    atexit.register(lambda: report({"steps": steps()}))
    imgsearch()


def report(fact: dict[str, Any]) -> None:
    os.write(int(os.environ["DRIVER_REPORT"]), json.dumps(fact).encode() + b"\n")


def watch_commits() -> None:
    """Report the files that each commit stores with their vectors."""
    from sqlalchemy import select

    from imgsearch.catalog.engine import reading
    from imgsearch.catalog.tables import library
    from imgsearch.catalog.writer import CatalogWriter
    from imgsearch.records import Skipped

    commit = CatalogWriter.commit

    @wraps(commit)
    def reporting(self: CatalogWriter, items: Any) -> Any:
        result = commit(self, items)
        with reading(self._engine) as connection:
            revision = connection.execute(select(library.c.revision)).scalar_one()
        stored = [
            (item.file.absolute, item.content_hash)
            for item in items
            if not isinstance(item, Skipped) and item.file not in result.unresolved
        ]
        report({"committed": stored, "revision": revision})
        return result

    CatalogWriter.commit = reporting  # type: ignore[method-assign]


def watch_flushes() -> None:
    """Report the revision of the index file on disk after each flush."""
    from imgsearch.indexes.faiss_index import FaissIndex

    write = FaissIndex._write

    @wraps(write)
    def reporting(self: FaissIndex, *arguments: Any, **more: Any) -> None:
        write(self, *arguments, **more)
        report({"flushed": self.revision, "trained": "lists" in self.described()})

    FaissIndex._write = reporting  # type: ignore[method-assign]


def count_steps(fatal: int) -> Callable[[], int]:
    """Die at step `fatal` (0: never); returns a function that returns the number of steps."""
    import imgsearch

    home = os.path.dirname(imgsearch.__file__) + os.sep
    steps = 0

    def step(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        if event in ("call", "return") and frame.f_code.co_filename.startswith(home):
            steps += 1
            if steps == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(step)
    return lambda: steps


if __name__ == "__main__":
    main()
