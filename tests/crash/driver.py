"""The real command line, watched: tells a pipe what is durable, and may kill itself.

    driver.py ARGUMENT...        as for `imgsearch`

DRIVER_REPORT is the descriptor of the pipe. A line goes there after each commit and each flush
has returned. DRIVER_STEP=N kills the process with SIGKILL at the Nth call of, or return from, a
function of imgsearch in the main thread; without it, the last line says how many there were.
DRIVER_FLUSH=1 makes each change worth a flush. DRIVER_TRAINED=N lets the kind ivf train its lists
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

    tell({"started": True})
    watch_commits()
    watch_flushes()
    if os.environ.get("DRIVER_FLUSH"):
        from imgsearch.indexing import index_files

        index_files.FLUSH_SHARE = 0.0
    if os.environ.get("DRIVER_TRAINED"):
        from imgsearch.indexes.faiss_index import IvfIndex

        IvfIndex.trained_from = int(os.environ["DRIVER_TRAINED"])
    steps = count_steps(int(os.environ.get("DRIVER_STEP", "0")))
    atexit.register(lambda: tell({"steps": steps()}))
    imgsearch()


def tell(fact: dict[str, Any]) -> None:
    os.write(int(os.environ["DRIVER_REPORT"]), json.dumps(fact).encode() + b"\n")


def watch_commits() -> None:
    """After each commit: the files that are in the catalog with their vectors from now on."""
    from sqlalchemy import select

    from imgsearch.catalog.engine import reading
    from imgsearch.catalog.tables import library
    from imgsearch.catalog.writer import CatalogWriter
    from imgsearch.records import Skipped

    commit = CatalogWriter.commit

    @wraps(commit)
    def watched(self: CatalogWriter, items: Any) -> Any:
        result = commit(self, items)
        with reading(self._engine) as connection:
            revision = connection.execute(select(library.c.revision)).scalar_one()
        kept = [
            (item.file.absolute, item.content_hash)
            for item in items
            if not isinstance(item, Skipped) and item.file not in result.unresolved
        ]
        tell({"committed": kept, "revision": revision})
        return result

    CatalogWriter.commit = watched  # type: ignore[method-assign]


def watch_flushes() -> None:
    """After each flush: the revision that the index file on disk has from now on."""
    from imgsearch.indexes.faiss_index import FaissIndex

    write = FaissIndex._write

    @wraps(write)
    def watched(self: FaissIndex, *arguments: Any, **more: Any) -> None:
        write(self, *arguments, **more)
        tell({"flushed": self.revision, "trained": "lists" in self.described()})

    FaissIndex._write = watched  # type: ignore[method-assign]


def count_steps(fatal: int) -> Callable[[], int]:
    """Die at step `fatal`, 0 is never; the result says how many steps there were so far."""
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
