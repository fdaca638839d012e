"""PostgreSQL with pgvector behind `ServedIndex`: `--index postgresql://user@host/database`.

All data is in the schema `imgsearch_index`: the table `generations` with a row for each generation,
and a table of vectors for each, named by the generation. Password and certificates are left to
libpq: `~/.pgpass`, the PG* variables, or the URL.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Any, LiteralString, TypeVar

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import IndexServerError, MissingExtra
from imgsearch.indexes.builder import norm_slack
from imgsearch.indexes.mapped_vectors import CHUNK_ROWS, HALF, SINGLE
from imgsearch.indexes.served_index import (
    Codes,
    Generation,
    GenerationGone,
    Selection,
    ServedIndex,
    require_dimension,
)
from imgsearch.records import Revision
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids

try:
    import psycopg
    from psycopg import errors, sql
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    from imgsearch.postgresql import SLOW, Connection, Database, Row
except ImportError as error:
    raise MissingExtra("an index on PostgreSQL", "postgres") from error

SEARCH_TIMEOUT_SECONDS = 4.0
"""Unless the server, the user or the URL has a `statement_timeout`."""
GRACE_SECONDS = 0.5
"""Further time for the server to end a statement, which a server that hangs does not do."""
MIN_EXTENSION = (0, 8)
"""The first version with halfvec and with index scans that continue until they have enough rows."""
MAX_DIMENSION = 16_000
TYPES = {HALF: ("halfvec", 4000), SINGLE: ("vector", 2000)}
"""The type of a column for each dtype, and the maximum dimension that HNSW takes."""
MAX_INLINE_BYTES = 8000
"""Larger rows do not fit on a page, and are stored beside the table."""
MIN_CANDIDATES, MAX_CANDIDATES = 400, 1000
"""Limits of hnsw.ef_search. With fewer, a query among clustered vectors now and then finds none of
the best (benchmarks/index_server.py); the engine takes no more."""
_INT8_ARRAY_OID, _INT8_OID = 1016, 20
_COPY_HEAD, _COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_LIMIT: LiteralString = "SELECT set_config('statement_timeout', %s, false)"
SCHEMA = "imgsearch_index"
T = TypeVar("T")


class PgIndex(ServedIndex):
    """The kinds `postgresql` and `postgres`."""

    @classmethod
    def store(cls, where: str, library: str, space: EmbeddingSpace) -> PgStore:
        return PgStore(where, library, space)


class _IdsDumper(Dumper):
    """Image ids as a binary bigint[]: 12 bytes an id, without a Python object for each."""

    format = Format.BINARY
    oid = _INT8_ARRAY_OID

    def dump(self, obj: Any) -> bytes:
        head = np.array([1, 0, _INT8_OID, len(obj), 1], ">i4")  # dimensions, nulls, type, size, 1st
        items = np.empty(len(obj), [("size", ">i4"), ("id", ">i8")])
        items["size"], items["id"] = 8, obj
        return head.tobytes() + items.tobytes()


class Server:
    """A connection to a database, opened when it is needed, and again after the server was away.

    Parameters
    ----------
    url : str
        As libpq takes it.
    """

    def __init__(self, url: str) -> None:
        kept = "nothing is lost, the catalog has everything"
        self._database = Database(url, "index", IndexServerError, kept)
        self._connection: Connection | None = None
        self.engine = ""
        self._limit = SEARCH_TIMEOUT_SECONDS

    @property
    def translated(self) -> Callable[[], AbstractContextManager[None]]:
        """Within it, errors of the engine are `IndexServerError`, with the address and a hint."""
        return self._database.translated

    @property
    def connection(self) -> Connection:
        """The connection, opened again if it is closed."""
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            weakref.finalize(self, self._connection.close)
        return self._connection

    def _connect(self) -> Connection:
        connection = self._database.connect(
            autocommit=True,
            prepare_threshold=None,  # a general plan would not know how many ids there are
            application_name="imgsearch",
        )
        try:
            connection.adapters.register_dumper(np.ndarray, _IdsDumper)
            address = self._database.address
            self.engine = f"{_versions(connection, address)} at {address}"
            self._limit = _limited(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; it is repeated once if the server has closed the connection.

        Raises
        ------
        IndexServerError
            A statement took longer than `statement_timeout`, or the server has not answered.
        """
        with self.translated():
            try:
                with self._watched(self.connection):
                    return work(self.connection)
            except psycopg.OperationalError:
                if self._connection is None or not self._connection.closed:
                    raise
            with self._watched(self.connection):
                return work(self.connection)

    @contextmanager
    def _watched(self, connection: Connection) -> Iterator[None]:
        """Within it, the connection is closed if the server does not answer in time.

        libpq itself waits for a server that hangs without a limit.
        """
        if os.name != "posix":  # a socket's number cannot be duplicated there
            yield
            return
        late = threading.Event()
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            watch = threading.Timer(self._limit + GRACE_SECONDS, _shut, (same, late))
            watch.daemon = True
            watch.start()
            try:
                yield
            except psycopg.OperationalError:
                if late.is_set():
                    address = self._database.address
                    sentence = f"{address} has not answered for {self._limit:g} seconds"
                    raise IndexServerError(sentence, SLOW) from None
                raise
            finally:
                watch.cancel()
                watch.join()

    @contextmanager
    def unlimited(self) -> Iterator[Connection]:
        """The connection, for statements that may take as long as they need."""
        with self.translated():
            connection = self.connection
            connection.execute("SET statement_timeout = 0")
            try:
                yield connection
            finally:
                with suppress(psycopg.Error):
                    connection.execute(_LIMIT, (str(round(1e3 * self._limit)),))


def _shut(same: socket.socket, late: threading.Event) -> None:
    """End a connection, so that a read that waits for its answer fails."""
    late.set()
    with suppress(OSError):
        same.shutdown(socket.SHUT_RDWR)


def _limited(connection: Connection) -> float:
    """Limit the statements of a session unless they are limited; returns the limit in seconds."""
    query = "SELECT setting::float / 1000 FROM pg_settings WHERE name = 'statement_timeout'"
    row = connection.execute(query).fetchone()
    if row is not None and row[0] > 0:
        return float(row[0])
    connection.execute(_LIMIT, (str(round(1e3 * SEARCH_TIMEOUT_SECONDS)),))
    return SEARCH_TIMEOUT_SECONDS


def _versions(connection: Connection, address: str) -> str:
    """The versions of the server and of pgvector, in words.

    Raises
    ------
    IndexServerError
        The extension is missing and cannot be made, or too old.
    """
    query = (
        "SELECT current_setting('server_version'), current_database(),"
        " (SELECT extversion FROM pg_extension WHERE extname = 'vector'),"
        " (SELECT default_version FROM pg_available_extensions WHERE name = 'vector'),"
        " (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR (SELECT"
        " coalesce(bool_or(trusted), false) FROM pg_available_extension_versions WHERE name ="
        " 'vector') AND has_database_privilege(current_database(), 'CREATE')"
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    server, database, installed, available, may_create = row
    server = server.split()[0]
    version = installed or available
    if version is None:
        raise IndexServerError(
            f"{address} has no pgvector: PostgreSQL {server} does not find the extension 'vector'",
            f"Install it on the server, for example: apt install"
            f" postgresql-{server.split('.')[0]}-pgvector",
        )
    if _numbers(version) < MIN_EXTENSION:
        raise IndexServerError(
            f"{address} has pgvector {version}, which is too old",
            "Install pgvector 0.8 or later on the server, then run in the database: ALTER EXTENSION"
            " vector UPDATE",
        )
    if not installed and not may_create:
        raise IndexServerError(
            f"{address}: the extension 'vector' is not enabled in the database {database}",
            "As a superuser of the server, run in this database: CREATE EXTENSION vector",
        )
    return f"PostgreSQL {server} with pgvector {version}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


class PgStore:
    """The `Store` of a library and a space in a database."""

    half = True

    def __init__(self, where: str, library: str, space: EmbeddingSpace) -> None:
        self._server, self._library, self._space = Server(where), library, space
        require_dimension("pgvector", MAX_DIMENSION, space)

    @property
    def engine(self) -> str:
        return self._server.engine

    def trainable(self, generation: Generation) -> bool:
        return self._space.dimension <= TYPES[generation.dtype][1]

    # Reading

    def live(self) -> Generation:
        def read(connection: Connection) -> Row | None:
            with suppress(errors.UndefinedTable, errors.InvalidSchemaName):  # nothing stored yet
                return connection.execute(_LIVE, (self._library, self._space.key)).fetchone()
            return None

        row = self._server.read(read)
        return Generation() if row is None else Generation(*row)

    def _rows(self, generation: Generation, query: LiteralString, *values: Any) -> list[Row]:
        """The rows of a query, in which {t} is the table of a generation."""

        def read(connection: Connection) -> list[Row]:
            try:
                text = sql.SQL(query).format(t=_table(generation.name))
                return connection.execute(text, values, binary=True).fetchall()
            except errors.UndefinedTable as error:
                raise GenerationGone from error

        return self._server.read(read)

    def check(self, generation: Generation) -> str:
        query: LiteralString = (
            "SELECT (SELECT count(*) FROM {t}), vectors FROM imgsearch_index.generations"
            " WHERE name = %s"
        )
        with self._server.unlimited() as connection:
            text = sql.SQL(query).format(t=_table(generation.name))
            try:
                ((stored, expected),) = connection.execute(text, (generation.name,)).fetchall()
            except errors.UndefinedTable as error:
                raise GenerationGone from error
        if stored == expected:
            return ""
        return f"the table {generation.name} has {stored} vectors instead of {expected}"

    def count(self, generation: Generation, without: Ids) -> int:
        query: LiteralString = (
            "SELECT vectors - (SELECT count(*) FROM {t} WHERE id = ANY(%s))"
            " FROM imgsearch_index.generations WHERE name = %s"
        )
        rows = self._rows(generation, query, without, generation.name)
        if not rows:
            raise GenerationGone
        return int(rows[0][0])

    def missing(self, generation: Generation, ids: Ids) -> Ids:
        query: LiteralString = (
            "SELECT i FROM unnest(%s) AS i WHERE NOT EXISTS (SELECT FROM {t} WHERE id = i)"
        )
        return np.array([row[0] for row in self._rows(generation, query, ids)], np.int64)

    def codes(self, generation: Generation, ids: Ids) -> tuple[Ids, Codes]:
        query: LiteralString = "SELECT id, v FROM {t} WHERE id = ANY(%s)"
        return self._decoded(generation, self._rows(generation, query, ids))

    def pages(self, generation: Generation) -> Iterator[tuple[Ids, Codes]]:
        query: LiteralString = "SELECT id, v FROM {t} WHERE id > %s ORDER BY id LIMIT %s"
        last = -(2**63)
        while rows := self._rows(generation, query, last, CHUNK_ROWS):
            last = rows[-1][0]
            yield self._decoded(generation, rows)

    def nearest(
        self, generation: Generation, query: Embeddings, k: int, rows: Selection, method: str
    ) -> tuple[Ids, NDArray[np.float64], Codes]:
        kind = TYPES[generation.dtype][0]
        if method == "precise" and generation.dtype == HALF:
            distance = sql.SQL(_PRECISE)
            values = _in_brackets(query)
        else:
            distance = sql.SQL(_TRAINED if method == "trained" else _SCAN)
            values = _in_brackets(query.astype(generation.dtype))
        text = sql.SQL("SELECT id, {d} AS d, v FROM {t} {where} ORDER BY d LIMIT %s").format(
            d=distance.format(kind=sql.Identifier(kind)),
            t=_table(generation.name),
            where=sql.SQL("WHERE id <> ALL(%s)" if rows.only is None else "WHERE id = ANY(%s)"),
        )
        ids = rows.without if rows.only is None else rows.only

        def read(connection: Connection) -> list[Row]:
            try:
                with connection.transaction():
                    if method == "trained":
                        connection.execute(_SET_TRAINED, (str(_candidates(k)),))
                    return connection.execute(text, (values, ids, k), binary=True).fetchall()
            except errors.UndefinedTable as error:
                raise GenerationGone from error

        found = self._server.read(read)
        scores = -np.array([row[1] for row in found], np.float64)
        found_ids, codes = self._decoded(generation, [(row[0], row[2]) for row in found])
        return found_ids, scores, codes

    def _decoded(self, generation: Generation, rows: list[Row]) -> tuple[Ids, Codes]:
        """Ids and vectors of rows in the binary format of the engine."""
        code = np.dtype(generation.dtype).newbyteorder(">")
        item = np.dtype([("head", ">i2", (2,)), ("v", code, (self._space.dimension,))])
        codes = np.frombuffer(b"".join(row[1] for row in rows), item)["v"]
        ids = np.array([row[0] for row in rows], np.int64)
        return ids, np.ascontiguousarray(codes, generation.dtype)

    # Writing

    def fill(
        self, dtype: str, rows: Iterable[tuple[Ids, Codes]], revision: Revision, token: str
    ) -> Generation:
        with self._server.unlimited() as connection:
            _create_schema(connection)
            self._sweep(connection)
            name = self._create(connection, dtype)
            try:
                count, slack = _copy_all(connection, name, rows)
            except Exception:  # the disk may be full: a kill leaves rows, an error does not
                with suppress(psycopg.Error):
                    self._sweep(connection)
                raise
            with connection.transaction():
                connection.execute(_RETIRE, (self._library, self._space.key))
                connection.execute(_COMMIT, (revision, token, count, slack, name))
        return Generation(name, revision, token, dtype, slack)

    def _create(self, connection: Connection, dtype: str) -> str:
        """The name of a new table of vectors, which is not live."""
        name, dimension = f"v_{secrets.token_hex(8)}", self._space.dimension
        columns = sql.SQL("CREATE TABLE {t} (id bigint PRIMARY KEY, v {kind}({d}) NOT NULL)")
        inline = np.dtype(dtype).itemsize * dimension <= MAX_INLINE_BYTES
        storage = sql.SQL("PLAIN" if inline else "EXTERNAL")
        with connection.transaction():
            model = str(self._space).encode("ascii", "backslashreplace").decode()
            owner = (name, self._library, self._space.key, model, dtype)
            connection.execute(_REGISTER, owner)
            kind = sql.SQL(TYPES[dtype][0])
            connection.execute(columns.format(t=_table(name), kind=kind, d=sql.Literal(dimension)))
            alter = sql.SQL("ALTER TABLE {t} ALTER COLUMN v SET STORAGE {s}")
            connection.execute(alter.format(t=_table(name), s=storage))
        return name

    def _sweep(self, connection: Connection) -> None:
        """Drop the generations that are not live; one that is being read stays until later."""
        owned = connection.execute(_NOT_LIVE, (self._library, self._space.key)).fetchall()
        for (name,) in owned:
            with suppress(errors.LockNotAvailable), connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '2s'")
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_table(name)))
                connection.execute(_UNREGISTER, (name,))

    def replace(
        self,
        generation: Generation,
        gone: Ids,
        rows: Iterable[tuple[Ids, Codes]],
        revision: Revision,
        token: str,
    ) -> Generation:
        name = generation.name
        with self._server.unlimited() as connection:
            self._sweep(connection)
            with connection.transaction():
                self._require(connection, generation)
                delete = sql.SQL("DELETE FROM {} WHERE id = ANY(%s)").format(_table(name))
                removed = connection.execute(delete, (gone,)).rowcount
                count, of_rows = _copy_all(connection, name, rows)
                slack = max(generation.slack, of_rows)
                connection.execute(_MOVE, (revision, token, count - removed, slack, name))
        return replace(generation, revision=revision, token=token, slack=slack)

    def _require(self, connection: Connection, generation: Generation) -> None:
        """Lock the row of a generation; raise `IndexServerError` unless it is as it was read."""
        state = (generation.name, generation.revision, generation.token)
        if connection.execute(_LOCK, state).fetchone() is None:
            raise IndexServerError(
                f"another process has changed this index on {self.engine}",
                "Run the command again. If two copies of one library use the same database, give"
                " each a database of its own.",
            )

    def train(self, generation: Generation) -> Generation:
        kind = TYPES[generation.dtype][0]
        make = sql.SQL("CREATE INDEX {i} ON {t} USING hnsw (v {ops})").format(
            i=sql.Identifier(f"{generation.name}_{secrets.token_hex(4)}"),
            t=_table(generation.name),
            ops=sql.Identifier(f"{kind}_ip_ops"),
        )
        with self._server.unlimited() as connection, connection.transaction():
            before = connection.execute(_HNSW, (generation.name,)).fetchall()
            connection.execute(make)
            for (index,) in before:
                drop = sql.SQL("DROP INDEX {}").format(sql.Identifier(SCHEMA, index))
                connection.execute(drop)
            row = connection.execute(_SET_TRAINED_COUNT, (generation.name,)).fetchone()
        return generation if row is None else replace(generation, trained=row[0])


_SCAN: LiteralString = "(v <#> %s::{kind}) + 0"
"""The sum keeps the planner from the approximate index."""
_TRAINED: LiteralString = "v <#> %s::{kind}"
_PRECISE: LiteralString = "coalesce((v::vector <#> %s::vector) / nullif(l2_norm(v), 0), 0)"
_SET_TRAINED: LiteralString = (
    "SELECT set_config('hnsw.ef_search', %s, true),"
    " set_config('hnsw.iterative_scan', 'strict_order', true),"
    " set_config('enable_seqscan', 'off', true)"
)
_SCHEMA: LiteralString = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE SCHEMA IF NOT EXISTS imgsearch_index;
CREATE TABLE IF NOT EXISTS imgsearch_index.generations (
  name text PRIMARY KEY,
  library text NOT NULL,
  space text NOT NULL,
  model text NOT NULL,
  dtype text NOT NULL,
  live boolean NOT NULL DEFAULT false,
  revision bigint NOT NULL DEFAULT 0,
  token text NOT NULL DEFAULT '',
  vectors bigint NOT NULL DEFAULT 0,
  slack double precision NOT NULL DEFAULT 0,
  trained bigint NOT NULL DEFAULT 0,
  created timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX IF NOT EXISTS one_live ON imgsearch_index.generations (library, space)
  WHERE live;
"""
_LIVE: LiteralString = (
    "SELECT name, revision, token, dtype, slack, trained FROM imgsearch_index.generations"
    " WHERE library = %s AND space = %s AND live"
    " AND to_regclass('imgsearch_index.' || name) IS NOT NULL"
)
_NOT_LIVE: LiteralString = (
    "SELECT name FROM imgsearch_index.generations WHERE library = %s AND space = %s AND NOT live"
)
_REGISTER: LiteralString = (
    "INSERT INTO imgsearch_index.generations (name, library, space, model, dtype)"
    " VALUES (%s, %s, %s, %s, %s)"
)
_UNREGISTER: LiteralString = "DELETE FROM imgsearch_index.generations WHERE name = %s"
_RETIRE: LiteralString = (
    "UPDATE imgsearch_index.generations SET live = false WHERE library = %s AND space = %s"
)
_COMMIT: LiteralString = (
    "UPDATE imgsearch_index.generations"
    " SET live = true, revision = %s, token = %s, vectors = %s, slack = %s WHERE name = %s"
)
_MOVE: LiteralString = (
    "UPDATE imgsearch_index.generations"
    " SET revision = %s, token = %s, vectors = vectors + %s, slack = %s WHERE name = %s"
)
_LOCK: LiteralString = (
    "SELECT FROM imgsearch_index.generations"
    " WHERE name = %s AND revision = %s AND token = %s AND live FOR UPDATE"
)
_HNSW: LiteralString = (
    "SELECT indexname FROM pg_indexes WHERE schemaname = 'imgsearch_index' AND tablename = %s"
    " AND indexdef LIKE '%% USING hnsw %%'"
)
_SET_TRAINED_COUNT: LiteralString = (
    "UPDATE imgsearch_index.generations SET trained = vectors WHERE name = %s RETURNING trained"
)


def _table(name: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, name)


def _candidates(k: int) -> int:
    """The value of hnsw.ef_search: twice the number of results, within the limits of the engine."""
    return max(MIN_CANDIDATES, min(2 * k, MAX_CANDIDATES))


def _in_brackets(vector: Embeddings) -> str:
    """A vector as the engine reads it, without loss."""
    return "[" + ",".join(map(repr, vector.astype(np.float64).tolist())) + "]"


def _create_schema(connection: Connection) -> None:
    """Make missing extension, schema and table; two processes may begin at the same time."""
    found = connection.execute("SELECT to_regclass('imgsearch_index.generations')").fetchone()
    if found is not None and found[0] is not None:
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('imgsearch_index'))")
        connection.execute(_SCHEMA)


def _copy_all(
    connection: Connection, name: str, rows: Iterable[tuple[Ids, Codes]]
) -> tuple[int, float]:
    """Append rows; returns their number and `Generation.slack`."""
    count, slack = 0, 0.0
    for ids, codes in rows:
        _copy(connection, name, ids, codes)
        count, slack = count + len(ids), max(slack, norm_slack(codes))
    connection.execute(sql.SQL("ANALYZE {}").format(_table(name)))
    return count, slack


def _copy(connection: Connection, name: str, ids: Ids, codes: Codes) -> None:
    """Append rows in the binary format of COPY; one transaction, unless there is one already."""
    dimension, code = codes.shape[1], codes.dtype.newbyteorder(">")
    row = np.dtype(
        [("fields", ">i2"), ("id_bytes", ">i4"), ("id", ">i8"), ("v_bytes", ">i4"),
         ("dimension", ">i2"), ("unused", ">i2"), ("v", code, (dimension,))]
    )  # fmt: skip
    rows = np.zeros(len(ids), row)
    rows["fields"], rows["id_bytes"], rows["id"] = 2, 8, ids
    rows["v_bytes"], rows["dimension"], rows["v"] = 4 + code.itemsize * dimension, dimension, codes
    text = sql.SQL("COPY {} (id, v) FROM STDIN (FORMAT BINARY)").format(_table(name))
    with connection.cursor() as cursor, cursor.copy(text) as copy:
        copy.write(_COPY_HEAD)
        copy.write(rows.tobytes())
        copy.write(_COPY_END)
