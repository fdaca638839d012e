"""What differs between SQLite and PostgreSQL: column types, expressions and spellings.

Both hold the same values: dates and JSON are texts in one form, so that one query compares them,
and rows can be copied from one to the other without a conversion. All texts are compared by code
points: on PostgreSQL, migrations give each such column the collation "C".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    String,
    Table,
    Text,
    TextClause,
    TypeDecorator,
    and_,
    cast,
    func,
    insert,
    literal,
    not_,
    text,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.dialects.sqlite.dml import OnConflictDoNothing, OnConflictDoUpdate
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from imgsearch.catalog.spellings import (
    PATH_START_CHARACTERS,
    between,
    for_postgresql,
    ids_of_json,
    path_start,
)
from imgsearch.catalog.sqlite_file import to_stored

__all__ = ["upsert"]
POSTGRESQL = "postgresql"


def on_server(bind: Connection | Engine) -> bool:
    """True for a catalog on PostgreSQL."""
    return bind.dialect.name == POSTGRESQL


# Column types


class _StoredMoment(TypeDecorator[datetime]):
    """A date and time without a zone, in the form in which SQLAlchemy stores it in SQLite."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else value.isoformat(" ", "microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class _StoredJson(TypeDecorator[Any]):
    """JSON as text, in the form in which SQLAlchemy stores it in SQLite."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return json.dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return json.loads(value)


BIG = BigInteger().with_variant(Integer, "sqlite")
"""A number of 64 bits; SQLite gives an INTEGER the id of its row."""
MOMENT = DateTime().with_variant(_StoredMoment(), POSTGRESQL)
VALUES = JSON().with_variant(_StoredJson(), POSTGRESQL)


# Expressions


class month_of(FunctionElement[str]):
    """Year and month of a stored date, "2019-08"; NULL for none."""

    type = Text()
    inherit_cache = True


class glob_match(FunctionElement[bool]):
    """Whether a text matches a pattern of GLOB: column, pattern, `glob_regex` of the pattern."""

    type = Boolean()
    inherit_cache = True


class path_equal(FunctionElement[bool]):
    """Whether a path is another one: column, path."""

    type = Boolean()
    inherit_cache = True


class path_between(FunctionElement[bool]):
    """Whether a path sorts between two others: column, lower and upper path."""

    type = Boolean()
    inherit_cache = True


class unindexed(FunctionElement[Any]):
    """A column that SQLite looks up in no index; PostgreSQL decides by its statistics."""

    type = String()
    inherit_cache = True


class whole(FunctionElement[int]):
    """The integer part of a number that is not negative."""

    type = BigInteger()
    inherit_cache = True


class _ids_of_json(FunctionElement[int]):
    """The ids of a JSON array, as a subquery in brackets."""

    type = BigInteger()
    inherit_cache = True


def among(column: ColumnElement[int], ids: Sequence[int], outside: bool = False) -> Any:
    """The condition that a column has one of these ids, however many; or none of them."""
    inside = column.op("IN", is_comparison=True)(_ids_of_json(literal(json.dumps(list(ids)))))
    return not_(inside) if outside else inside


def one_of(connection: Connection, path: ColumnElement[str], paths: Sequence[str]) -> Any:
    """The condition that a path is one of these, such that an index answers it."""
    found = path.in_(paths)
    if not on_server(connection):
        return found
    starts = sorted({to_stored(each)[:PATH_START_CHARACTERS] for each in paths})
    here = func.left(path, text(str(PATH_START_CHARACTERS)), type_=Text).in_(starts)
    whole_paths = all(len(each) < PATH_START_CHARACTERS for each in starts)
    return here if whole_paths else and_(here, found)


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that have the same columns.

    They travel to a server as one value: with a statement for each they take nearly twice as long.
    """
    if not on_server(connection):
        connection.execute(insert(table), rows)
        return
    dialect = connection.dialect
    kinds = {name: table.c[name].type.dialect_impl(dialect) for name in rows[0]}
    converters = {name: kind.bind_processor(dialect) for name, kind in kinds.items()}
    values = [
        {name: _json_value(convert(row[name]) if convert else row[name])
         for name, convert in converters.items()}
        for row in rows
    ]  # fmt: skip
    statement = _insert_of_rows(table.name, ", ".join(rows[0]))
    connection.execute(statement, {"rows": json.dumps(values)})


def _json_value(value: Any) -> Any:
    """A value without NUL, which PostgreSQL cannot store."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


@lru_cache(100)
def _insert_of_rows(table: str, columns: str) -> TextClause:
    rows = f"json_populate_recordset(CAST(NULL AS {table}), CAST(:rows AS json))"
    return text(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {rows}")  # noqa: S608 - names


def joined(column: ColumnElement[int]) -> ColumnElement[str]:
    """All ids as one text with commas: as rows they take four times as long to read."""
    return func.aggregate_strings(cast(column, Text), ",")


def _clauses(element: FunctionElement[Any], compiler: Any, **options: Any) -> list[str]:
    return [compiler.process(each, **options) for each in element.clauses]


@compiles(month_of)
def _(element: Any, compiler: Any, **options: Any) -> str:
    (moment,) = _clauses(element, compiler, **options)
    return f"strftime('%Y-%m', {moment})"


@compiles(month_of, POSTGRESQL)
def _(element: Any, compiler: Any, **options: Any) -> str:
    (moment,) = _clauses(element, compiler, **options)
    return f"substr({moment}, 1, 7)"


@compiles(glob_match)
def _(element: Any, compiler: Any, **options: Any) -> str:
    column, pattern, _ = element.clauses
    return f"({compiler.process(column, **options)} GLOB {compiler.process(pattern, **options)})"


@compiles(glob_match, POSTGRESQL)
def _(element: Any, compiler: Any, **options: Any) -> str:
    column, _, regex = element.clauses
    return f"({compiler.process(column, **options)} ~ {compiler.process(regex, **options)})"


@compiles(path_equal)
def _(element: Any, compiler: Any, **options: Any) -> str:
    path, other = _clauses(element, compiler, **options)
    return f"({path} = {other})"


@compiles(path_equal, POSTGRESQL)
def _(element: Any, compiler: Any, **options: Any) -> str:
    path, other = _clauses(element, compiler, **options)
    return f"({path_start(path)} = {path_start(other)} AND {path} = {other})"


@compiles(path_between)
def _(element: Any, compiler: Any, **options: Any) -> str:
    return between(*_clauses(element, compiler, **options), server=False)


@compiles(path_between, POSTGRESQL)
def _(element: Any, compiler: Any, **options: Any) -> str:
    return between(*_clauses(element, compiler, **options), server=True)


@compiles(unindexed)
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"+{_clauses(element, compiler, **options)[0]}"


@compiles(unindexed, POSTGRESQL)
def _(element: Any, compiler: Any, **options: Any) -> str:
    return _clauses(element, compiler, **options)[0]


@compiles(whole)
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST({_clauses(element, compiler, **options)[0]} AS INTEGER)"


@compiles(whole, POSTGRESQL)
def _(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST(floor({_clauses(element, compiler, **options)[0]}) AS bigint)"


@compiles(_ids_of_json)
def _(element: Any, compiler: Any, **options: Any) -> str:
    mark = _clauses(element, compiler, **options)[0]
    return f"(SELECT value FROM json_each({mark}))"  # noqa: S608 - the mark of a value


@compiles(_ids_of_json, POSTGRESQL)
def _(element: Any, compiler: Any, **options: Any) -> str:
    return ids_of_json(_clauses(element, compiler, **options)[0])


@compiles(OnConflictDoUpdate, POSTGRESQL)
def _(clause: Any, compiler: Any, **options: Any) -> str:
    clause.constraint_target = None  # only PostgreSQL's own clause can name a constraint
    text: str = compiler.visit_on_conflict_do_update(clause, **options)
    return text


@compiles(OnConflictDoNothing, POSTGRESQL)
def _(clause: Any, compiler: Any, **options: Any) -> str:
    clause.constraint_target = None
    text: str = compiler.visit_on_conflict_do_nothing(clause, **options)
    return text


def plain(connection: Connection, query: str) -> TextClause:
    """A query in SQLite's spelling, for the database of a connection."""
    return text(for_postgresql(query) if on_server(connection) else query)


def damage_errors(engine: Engine) -> tuple[type[Exception], ...]:
    """What reading a damaged value raises.

    SQLite has an `OperationalError` for a text that is not UTF-8; that of PostgreSQL means that the
    server is gone.
    """
    return (
        (ValueError, TypeError) if on_server(engine) else (ValueError, TypeError, OperationalError)
    )
