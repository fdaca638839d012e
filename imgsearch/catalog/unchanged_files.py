"""Detects unchanged files during a scan, with one pass over the catalog in path order."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection

from imgsearch.catalog.sqlite_file import to_stored
from imgsearch.vectors import Ids

PAGE_ROWS = 8192
_Row = tuple[str, int, int, int]
# "+" keeps SQLite from using an index on the status: the one on paths gives the order.
# A file that also has a skipped row is left to `comparison`, which examines both rows.
_SQL = """
SELECT path, size, mtime_ns, id FROM images
WHERE root_id = ? AND path > ? AND +status = 'present'
  AND EXISTS (SELECT 1 FROM embeddings WHERE image_id = images.id AND space_id = ?)
  AND NOT EXISTS (SELECT 1 FROM skipped WHERE root_id = images.root_id AND path = images.path)
ORDER BY path LIMIT ?
"""


class UnchangedFiles:
    """Finds the files that are present, unchanged and have a vector; never reports too many.

    A scan in path order (by code points, as SQLite orders UTF-8) finds all of them in one pass over
    the index on paths. A file out of order, or with a name that is not UTF-8, counts as changed and
    is compared on its own, like a new one.

    Parameters
    ----------
    page : callable
        Returns at most `PAGE_ROWS` rows that follow a path, in order.
    after : str
        The path to start after.
    on_page : callable
        Called before each page with the number of unchanged files so far; may raise.
    """

    def __init__(
        self, page: Callable[[str], list[_Row]], after: str, on_page: Callable[[int], None]
    ) -> None:
        self._page, self._after, self._on_page = page, after, on_page
        self._unchanged_ids = array("q")
        # The loaded rows by column, so that whole runs of them can be compared at once.
        self._paths: list[str] = []
        self._sizes: list[int] = []
        self._times: list[int] = []
        self._ids: list[int] = []
        self._next = 0
        self._more = True

    def __call__(self, paths: list[str], sizes: list[int], times_ns: list[int]) -> Sequence[int]:
        while self._more and len(self._paths) - self._next < len(paths):
            self._read()
        run = slice(self._next, self._next + len(paths))
        same = self._paths[run] == paths
        if same and self._sizes[run] == sizes and self._times[run] == times_ns:
            self._unchanged_ids.extend(self._ids[run])
            self._next += len(paths)
            return ()
        files = enumerate(zip(paths, sizes, times_ns, strict=True))
        return [place for place, file in files if not self._is_row(*file)]

    def _read(self) -> None:
        self._on_page(len(self._unchanged_ids))
        rows = self._page(self._after)
        self._more = bool(rows)
        if rows:
            self._after = rows[-1][0]
            paths, sizes, times, ids = zip(*rows, strict=True)
            left = slice(self._next, None)
            self._paths = [*self._paths[left], *paths]
            self._sizes = [*self._sizes[left], *sizes]
            self._times = [*self._times[left], *times]
            self._ids = [*self._ids[left], *ids]
            self._next = 0

    def _is_row(self, path: str, size: int, time_ns: int) -> bool:
        at = self._next = bisect_left(self._paths, path, self._next)
        while at == len(self._paths) and self._more:
            self._read()
            at = self._next = bisect_left(self._paths, path, self._next)
        if at == len(self._paths) or self._paths[at] != path:
            return False
        if self._sizes[at] != size or self._times[at] != time_ns:
            return False
        self._unchanged_ids.append(self._ids[at])
        self._next = at + 1
        return True

    @property
    def ids(self) -> Ids:
        """Ids of the unchanged images so far, shape (n,), int64."""
        return np.array(self._unchanged_ids, np.int64)


def page(
    connection: Connection, root_id: int | None, space_id: int | None, after: str
) -> list[_Row]:
    """The rows that follow a path, read through the driver: SQLAlchemy took five times as long."""
    driver: Any = connection.connection.driver_connection
    rows: list[_Row] = driver.execute(_SQL, (root_id, after, space_id, PAGE_ROWS)).fetchall()
    return rows


def beginning(scope: str) -> str:
    """The path after which all paths below `scope` come."""
    return f"{to_stored(scope)}/" if scope else ""
