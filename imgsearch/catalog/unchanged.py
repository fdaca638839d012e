"""Which files of a root are as the catalog has them, read beside a scan in the order of paths."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sqlalchemy import Connection

from imgsearch.catalog.file import to_stored
from imgsearch.vectors import Ids

PAGE = 8192
_Row = tuple[str, int, int, int]
# "+" keeps SQLite from an index of the status: the one of paths gives the order.
# A file that was refused as well is left to `comparison`, which looks at both rows.
_SQL = """
SELECT path, size, mtime_ns, id FROM images
WHERE root_id = ? AND path > ? AND +status = 'present'
  AND EXISTS (SELECT 1 FROM embeddings WHERE image_id = images.id AND space_id = ?)
  AND NOT EXISTS (SELECT 1 FROM skipped WHERE root_id = images.root_id AND path = images.path)
ORDER BY path LIMIT ?
"""


class UnchangedFiles:
    """Tells of a file whether it is present, unchanged and has a vector; never wrongly "yes".

    A scan in the order of paths (by code points, which is that of SQLite for UTF-8) gets every
    "yes" that there is from one pass over the index of paths. A file out of order, or whose name
    is no UTF-8, gets a "no", and is compared by itself as if it were new.

    Parameters
    ----------
    page : callable
        The rows that follow a path, at most `PAGE`, in order.
    after : str
        Where to begin.
    on_page : callable
        Told before each page how many files were found unchanged so far; may raise.
    """

    def __init__(
        self, page: Callable[[str], list[_Row]], after: str, on_page: Callable[[int], None]
    ) -> None:
        self._found = array("q")
        self._rows = self._read(page, after, on_page)
        self._row: _Row | None = ("", 0, 0, 0)

    def _read(
        self, page: Callable[[str], list[_Row]], after: str, on_page: Callable[[int], None]
    ) -> Iterator[_Row]:
        rows: list[_Row] = [(after, 0, 0, 0)]
        while rows:
            on_page(len(self._found))
            rows = page(rows[-1][0])
            yield from rows

    def __call__(self, path: str, size: int, mtime_ns: int) -> bool:
        row = self._row
        while row is not None and row[0] < path:
            row = self._row = next(self._rows, None)
        if row is None or row[0] != path or row[1] != size or row[2] != mtime_ns:
            return False
        self._found.append(row[3])
        return True

    @property
    def ids(self) -> Ids:
        """The pictures that were found unchanged, shape (n,), int64."""
        return np.array(self._found, np.int64)


def page(
    connection: Connection, root_id: int | None, space_id: int | None, after: str
) -> list[_Row]:
    """The rows that follow a path. Straight from the driver: with SQLAlchemy it took five times
    as long."""
    driver: Any = connection.connection.driver_connection
    found: list[_Row] = driver.execute(_SQL, (root_id, after, space_id, PAGE)).fetchall()
    return found


def beginning(scope: str) -> str:
    """The path that all paths below `scope` follow."""
    return f"{to_stored(scope)}/" if scope else ""
