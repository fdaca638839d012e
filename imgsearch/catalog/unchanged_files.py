"""Detects unchanged files during a scan, with one pass over the catalog in path order."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np
from sqlalchemy import Connection

from imgsearch.catalog.dialects import on_server
from imgsearch.catalog.schema import driver
from imgsearch.catalog.spellings import path_start
from imgsearch.catalog.sqlite_file import to_stored
from imgsearch.records import METADATA_VERSION, FileRun
from imgsearch.vectors import Ids

PAGE_ROWS = 8192
_Row = tuple[str, int, int, int, int, int, int, int]
# "+" keeps SQLite from using an index on the status: the one on paths gives the order.
# A file that also has a skipped row is left to `comparison`, which examines both rows.
_SQL = """
SELECT path, size, mtime_ns, ctime_ns, inode, sidecar_stamp, id, metadata_version FROM images
WHERE root_id = ? AND path > ? AND +status = 'present'
  AND EXISTS (SELECT 1 FROM embeddings WHERE image_id = images.id AND space_id = ?)
  AND path NOT IN (SELECT path FROM skipped WHERE root_id = ?)
ORDER BY path LIMIT ?
"""
_AFTER = f"{path_start('path')} >= {path_start('?')} AND path > ?"
_SQL_ON_SERVER = _SQL.replace("path > ?", _AFTER).replace(
    "ORDER BY path", f"ORDER BY {path_start('path')}, path"
)
"""The same order: the index there has only the beginnings of paths."""
_STATS = 5


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

    Attributes
    ----------
    outdated : int
        Rows so far whose metadata an older reader has read.
    """

    def __init__(
        self, page: Callable[[str], list[_Row]], after: str, on_page: Callable[[int], None]
    ) -> None:
        self._page, self._after, self._on_page = page, after, on_page
        self._unchanged_ids = array("q")
        # The loaded rows by column, so that whole runs of them can be compared at once.
        self._paths: list[str] = []
        self._stats: list[list[int]] = [[] for _ in range(_STATS)]
        self._ids: list[int] = []
        self._next = 0
        self._more = True
        self.outdated = 0

    def __call__(self, files: FileRun) -> Sequence[int]:
        count = len(files.paths)
        while self._more and len(self._paths) - self._next < count:
            self._read()
        run = slice(self._next, self._next + count)
        stats = _stats(files)
        if self._paths[run] == files.paths and all(
            ours[run] == theirs for ours, theirs in zip(self._stats, stats, strict=True)
        ):
            self._unchanged_ids.extend(self._ids[run])
            self._next += count
            return ()
        each = enumerate(zip(files.paths, *stats, strict=True))
        return [place for place, (path, *stat) in each if not self._is_row(path, stat)]

    def _read(self) -> None:
        self._on_page(len(self._unchanged_ids))
        rows = self._page(self._after)
        self._more = bool(rows)
        if rows:
            self._after = rows[-1][0]
            paths, *stats, ids, versions = zip(*rows, strict=True)
            left = slice(self._next, None)
            self._paths = [*self._paths[left], *paths]
            self._stats = [[*old[left], *new] for old, new in zip(self._stats, stats, strict=True)]
            self._ids = [*self._ids[left], *ids]
            self._next = 0
            self.outdated += len(versions) - versions.count(METADATA_VERSION)

    def _is_row(self, path: str, stats: list[int]) -> bool:
        at = self._next = bisect_left(self._paths, path, self._next)
        while at == len(self._paths) and self._more:
            self._read()
            at = self._next = bisect_left(self._paths, path, self._next)
        if at == len(self._paths) or self._paths[at] != path:
            return False
        if [column[at] for column in self._stats] != stats:
            return False
        self._unchanged_ids.append(self._ids[at])
        self._next = at + 1
        return True

    @property
    def ids(self) -> Ids:
        """Ids of the unchanged images so far, shape (n,), int64."""
        return np.array(self._unchanged_ids, np.int64)


def _stats(files: FileRun) -> tuple[list[int], ...]:
    """The columns that must equal those of the catalog, in the order of `_SQL`."""
    return files.sizes, files.mtimes_ns, files.ctimes_ns, files.inodes, files.sidecar_stamps


def page(
    connection: Connection, root_id: int | None, space_id: int | None, after: str
) -> list[_Row]:
    """The rows that follow a path, read through the driver: SQLAlchemy took five times as long."""
    server = on_server(connection)
    start, query = ((after, after), _SQL_ON_SERVER) if server else ((after,), _SQL)
    values = (root_id, *start, space_id, root_id, PAGE_ROWS)
    rows: list[_Row] = driver(connection).execute(query, values).fetchall()
    return rows


def beginning(scope: str) -> str:
    """The path just before all paths below `scope`."""
    return f"{to_stored(scope)}/" if scope else ""
