"""Milvus behind `ServedIndex`: `--index milvus://user@host:19530/database`.

A generation is a collection with the rows, searched exactly, and perhaps a second one with the same
rows in an HNSW graph: Milvus keeps one index for a field, and one that is approximate cannot be
searched exactly. The collection `imgsearch_states` records the live generation.

Milvus has no transactions. Each state is a row of its own, and the highest number is the current
one, so one insertion moves the state. Before a flush changes rows, it records how many it may
change. Reads use bounded staleness, which does not wait for the engine's clock: a write is counted
with strong consistency before its state is stored, and a stale state is harmless, because the
replay masks the rows that are newer (ADR 41).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import IndexServerError, MissingExtra
from imgsearch.indexes.builder import norm_slack
from imgsearch.indexes.mapped_vectors import CHUNK_ROWS, SINGLE
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
    import grpc
    from pymilvus import DataType, MilvusClient, MilvusException
except ImportError as error:
    raise MissingExtra("an index on Milvus", "milvus") from error

logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs tracebacks of what it raises

DEFAULT_PORT = 19530
SEARCH_TIMEOUT_SECONDS = 4.0
"""Unless the URL has `?timeout=`. Also the time to connect."""
WRITE_TIMEOUT_SECONDS = 60.0
BUILD_TIMEOUT_SECONDS = 3600.0
"""For sealing and indexing, whose time grows with the rows."""
MIN_VERSION = (2, 3)
"""The first version that counts rows, and returns vectors."""
MAX_DIMENSION = 32_768
MAX_IDS = 10_000
"""Ids in one list of a filter; the engine parses them one by one, and returns 16,384 rows."""
MAX_EXCLUDED = 200_000
"""Ids that one search leaves out: the lists are sent with it, and a message has 64 MiB."""
MAX_RESULTS = 16_384
MAX_MESSAGE_BYTES = 16 << 20
"""Vectors in one request or answer."""
MIN_CANDIDATES = 400
"""Lower limit of HNSW's `ef`, as for pgvector."""
STATES = "imgsearch_states"
_STRONG, _BOUNDED = "Strong", "Bounded"
_NO_COLLECTION, _NOT_LOADED, _NO_DATABASE = 100, 101, 800
_HNSW = {"M": 16, "efConstruction": 200}
T = TypeVar("T")
Found = tuple[Ids, NDArray[np.float64], Codes]


class MilvusIndex(ServedIndex):
    """The kind `milvus`."""

    @classmethod
    def store(cls, where: str, library: str, space: EmbeddingSpace) -> MilvusStore:
        return MilvusStore(where, library, space)


class Server:
    """A connection to a database, opened when it is needed.

    Parameters
    ----------
    url : str
        milvus://user:password@host:port/database, with `?timeout=SECONDS` for searches and
        `?secure=true` for TLS. A key is a password without a user. MILVUS_TOKEN, "user:password" or
        a key, is used if the URL has no password.

    Attributes
    ----------
    address : str
        The URL without the password and options, for messages.
    timeout : float
        Seconds for a search.
    """

    def __init__(self, url: str) -> None:
        self._client: MilvusClient | None = None
        self.engine = ""
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
            self._take(parts, options)
        except ValueError:  # the message has parts of the URL
            raise IndexServerError(
                "the URL of the index server is not valid",
                "Write milvus://user@host:19530/database; characters such as @ : / # % in a name"
                " are written in percent-encoding, and the options are timeout and secure.",
            ) from None

    def _take(self, parts: SplitResult, options: dict[str, str]) -> None:
        """Read the parts of a URL; ValueError if one is not valid."""
        self.timeout = float(options.pop("timeout", SEARCH_TIMEOUT_SECONDS))
        secure = {"true": "s", "false": ""}.get(options.pop("secure", "false"))
        host, port = parts.hostname, parts.port or DEFAULT_PORT
        if secure is None or options or not host or not 0 < self.timeout <= 86_400:
            raise ValueError(parts)
        host = f"[{host}]" if ":" in host else host
        self._uri = f"http{secure}://{host}:{port}"
        self._database = unquote(parts.path.strip("/"))
        user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        token = os.environ.get("MILVUS_TOKEN", "")
        self._secret = self._password or token.partition(":")[2] or token
        self._token = f"{user}:{self._password}" if user and self._password else self._password
        self._token = self._token or token
        name = f"{user}@" if user else ""
        self.address = f"milvus://{name}{host}:{port}/{self._database}".rstrip("/")

    @property
    def client(self) -> MilvusClient:
        """The connection, whose server is checked when it is opened."""
        if self._client is None:
            self._client = self._connect()
            weakref.finalize(self, self._client.close)
        return self._client

    def _connect(self) -> MilvusClient:
        client = MilvusClient(
            uri=self._uri,
            token=self._token,
            db_name=self._database,
            timeout=min(self.timeout, SEARCH_TIMEOUT_SECONDS),
            dedicated=True,
        )
        try:
            version = client.get_server_version(timeout=SEARCH_TIMEOUT_SECONDS)
            self.engine = f"{_product(version, self.address)} at {self.address}"
        except BaseException:
            client.close()
            raise
        return client

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Within it, errors of the engine are `IndexServerError`, with the address and a hint."""
        try:
            yield
        except MilvusException as error:
            raise self._error(*_reason(error)) from None
        except grpc.FutureTimeoutError:
            raise self._error(grpc.StatusCode.DEADLINE_EXCEEDED, "") from None
        except grpc.RpcError as error:
            raise self._error(error.code(), error.details() or "") from None

    def _error(self, code: Any, message: str) -> IndexServerError:
        if code == _NO_COLLECTION:
            return GenerationGone()
        text = " ".join(message.split())[:300]
        if self._secret:
            text = text.replace(self._secret, "***")
        return IndexServerError(f"{self.address} cannot be used: {text or code}", _hint(code, text))

    def call(self, work: Callable[[MilvusClient], T]) -> T:
        """What `work` returns, with errors translated."""
        with self.translated():
            return work(self.client)


def _product(version: str, address: str) -> str:
    """Name and version of the engine; IndexServerError if it is too old."""
    found = re.search(r"\d+(\.\d+)+", version)
    number = found[0] if found else ""
    if version.startswith("milvus_lite"):
        return f"Milvus Lite {number}"
    if tuple(int(part) for part in number.split(".") if part)[:2] < MIN_VERSION:
        raise IndexServerError(
            f"{address} has Milvus {number or version[:40]}, which is too old",
            "Upgrade the server to Milvus 2.3 or later.",
        )
    return f"Milvus {number}"


def _reason(error: MilvusException) -> tuple[Any, str]:
    """Code and message of the server; an error while connecting has them as its cause."""
    cause = error.__cause__
    if isinstance(cause, grpc.RpcError) and cause.code() is not None:
        return cause.code(), cause.details() or ""
    return error.code, error.message


def _hint(code: Any, text: str) -> str:
    """How to fix an error."""
    if code == grpc.StatusCode.UNAUTHENTICATED or re.search("auth|permission", text):
        return (
            "Check user and password: the password is read from MILVUS_TOKEN=user:password, or is"
            " part of the URL in the settings."
        )
    if code == _NO_DATABASE or re.search(r"database .*(not|exist)", text):
        return (
            "Create the database on the server, for example in Attu or with pymilvus:"
            " MilvusClient(uri).create_database(name); or leave its name out of the URL."
        )
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, 2):
        return (
            "Check that the server is running and the address is right. If a search takes longer"
            " than this, allow more seconds: ?timeout=60 at the end of the URL."
        )
    return "'imgsearch doctor' checks it."


@dataclass(frozen=True, slots=True)
class State:
    """A row of the collection of states.

    Attributes
    ----------
    key : str
        Random, "" if nothing is stored.
    number : int
        The state with the highest number counts.
    vectors : int
        Number of rows.
    unsettled : int
        Maximum number of rows that a flush has changed whose state was not stored.
    """

    key: str = ""
    number: int = 0
    generation: Generation = field(default_factory=Generation)
    vectors: int = 0
    unsettled: int = 0


class MilvusStore:
    """The `Store` of a library and a space in a database.

    Rows are float32: Milvus Lite has no float16, and an engine that cannot normalise rows in a
    search would not return the best ones of float16.
    """

    half = False

    def __init__(self, where: str, library: str, space: EmbeddingSpace) -> None:
        self._server, self._library, self._space = Server(where), library, space
        self._owner = hashlib.sha256(f"{library}\n{space.key}".encode()).hexdigest()[:16]
        self._loaded: set[str] = set()
        require_dimension("Milvus", MAX_DIMENSION, space)

    @property
    def engine(self) -> str:
        return self._server.engine

    def trainable(self, generation: Generation) -> bool:
        return True

    # Reading

    def live(self) -> Generation:
        names = self._names()
        if STATES not in names:
            return Generation()
        generation = self._state(_BOUNDED).generation
        if generation.name not in names:
            return Generation()
        if generation.approximate not in names:
            return replace(generation, trained=0, approximate="")
        return generation

    def _state(self, level: str) -> State:
        """The current state."""
        states = self._states(level)
        return max(states, key=lambda state: state.number, default=State())

    def _states(self, level: str) -> list[State]:
        rows = self._rows(STATES, f'owner == "{self._owner}"', ["key", "number", "state"], level)
        try:
            return [_state_of(row) for row in rows]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise IndexServerError(
                f"the state of the index on {self.engine} is not readable",
                "If another version of imgsearch has written it, use that one, or drop the"
                f" collection {STATES}: the index is then rebuilt from the catalog.",
            ) from None

    def _names(self) -> set[str]:
        """The collections of the database."""
        timeout = self._server.timeout
        return set(self._server.call(lambda client: client.list_collections(timeout=timeout)))

    def _ask(self, collection: str, question: Callable[[MilvusClient], T]) -> T:
        """The answer about the rows of a collection, which is loaded into memory first.

        A server that was restarted may not have loaded it.
        """

        def loaded(client: MilvusClient) -> T:
            if collection not in self._loaded:
                self._load(client, collection)
            try:
                return question(client)
            except MilvusException as error:
                if error.code != _NOT_LOADED:
                    raise
            self._load(client, collection)
            return question(client)

        return self._server.call(loaded)

    def _load(self, client: MilvusClient, collection: str) -> None:
        client.load_collection(collection, timeout=WRITE_TIMEOUT_SECONDS)
        self._loaded.add(collection)

    def _rows(
        self, collection: str, condition: str, fields: list[str], level: str = _BOUNDED
    ) -> list[dict[str, Any]]:
        timeout = self._server.timeout if level == _BOUNDED else WRITE_TIMEOUT_SECONDS
        options = {"consistency_level": level, "timeout": timeout}
        return list(
            self._ask(
                collection,
                lambda client: client.query(
                    collection, filter=condition, output_fields=fields, **options
                ),
            )
        )

    def _count(self, collection: str, condition: str = "", level: str = _BOUNDED) -> int:
        return int(self._rows(collection, condition, ["count(*)"], level)[0]["count(*)"])

    def _present(self, collection: str, ids: Ids, level: str = _BOUNDED) -> int:
        """Number of rows with one of these ids."""
        return sum(self._count(collection, _in(part), level) for part in _parts(ids, MAX_IDS))

    def check(self, generation: Generation) -> str:
        state = self._state(_STRONG)
        if state.generation.name != generation.name:
            raise GenerationGone
        for name in filter(None, (generation.name, generation.approximate)):
            stored = self._count(name, level=_STRONG)
            if abs(stored - state.vectors) > state.unsettled:
                return f"the collection {name} has {stored} vectors instead of {state.vectors}"
        return ""

    def count(self, generation: Generation, without: Ids) -> int:
        return self._count(generation.name) - self._present(generation.name, without)

    def missing(self, generation: Generation, ids: Ids) -> Ids:
        parts = [self._missing(generation.name, part) for part in _parts(ids, MAX_IDS)]
        return np.concatenate([ids[:0], *parts])

    def _missing(self, collection: str, ids: Ids) -> Ids:
        """Ids that have no row; counts first, since usually there are none."""
        if self._count(collection, _in(ids)) == len(ids):
            return ids[:0]
        rows = self._rows(collection, _in(ids), ["id"])
        return np.setdiff1d(ids, np.array([row["id"] for row in rows], np.int64))

    @property
    def _page_rows(self) -> int:
        """Rows with vectors in one message."""
        return max(1, min(CHUNK_ROWS, MAX_MESSAGE_BYTES // (4 * self._space.dimension)))

    def codes(self, generation: Generation, ids: Ids) -> tuple[Ids, Codes]:
        rows: list[dict[str, Any]] = []
        for part in _parts(ids, self._page_rows):
            rows += self._rows(generation.name, _in(part), ["id", "v"])
        return self._decoded(rows)

    def pages(self, generation: Generation) -> Iterator[tuple[Ids, Codes]]:
        pages = self._ask(
            generation.name,
            lambda client: client.query_iterator(
                generation.name,
                batch_size=self._page_rows,
                output_fields=["id", "v"],
                consistency_level=_STRONG,
                timeout=WRITE_TIMEOUT_SECONDS,
            ),
        )
        while rows := self._server.call(lambda client: pages.next()):
            yield self._decoded(rows)

    def _decoded(self, rows: list[dict[str, Any]]) -> tuple[Ids, Codes]:
        """Ids and vectors of rows."""
        ids = np.fromiter((row["id"] for row in rows), np.int64, len(rows))
        codes = np.empty((len(rows), self._space.dimension), SINGLE)
        for place, row in enumerate(rows):
            codes[place] = row["v"]
        return ids, codes

    def nearest(
        self, generation: Generation, query: Embeddings, k: int, rows: Selection, method: str
    ) -> Found:
        if method == "trained":
            return self._approximate(generation, query, k, rows)
        if k > MAX_RESULTS or (rows.only is None and len(rows.without) > MAX_EXCLUDED):
            return self._compared_here(generation, query, k, rows)
        if rows.only is None:
            conditions = [_not_in(rows.without)]
        else:
            conditions = [_in(part) for part in _parts(rows.only, MAX_IDS)]
        parts = [self._hits(generation.name, query, k, each, {}) for each in conditions]
        return self._with_codes(generation, *_joined(parts, k))

    def _approximate(
        self, generation: Generation, query: Embeddings, k: int, rows: Selection
    ) -> Found:
        """The best of HNSW's candidates that may be found.

        A selection is not sent with the query: it is used only where it has very many ids.
        """
        if rows.only is None:
            wide, condition = min(k, MAX_RESULTS), _not_in(rows.without[:MAX_EXCLUDED])
        else:
            wide, condition = MAX_RESULTS, ""
        ef = {"ef": max(MIN_CANDIDATES, min(2 * k, MAX_RESULTS), wide)}
        ids, scores = self._hits(generation.approximate, query, wide, condition, ef)
        fits = _selected(ids, rows)
        return self._with_codes(generation, ids[fits][:k], scores[fits][:k])

    def _hits(
        self, collection: str, query: Embeddings, k: int, condition: str, parameters: dict[str, int]
    ) -> tuple[Ids, NDArray[np.float64]]:
        """Ids and scores of the best k in a collection."""
        (hits,) = self._ask(
            collection,
            lambda client: client.search(
                collection,
                data=[query],
                anns_field="v",
                limit=k,
                filter=condition,
                output_fields=["id"],
                search_params={"metric_type": "IP", "params": parameters},
                consistency_level=_BOUNDED,
                timeout=self._server.timeout,
            ),
        )
        ids = np.array([hit["id"] for hit in hits], np.int64)
        return ids, np.array([hit["distance"] for hit in hits], np.float64)

    def _with_codes(self, generation: Generation, ids: Ids, scores: NDArray[np.float64]) -> Found:
        """Hits with their rows, without those that were removed since they were found."""
        held, codes = self.codes(generation, ids)
        row_of = {each: row for row, each in enumerate(held.tolist())}
        still = np.array([each in row_of for each in ids.tolist()], bool)
        rows = np.array([row_of[each] for each in ids[still].tolist()], np.int64)
        return ids[still], scores[still], codes[rows]

    def _compared_here(
        self, generation: Generation, query: Embeddings, k: int, rows: Selection
    ) -> Found:
        """The best k of more results, or of longer lists of ids, than the engine takes."""
        parts = [(np.empty(0, np.int64), np.empty(0, np.float64))]
        for ids, codes in self.pages(generation):
            fits = _selected(ids, rows)
            scores = (codes[fits] @ query).astype(np.float64)
            parts = [_joined([*parts, (ids[fits], scores)], k)]
        return self._with_codes(generation, *parts[0])

    # Writing

    def fill(
        self, dtype: str, rows: Iterable[tuple[Ids, Codes]], revision: Revision, token: str
    ) -> Generation:
        before = self._prepare()
        name = self._create("FLAT", {})
        try:
            count, slack = self._insert_all(name, rows)
        except Exception:  # a kill leaves rows, an error does not
            with suppress(IndexServerError):
                self._drop(name)
            raise
        generation = Generation(name, revision, token, dtype, slack)
        self._commit(before, generation, count)
        return generation

    def _prepare(self) -> State:
        """Create the collection of states, drop orphans; returns the current state."""
        names = self._names()
        if STATES not in names:
            self._create_states()
        state = self._state(_STRONG)
        self._sweep(names, state.generation)
        return state

    def _sweep(self, names: set[str], live: Generation) -> None:
        """Drop the collections of this library and space that are not live."""
        for name in names:
            ours = name.startswith(f"imgsearch_{self._owner}_")
            if ours and name not in (live.name, live.approximate):
                self._drop(name)

    def _drop(self, collection: str) -> None:
        timeout = WRITE_TIMEOUT_SECONDS
        self._server.call(lambda client: client.drop_collection(collection, timeout=timeout))

    def _create(self, kind: str, parameters: dict[str, int]) -> str:
        """The name of a new collection of vectors, with an index of this kind."""
        name = f"imgsearch_{self._owner}_{secrets.token_hex(8)}"
        model = str(self._space).encode("ascii", "backslashreplace").decode()
        schema = MilvusClient.create_schema(
            auto_id=False,
            enable_dynamic_field=False,
            description=f"imgsearch library {self._library}, {model}"[:500],
        )
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=self._space.dimension)
        self._make(name, schema, kind, parameters)
        return name

    def _create_states(self) -> None:
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field("owner", DataType.VARCHAR, max_length=64)
        schema.add_field("number", DataType.INT64)
        schema.add_field("state", DataType.VARCHAR, max_length=8192)
        schema.add_field("v", DataType.FLOAT_VECTOR, dim=2)  # a collection must have one
        self._make(STATES, schema, "FLAT", {})

    def _make(self, name: str, schema: Any, kind: str, parameters: dict[str, int]) -> None:
        indexes = MilvusClient.prepare_index_params()
        indexes.add_index("v", index_type=kind, metric_type="IP", params=parameters)
        self._server.call(
            lambda client: client.create_collection(
                name,
                schema=schema,
                index_params=indexes,
                consistency_level=_BOUNDED,
                timeout=WRITE_TIMEOUT_SECONDS,
            )
        )

    def _insert_all(self, collection: str, rows: Iterable[tuple[Ids, Codes]]) -> tuple[int, float]:
        """Append rows to a new collection; returns their number and `Generation.slack`.

        Raises
        ------
        IndexServerError
            An id came twice, or the engine does not show all rows.
        """
        parts, slack = [np.empty(0, np.int64)], 0.0
        for ids, codes in rows:
            self._send(collection, ids, codes)
            parts.append(ids)
            slack = max(slack, norm_slack(codes))
        timeout = BUILD_TIMEOUT_SECONDS
        self._server.call(lambda client: client.flush(collection, timeout=timeout))
        all_ids = np.concatenate(parts)
        count, distinct = len(all_ids), len(np.unique(all_ids))
        stored = min(distinct, self._count(collection, level=_STRONG))
        if stored != count:
            raise IndexServerError(
                f"{self.engine} shows {stored} of {count} vectors that were written",
                "Run the command again: the index is rebuilt from the catalog.",
            )
        return count, slack

    def _send(self, collection: str, ids: Ids, codes: Codes) -> None:
        """Add rows; one whose id is there replaces it."""
        for start in range(0, len(ids), self._page_rows):
            part = slice(start, start + self._page_rows)
            pairs = zip(ids[part].tolist(), codes[part], strict=True)
            rows = [{"id": each, "v": vector} for each, vector in pairs]
            upsert = partial(_upsert, collection=collection, rows=rows)
            self._ask(collection, upsert)

    def _delete(self, collection: str, ids: Ids) -> None:
        for part in _parts(ids, MAX_IDS):
            self._ask(collection, partial(_delete, collection=collection, ids=part.tolist()))

    def replace(
        self,
        generation: Generation,
        gone: Ids,
        rows: Iterable[tuple[Ids, Codes]],
        revision: Revision,
        token: str,
    ) -> Generation:
        before = self._prepare()
        self._require(before.generation, generation)
        unsettled = max(before.unsettled, len(gone))
        before = self._commit(before, generation, before.vectors, unsettled)
        slack, added = generation.slack, gone[:0]
        names = [each for each in (generation.name, generation.approximate) if each]
        for ids, codes in rows:
            for name in names:
                self._send(name, ids, codes)
            slack, added = max(slack, norm_slack(codes)), np.append(added, ids)
        for name in names:
            self._delete(name, np.setdiff1d(gone, added))
        after = replace(generation, revision=revision, token=token, slack=slack)
        self._commit(before, after, self._settled(names, gone, added))
        return after

    def _settled(self, names: list[str], gone: Ids, added: Ids) -> int:
        """Number of rows, after all that was written is visible.

        Raises
        ------
        IndexServerError
            The engine shows a row that was removed, or not one that was added.
        """
        counts = set()
        for name in names:
            if self._present(name, gone, _STRONG) != len(added):
                raise IndexServerError(
                    f"{self.engine} does not show what was written",
                    "Run the command again: the changes are written again.",
                )
            counts.add(self._count(name, level=_STRONG))
        if len(counts) > 1:
            raise IndexServerError(
                f"{self.engine} has different vectors for exact and for approximate searches",
                "Run 'imgsearch optimize --rebuild'.",
            )
        return counts.pop()

    def _require(self, stored: Generation, expected: Generation) -> None:
        """Raise `IndexServerError` unless the stored state is the one that was read.

        There is no lock: two writers in the same moment are not noticed.
        """
        states = [(each.name, each.revision, each.token) for each in (stored, expected)]
        if states[0] != states[1]:
            raise IndexServerError(
                f"another process has changed this index on {self.engine}",
                "Run the command again. If two copies of one library use the same database, give"
                " each a database of its own.",
            )

    def _commit(
        self, before: State, generation: Generation, vectors: int, unsettled: int = 0
    ) -> State:
        """Store a state, then remove the earlier ones."""
        number = before.number + 1
        state = State(secrets.token_hex(16), number, generation, vectors, unsettled)
        row = {**_row_of(state), "owner": self._owner, "v": [1.0, 0.0]}
        timeout = WRITE_TIMEOUT_SECONDS
        self._ask(STATES, lambda client: client.insert(STATES, [row], timeout=timeout))
        states = self._states(_STRONG)
        old = [each.key for each in states if each.number < number]
        if old:
            self._ask(STATES, partial(_delete, collection=STATES, ids=old))
        return state

    def train(self, generation: Generation) -> Generation:
        before = self._prepare()
        self._require(before.generation, generation)
        name = self._create("HNSW", _HNSW)
        count, _ = self._insert_all(name, self.pages(generation))
        after = replace(generation, trained=count, approximate=name)
        self._commit(before, after, before.vectors, before.unsettled)
        return after


def _upsert(client: MilvusClient, collection: str, rows: list[dict[str, Any]]) -> None:
    client.upsert(collection, rows, timeout=WRITE_TIMEOUT_SECONDS)


def _delete(client: MilvusClient, collection: str, ids: list[Any]) -> None:
    client.delete(collection, ids=ids, timeout=WRITE_TIMEOUT_SECONDS)


def _row_of(state: State) -> dict[str, Any]:
    """A state as the fields of a row."""
    values = {
        **asdict(state.generation), "vectors": state.vectors, "unsettled": state.unsettled
    }  # fmt: skip
    return {"key": state.key, "number": state.number, "state": json.dumps(values)}


def _state_of(row: dict[str, Any]) -> State:
    """The state of a row."""
    values = json.loads(row["state"])
    vectors, unsettled = values.pop("vectors"), values.pop("unsettled")
    return State(row["key"], row["number"], Generation(**values), vectors, unsettled)


def _parts(ids: Ids, size: int) -> list[Ids]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


def _in(ids: Ids) -> str:
    return f"id in {ids.tolist()}"


def _not_in(ids: Ids) -> str:
    """The condition that leaves out ids; "" for none."""
    return " and ".join(f"id not in {part.tolist()}" for part in _parts(ids, MAX_IDS))


def _selected(ids: Ids, rows: Selection) -> NDArray[np.bool_]:
    """True for the ids that may be found."""
    return ~np.isin(ids, rows.without) if rows.only is None else np.isin(ids, rows.only)


def _joined(
    parts: list[tuple[Ids, NDArray[np.float64]]], k: int
) -> tuple[Ids, NDArray[np.float64]]:
    """The best k hits of several searches."""
    ids, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(-scores, kind="stable")[:k]
    return ids[order], scores[order]
