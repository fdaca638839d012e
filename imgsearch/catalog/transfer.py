"""Copies a catalog into another database: from SQLite to PostgreSQL, or back.

Tables are copied in pages, each in one transaction, in the order of their keys; so a copy that was
stopped goes on where it was. The row of `library` comes last, after a comparison of all rows: until
then nothing can open the copy. Labels and words are not copied, because the target makes them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, func, insert, select, text, tuple_

from imgsearch.catalog import schema
from imgsearch.catalog.dialects import on_server
from imgsearch.catalog.engine import open_engine, reading, writing
from imgsearch.catalog.lock import writer_lock
from imgsearch.catalog.sqlite_file import FILE
from imgsearch.catalog.tables import clusters, labels, library, metadata
from imgsearch.errors import CatalogError

if TYPE_CHECKING:
    from imgsearch.catalog.postgresql import CatalogServer

ROWS_PER_PAGE = 1000
TABLES = [each for each in metadata.sorted_tables if each not in (labels, library)]
OnTable = Callable[[str, int], None]
"""Gets the name of a table and the number of its rows, once it is copied."""


def copy_of_itself() -> CatalogError:
    """The error for copying a catalog onto itself."""
    return CatalogError("the target is the library itself", "Name a database, or another folder.")


@contextmanager
def file_target(folder: str) -> Iterator[Engine]:
    """The catalog file of a folder, made if it is not there, and locked."""
    path = os.path.join(folder, FILE)
    with writer_lock(folder):
        engine = open_engine(path)
        try:
            schema.upgrade(engine, path, lambda connection: None)
            yield engine
        finally:
            engine.dispose()


@contextmanager
def server_target(url: str, source: CatalogServer | None) -> Iterator[Engine]:
    """The catalog of a database, made if it is not there, and locked."""
    from imgsearch.catalog.postgresql import CatalogServer

    server = CatalogServer(url)
    if source is not None and server.address == source.address:
        raise copy_of_itself()
    engine = server.engine()
    try:
        with server.lock():
            schema.upgrade_server(engine, lambda connection: None)
            yield engine
    finally:
        engine.dispose()


def copy(source: Connection, target: Engine, on_table: OnTable) -> int:
    """Copy what a connection reads; returns the number of rows.

    Raises
    ------
    CatalogError
        The target holds a library, or rows that the source does not have.
    """
    _require_incomplete(target)
    for table in TABLES:
        _copy_table(source, target, table)
        with reading(target) as connection:
            count = connection.execute(select(func.count()).select_from(table)).scalar_one()
        on_table(table.name, count)
    total = _require_equal(source, target)
    with writing(target) as connection:
        for table in TABLES:
            if "id" in table.c:
                _raise_ids(connection, table, _last_id(source, table))
        row = source.execute(select(library)).mappings().one()
        connection.execute(insert(library), dict(row))
    return total


def _require_incomplete(target: Engine) -> None:
    with reading(target) as connection:
        if connection.execute(select(library.c.id)).first() is not None:
            raise CatalogError(
                "the target already holds a library", "Name an empty database, or a new folder."
            )


def _key(table: Table) -> list[ColumnElement[Any]]:
    """What a table is copied in the order of; clusters come after those they are part of."""
    if table is clusters:
        return [func.coalesce(clusters.c.parent_id, 0), clusters.c.id]
    return list(table.primary_key.columns)


def _pages(
    connection: Connection, table: Table, after: Sequence[Any] | None = None
) -> Iterator[list[dict[str, Any]]]:
    """The rows that follow a key, page by page."""
    key = _key(table)
    labelled = [each.label(f"key_{i}") for i, each in enumerate(key)]
    query = select(*table.columns, *labelled).order_by(*key).limit(ROWS_PER_PAGE)
    while True:
        page = query if after is None else query.where(tuple_(*key) > tuple_(*after))
        rows = [dict(row) for row in connection.execute(page).mappings()]
        if not rows:
            return
        last = rows[-1]
        after = [last[f"key_{i}"] for i in range(len(key))]
        yield [{name: row[name] for name in table.c.keys()} for row in rows]  # noqa: SIM118


def _copy_table(source: Connection, target: Engine, table: Table) -> None:
    key = _key(table)
    newest_first = select(*key).order_by(*(each.desc() for each in key)).limit(1)
    with reading(target) as connection:
        after = connection.execute(newest_first).first()
    for page in _pages(source, table, after):
        with writing(target) as connection:
            connection.execute(insert(table), page)


def _require_equal(source: Connection, target: Engine) -> int:
    """Compare numbers and hashes of all rows; returns the number."""
    total = 0
    with reading(target) as copied:
        for table in TABLES:
            mine, theirs = _digest(source, table), _digest(copied, table)
            if mine != theirs:
                raise CatalogError(
                    f"the table {table.name} of the target differs from that of the library",
                    "Something has written to one of them since the copy began. Remove the target"
                    " (its folder, or in the database: DROP SCHEMA imgsearch CASCADE), and run the"
                    " command again.",
                )
            total += mine[0]
    return total


def _digest(connection: Connection, table: Table) -> tuple[int, str]:
    """The number of rows of a table, and a hash of their values."""
    digest, count = hashlib.sha256(), 0
    for page in _pages(connection, table):
        count += len(page)
        for row in page:
            values = repr([_comparable(value) for value in row.values()])
            digest.update(values.encode("utf-8", "surrogateescape"))
    return count, digest.hexdigest()


def _comparable(value: Any) -> Any:
    """A value as PostgreSQL keeps it: it has no NUL in texts."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


# Ids that have been used are not used again


def _last_id(connection: Connection, table: Table) -> int:
    """The highest id that a table ever had, as far as its database knows."""
    highest = connection.execute(select(func.max(table.c.id))).scalar() or 0
    if on_server(connection):
        name = f"{table.name}_id_seq"
        query = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {name}"  # noqa: S608
    else:
        query = f"SELECT seq FROM sqlite_sequence WHERE name = '{table.name}'"  # noqa: S608
    return max(highest, connection.execute(text(query)).scalar() or 0)


def _raise_ids(connection: Connection, table: Table, last: int) -> None:
    """Let a table give no id up to `last`."""
    if on_server(connection):
        query = "SELECT setval(CAST(:name AS regclass), greatest(:last, 1), :last > 0)"
        connection.execute(text(query), {"name": f"{table.name}_id_seq", "last": last})
    elif table.dialect_options["sqlite"]["autoincrement"]:
        values = {"name": table.name, "last": last}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        connection.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), values)
