"""The contents of a library, read through the driver of its database alone.

`status`, `roots` and `skipped` finish in less time than importing SQLAlchemy takes. Their queries
are therefore plain SQL, and `Catalog` calls the same functions.

Present images are counted by subtracting the few absent ones from a count that an index answers,
so a million images are counted without reading their rows.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

from imgsearch.catalog import saved_searches, schema
from imgsearch.catalog.spellings import Plain, path_start
from imgsearch.catalog.sqlite_file import (
    FILE,
    connect,
    from_stored,
    incomplete,
    missing,
    sqlite_errors,
    stored_values,
    to_stored,
)
from imgsearch.records import (
    PASSED_OVER,
    SEEN,
    ImageFile,
    Location,
    RootRecord,
    RunRecord,
    SavedRecord,
    Skipped,
    SpaceRecord,
    TextCounts,
)
from imgsearch.vectors import EmbeddingSpace

_VALUES_PER_QUERY = 500
_SPACES = "SELECT id, model, revision, preprocessing, dimension, instruction FROM spaces"


class Overview:
    """A read-only view of a library; close it after use.

    `ready` is false if the catalog has another schema, which only `open_catalog` can handle.

    Raises
    ------
    LibraryMissing
        The folder has no library.
    CatalogError
        The catalog cannot be read.
    """

    def __init__(self, folder: str, url: str = "") -> None:
        self._folder, self._server = folder, ""
        self._connection: Plain
        version = self._open_server(url) if url else self._open_file(os.path.join(folder, FILE))
        self.ready = version == schema.HEAD
        if self.ready:
            self._require_complete(self._server or folder)

    def _require_complete(self, place: str) -> None:
        try:
            with self._reading() as db:
                complete = db.execute("SELECT id FROM library").fetchone() is not None
            if not complete:
                raise incomplete(place)
        except BaseException:
            self.close()
            raise

    def _open_file(self, path: str) -> str | None:
        """Open a file; returns the version of its schema."""
        if not os.path.exists(path):
            raise missing(self._folder)
        self._errors: Callable[[], AbstractContextManager[None]] = sqlite_errors
        with sqlite_errors():
            self._connection = connect(path)
        try:
            with sqlite_errors():
                self._connection.execute("BEGIN")
                return self._version()
        except BaseException:
            self.close()
            raise

    def _version(self) -> str | None:
        with suppress(sqlite3.OperationalError):  # no such table: not our file, or a very old one
            row = self._connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return None if row is None else str(row[0])
        return None

    def _open_server(self, url: str) -> str | None:
        """Open a database; returns the version of its schema."""
        from imgsearch.catalog.postgresql import CatalogServer

        server = CatalogServer(url)
        self._errors = server.translated
        with server.translated():
            self._connection, version = server.open_plain()
        if version is None:
            self.close()
            raise server.missing()
        self._server = server.described(self._connection.raw, version)
        return version

    def close(self) -> None:
        """Close the file, or the connection."""
        self._connection.close()

    @contextmanager
    def _reading(self) -> Iterator[Plain]:
        with self._errors(), stored_values():
            yield self._connection

    def summary(self) -> dict[str, Any]:
        """The contents of the library as plain values; see `overview.summary`."""
        with self._reading() as db:
            return summary(db, self._folder, self._server)

    def roots(self, counted: bool = True) -> list[RootRecord]:
        """The folders of the library, by path, with the number of present images in each.

        The numbers are 0 if `counted` is false.
        """
        with self._reading() as db:
            return roots(db, counted)

    def known_files(self, root: str, paths: Sequence[str]) -> dict[str, tuple[int, int, int, int]]:
        """Size in bytes, mtime and ctime in ns, and inode of those paths below a root that are
        present or skipped; the last two are 0 where the file system is not trusted with them."""
        with self._reading() as db:
            return known_files(db, root, paths)

    def skipped(self) -> list[Skipped]:
        """The files that could not be indexed, by path."""
        with self._reading() as db:
            return skipped(db)

    def partial(self) -> list[Skipped]:
        """The present images that were indexed in part, by path; `reason` is the note."""
        with self._reading() as db:
            return partial(db)

    def unreadable_texts(self) -> list[Skipped]:
        """The present images whose text could not be read, by path."""
        with self._reading() as db:
            return unreadable_texts(db)

    def saved_searches(self) -> list[SavedRecord]:
        """The saved searches, by name."""
        with self._reading() as db:
            return saved_searches.every(db)

    def saved_search(self, key: str) -> SavedRecord | None:
        """The saved search of that folded name."""
        with self._reading() as db:
            return saved_searches.named(db, key)

    def present(self, ids: Sequence[int]) -> set[int]:
        """Those of the ids that are present images."""
        with self._reading() as db:
            return saved_searches.present(db, ids)

    def indexed(self) -> list[tuple[str, EmbeddingSpace]]:
        """The uuid of the library and the space, for each space in the order of `summary`.

        An index belongs to such a pair.
        """
        with self._reading() as db:
            (uuid,) = db.execute("SELECT uuid FROM library").fetchone()
            return [(uuid, space) for _, space in _known_spaces(db)]


def roots(db: Plain, counted: bool = True) -> list[RootRecord]:
    """The folders of the library, by path, with the number of present images in each.

    The numbers are 0 if `counted` is false.
    """
    present = _present_by_root(db) if counted else {}
    query = "SELECT id, path, exclude, hidden, mounts, scanned_at FROM roots"
    records = [
        RootRecord(
            from_stored(path),
            tuple(json.loads(exclude)),
            bool(hidden),
            tuple(json.loads(mounts)),
            _time(scanned_at),
            present.get(key, 0),
        )
        for key, path, exclude, hidden, mounts, scanned_at in db.execute(query)
    ]
    return sorted(records, key=lambda root: root.path)


def unused_roots(db: Plain) -> set[str]:
    """The roots without a picture, whether present, gone or skipped."""
    query = (
        "SELECT path FROM roots"
        " WHERE NOT EXISTS (SELECT 1 FROM images WHERE root_id = roots.id)"
        " AND NOT EXISTS (SELECT 1 FROM skipped WHERE root_id = roots.id)"
    )
    return {from_stored(path) for (path,) in db.execute(query)}


def _present_by_root(db: Plain) -> dict[int, int]:
    keys = [key for (key,) in db.execute("SELECT id FROM roots")]
    present = "SELECT count(*) FROM images WHERE status = 'present'"
    if len(keys) == 1:
        return {keys[0]: _number(db, present)}
    counts = dict(db.execute("SELECT root_id, count(*) FROM images GROUP BY root_id").fetchall())
    for key, count in db.execute(
        "SELECT root_id, count(*) FROM images WHERE status IN ('gone', 'unreadable')"
        " GROUP BY root_id"
    ):
        counts[key] -= count
    return counts


def known_files(db: Plain, root: str, paths: Sequence[str]) -> dict[str, tuple[int, int, int, int]]:
    """As `Overview.known_files`."""
    known: dict[str, tuple[int, int, int, int]] = {}
    for start in range(0, len(paths), _VALUES_PER_QUERY):
        part = [to_stored(path) for path in paths[start : start + _VALUES_PER_QUERY]]
        marks = ", ".join("?" * len(part))
        there, values = f"path IN ({marks})", part
        if not isinstance(db, sqlite3.Connection):
            starts = ", ".join([path_start("?")] * len(part))
            there, values = f"{path_start('path')} IN ({starts}) AND {there}", part * 2
        for table, condition in (("skipped", ""), ("images", " AND +status = 'present'")):
            query = (
                f"SELECT path, size, mtime_ns, ctime_ns, inode FROM {table}"  # noqa: S608
                f" WHERE root_id = (SELECT id FROM roots WHERE path = ?) AND {there}"
            )
            for path, *state in db.execute(query + condition, (to_stored(root), *values)):
                known[from_stored(path)] = (state[0], state[1], state[2], state[3])
    return known


def locations(db: Plain, ids: Sequence[int]) -> dict[int, Location]:
    """Where the files of the present images among `ids` lie; not of one whose path is damaged."""
    folders = {key: from_stored(path) for key, path in db.execute("SELECT id, path FROM roots")}
    found: dict[int, Location] = {}
    for start in range(0, len(ids), _VALUES_PER_QUERY):
        chunk = [int(each) for each in ids[start : start + _VALUES_PER_QUERY]]
        # The status is checked here: in the query, it makes SQLite scan an index on it. The path is
        # a blob, because a text that is not UTF-8 would end the query.
        query = (
            "SELECT id, root_id, status, CAST(path AS BLOB) FROM images"  # noqa: S608
            f" WHERE id IN ({', '.join('?' * len(chunk))})"
        )
        for image_id, root, status, path in db.execute(query, chunk):
            if status == "present":
                with suppress(ValueError):
                    found[image_id] = Location(folders[root], from_stored(path.decode()))
    return found


def skipped(db: Plain) -> list[Skipped]:
    """The files that could not be indexed, by path."""
    query = (
        "SELECT roots.path, skipped.path, size, mtime_ns, reason, transient"
        " FROM skipped JOIN roots ON roots.id = root_id"
    )
    return _with_reasons(db, query)


def partial(db: Plain) -> list[Skipped]:
    """The present images that were indexed in part, by path; `reason` is the note."""
    query = (
        "SELECT roots.path, images.path, size, mtime_ns, note, 0"
        " FROM images JOIN roots ON roots.id = root_id"
        " WHERE note IS NOT NULL AND status = 'present'"
    )
    return _with_reasons(db, query)


def _with_reasons(db: Plain, query: str, values: Sequence[str] = ()) -> list[Skipped]:
    """Files by path; a row has root, path, size, mtime, reason and whether to try again."""
    records = [
        Skipped(ImageFile(from_stored(root), from_stored(path), size, mtime), reason, bool(again))
        for root, path, size, mtime, reason, again in db.execute(query, values)
    ]
    return sorted(records, key=lambda each: each.file.absolute)


def texts(db: Plain) -> TextCounts:
    """Counts of present images whose text was read, and the engines that read them."""
    tried, with_text, unread, passed_over, seen = db.execute(
        "SELECT count(*), count(*) FILTER (WHERE text != ''), count(*) FILTER (WHERE reason != ''),"
        " count(*) FILTER (WHERE reason = ?), count(*) FILTER (WHERE reason = ?)"
        " FROM texts JOIN images USING (content_hash) WHERE +status = 'present'",
        (PASSED_OVER, SEEN),
    ).fetchone()
    engines = db.execute("SELECT DISTINCT engine FROM texts ORDER BY engine").fetchall()
    (mode,) = db.execute("SELECT ocr FROM library").fetchone()
    return TextCounts(
        wanted=mode in ("on", "auto"),
        read=tried - unread,
        with_text=with_text,
        failed=unread - passed_over - seen,
        engines=tuple(name for (name,) in engines),
        mode=mode,
        passed_over=passed_over,
        seen=seen,
    )


def unreadable_texts(db: Plain) -> list[Skipped]:
    """The present images whose text could not be read, by path."""
    query = (
        "SELECT roots.path, images.path, size, mtime_ns, reason, 0"
        " FROM texts JOIN images USING (content_hash) JOIN roots ON roots.id = root_id"
        " WHERE reason NOT IN ('', ?, ?) AND +status = 'present'"
    )
    return _with_reasons(db, query, (PASSED_OVER, SEEN))


def spaces(db: Plain) -> list[SpaceRecord]:
    """The embedding spaces, oldest first, with the number of present images in each."""
    (default,) = db.execute("SELECT default_space_id FROM library").fetchone() or (None,)
    absent = dict(
        db.execute(
            "SELECT space_id, count(*) FROM images JOIN embeddings ON image_id = images.id"
            " WHERE status IN ('gone', 'unreadable') GROUP BY space_id"
        ).fetchall()
    )
    records = []
    for key, space in _known_spaces(db):
        vectors = _number(db, "SELECT count(*) FROM embeddings WHERE space_id = ?", key)
        records.append(SpaceRecord(space, vectors - absent.get(key, 0), key == default))
    return records


def _known_spaces(db: Plain) -> list[tuple[int, EmbeddingSpace]]:
    """The row ids and spaces, oldest first, without counting anything."""
    return [
        (key, EmbeddingSpace(from_stored(model), *rest))
        for key, model, *rest in db.execute(f"{_SPACES} ORDER BY id")
    ]


def last_run(db: Plain) -> RunRecord | None:
    """The latest run of the indexer."""
    row = db.execute(
        "SELECT model, precision, started_at, finished_at, outcome, counts"
        " FROM runs JOIN spaces ON spaces.id = space_id ORDER BY runs.id DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    model, precision, started_at, finished_at, outcome, counts = row
    started = datetime.fromisoformat(started_at)
    return RunRecord(
        from_stored(model), precision, started, _time(finished_at), outcome, json.loads(counts)
    )


def summary(db: Plain, folder: str, server: str = "") -> dict[str, Any]:
    """The contents of a library as plain values for JSON.

    Times are ISO 8601 in local time without a zone; sizes are in bytes. `catalog` is the server
    that holds the catalog, in words, and missing without one.
    """
    run = last_run(db)
    return {
        "library": folder,
        **({"catalog": server} if server else {}),
        "bytes": _folder_bytes(folder),
        "images": _number(db, "SELECT count(*) FROM images WHERE status = 'present'"),
        "roots": _number(db, "SELECT count(*) FROM roots"),
        "skipped": _number(db, "SELECT count(*) FROM skipped"),
        "spaces": [
            {
                "model": record.space.model,
                "revision": record.space.revision,
                "dimension": record.space.dimension,
                "instruction": record.space.instruction,
                "visual_tokens": record.space.visual_tokens,
                "images": record.vectors,
                "default": record.default,
            }
            for record in spaces(db)
        ],
        "texts": asdict(texts(db)),
        "last_run": _run(run) if run else None,
    }


def _run(run: RunRecord) -> dict[str, Any]:
    finished = run.finished_at
    return {
        # A run in progress looks the same as one that was killed.
        "outcome": "running or killed" if run.outcome == "running" else run.outcome,
        "model": run.model,
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "finished_at": finished.isoformat(timespec="seconds") if finished else None,
        **run.counts,
    }


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _number(db: Plain, query: str, *values: object) -> int:
    return int(db.execute(query, values).fetchone()[0])


def _folder_bytes(folder: str) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.path.getsize(os.path.join(path, name))
    return total
