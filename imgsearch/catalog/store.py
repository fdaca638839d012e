"""The catalog: what is read from it, and how one is opened."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, and_, insert, select

from imgsearch.catalog import (
    comparison,
    facets,
    filter_sql,
    full_text,
    health,
    ocr_texts,
    overview,
    reference_scores,
    rows,
    schema,
    unchanged_files,
)
from imgsearch.catalog.engine import open_engine, reading
from imgsearch.catalog.lock import writer_lock
from imgsearch.catalog.schema import driver
from imgsearch.catalog.sqlite_file import FILE, file_identity, missing, told
from imgsearch.catalog.tables import (
    commits,
    embeddings,
    images,
    library,
    roots,
    spaces,
    tombstones,
)
from imgsearch.catalog.unchanged_files import UnchangedFiles
from imgsearch.catalog.writer import CatalogWriter
from imgsearch.errors import CatalogError
from imgsearch.filters.tree import Filter
from imgsearch.records import (
    ChangeBatch,
    Comparison,
    Facets,
    ImageFile,
    ImageRecord,
    Reference,
    Revision,
    RootRecord,
    RunRecord,
    Skipped,
    SpaceRecord,
    TextCounts,
    Unvisited,
)
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids

BATCH = 8192
OURS = ("writer.", "server-token.")
"""How names begin of files that may be there before the catalog."""


def open_catalog(folder: str, create: bool = False) -> SqlCatalog:
    """The catalog of the library in `folder`; an older schema is upgraded.

    Raises
    ------
    LibraryMissing
        There is none, and `create` is false.
    LibraryTooNew
        It was written by a newer imgsearch.
    CatalogError
        The folder holds something else, or cannot be used.
    """
    path = os.path.join(folder, FILE)
    if not os.path.exists(path):
        _prepare(folder, create)
    engine = open_engine(path)
    found = schema.version(engine)
    schema.require_known(found)
    if found != schema.HEAD:
        _require_upgradable(folder, found)
        with writer_lock(folder):
            schema.upgrade(engine, path, _first_row)
    return SqlCatalog(folder, engine)


def _require_upgradable(folder: str, found: str | None) -> None:
    if not os.access(folder, os.W_OK):
        written = (
            f"by an older version of imgsearch (schema {found})" if found else "not to its end"
        )
        raise CatalogError(
            f"the library in {folder} was written {written}, and it cannot be brought up to date"
            f" (schema {schema.HEAD}) because the folder is read-only",
            "Run any command once where the folder can be written to; or copy the folder to such a"
            " place, and name that with --library DIR.",
        )


def _prepare(folder: str, create: bool) -> None:
    if not create:
        raise missing(folder)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        strangers = [name for name in os.listdir(folder) if not name.startswith(OURS)]
    except OSError as error:
        raise CatalogError(
            f"the library folder {folder} cannot be made: {error.strerror}",
            "Choose another one with --library DIR.",
        ) from error
    if strangers:
        raise CatalogError(
            f"{folder} is no imgsearch library, and it is not empty",
            "Choose a new or empty folder with --library DIR.",
        )


def _first_row(connection: Connection) -> None:
    if connection.execute(select(library.c.id)).first() is None:
        connection.execute(
            insert(library).values(
                id=1,
                uuid=uuid.uuid4().hex,
                revision=0,
                purge_floor=0,
                created_at=datetime.now(),
            )
        )


class SqlCatalog:
    """Files, metadata and vectors of one library. Reading never blocks, and is never blocked."""

    def __init__(self, folder: str, engine: Engine) -> None:
        self.folder = folder
        self._engine = engine
        self._local = threading.local()
        self._file = file_identity(os.path.join(folder, FILE))
        with self._read() as connection:
            self.uuid: str = connection.execute(select(library.c.uuid)).scalar_one()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @property
    def replaced(self) -> bool:
        """True if another file lies in the place of the one that is open here, or none: somebody
        has put back a copy, or removed the library."""
        return file_identity(os.path.join(self.folder, FILE)) != self._file

    @contextmanager
    def writer(self, wait_s: float = 0.0) -> Iterator[CatalogWriter]:
        """The one writer of this library.

        Raises
        ------
        LibraryBusy
            Another process has the writer lock, and still has it after `wait_s` seconds.
        """
        with writer_lock(self.folder, wait_s):
            yield CatalogWriter(self._engine)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within it, all reads of this thread see one and the same state."""
        with self._read():
            yield

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        present = getattr(self._local, "connection", None)
        if present is not None:
            with told():  # whoever opened the snapshot may not be the one who gets the error
                yield present
            return
        with reading(self._engine) as connection:
            self._local.connection, self._local.known = connection, {}
            try:
                yield connection
            finally:
                self._local.connection = None

    def _once(self, key: object, read: Callable[[Connection], Any]) -> Any:
        """What `read` gives, read once in a snapshot: within it, it cannot change."""
        with self._read() as connection:
            known = self._local.known
            if key not in known:
                known[key] = read(connection)
            return known[key]

    def head(self) -> tuple[Revision, str]:
        """The latest revision and its token; (0, "") before the first commit."""
        found: tuple[Revision, str] = self._once("head", _head)
        return found

    def replayable(self, revision: Revision, token: str) -> bool:
        """True if `changes(since=revision)` leads from that state to the present one.

        False for a state of another history, from the future, or so old that tombstones after
        it have been purged.
        """
        if revision == 0:
            return True
        with self._read() as connection:
            floor = connection.execute(select(library.c.purge_floor)).scalar_one()
            known = connection.execute(
                select(commits.c.token).where(commits.c.revision == revision)
            ).scalar()
        return bool(revision >= floor and known == token)

    def changes(self, space: EmbeddingSpace, since: Revision) -> Iterator[ChangeBatch]:
        """All changes to the vectors of `space` after `since`, in batches of bounded size.

        Only the last batch carries the token, and only its revision is a state of the catalog.
        """
        with self._read() as connection:
            head, token = self.head()
            space_id = _space_id(connection, space)
            removals = _removed(connection, space_id, since)
            position = since
            while position < head:
                found = _upserts(connection, space_id, position)
                last = len(found) < BATCH
                yield ChangeBatch(
                    since=position,
                    revision=head if last else found[-1].revision,
                    token=token if last else "",
                    removals=removals,
                    ids=np.array([row.image_id for row in found], np.int64),
                    vectors=rows.from_blobs([row.vector for row in found], space.dimension),
                )
                position = head if last else found[-1].revision
                removals = np.empty(0, np.int64)

    def unchanged(
        self, space: EmbeddingSpace, root: str, scope: str, on_page: Callable[[int], None]
    ) -> UnchangedFiles:
        """Tells which files of a scan are present, unchanged and have a vector.

        Parameters
        ----------
        on_page : callable
            Told now and then how many there were so far; may raise to end the scan.
        """
        with self._read() as connection:
            ids = _root_id(connection, root), _space_id(connection, space)

        def page(after: str) -> list[Any]:
            with self._read() as connection:
                return unchanged_files.page(connection, *ids, after)

        return UnchangedFiles(page, unchanged_files.beginning(scope), on_page)

    def compare(
        self, space: EmbeddingSpace, decoder: str, files: Sequence[ImageFile | Skipped]
    ) -> Comparison:
        """What has to be done for files of one root, as a scan of it gave them.

        Parameters
        ----------
        decoder : str
            The versions of the decoders: files that others failed on are tried again.
        """
        if not files:
            return Comparison()
        first = files[0]
        root = first.root if isinstance(first, ImageFile) else first.file.root
        with self._read() as connection:
            root_id, space_id = _root_id(connection, root), _space_id(connection, space)
            return comparison.compare(connection, root_id, space_id, decoder, files)

    def missing(self, root: str, scope: str, image_ids: Ids, unvisited: Sequence[Unvisited]) -> int:
        """How many pictures below `scope` a scan did not see, unvisited folders left out."""
        with self._read() as connection:
            root_id = _root_id(connection, root)
            return len(comparison.missing(connection, images, root_id, scope, image_ids, unvisited))

    def get(self, ids: Sequence[int]) -> dict[int, ImageRecord]:
        """The present pictures among `ids`."""
        found: dict[int, ImageRecord] = {}
        with self._read() as connection:
            for chunk in rows.chunks([int(i) for i in ids]):
                # The status is looked at here: asked for it, SQLite goes through an index of it.
                query = _with_root().where(images.c.id.in_(chunk))
                for row in connection.execute(query):
                    if row.status == "present":
                        found[row.id] = rows.image_record(row)
        return found

    def with_words(
        self, query: str, limit: int, allowed: Ids | None = None
    ) -> list[tuple[int, float]]:
        """Present pictures whose names, captions or texts have all words of `query`, best first.

        Parameters
        ----------
        allowed : ndarray of shape (n,), int64, sorted, or None
            Which pictures count; None for all.

        Returns
        -------
        list of (id, BM25)
        """
        with self._read() as connection:
            return full_text.ranked(connection, query, limit, allowed)

    def unread(
        self, root: str, scope: str, engine: str, after: str, limit: int
    ) -> list[ImageRecord]:
        """Present pictures whose text is to be read, one for each content hash beyond `after`."""
        with self._read() as connection:
            return ocr_texts.unread(connection, root, scope, engine, after, limit)

    def unread_count(self, root: str, scope: str, engine: str) -> int:
        """How many content hashes have a text that is still to be read."""
        with self._read() as connection:
            return ocr_texts.unread_count(connection, root, scope, engine)

    def wants_texts(self) -> bool:
        """True if the indexer is to read the texts of new pictures."""
        with self._read() as connection:
            return ocr_texts.wanted(connection)

    def texts(self) -> TextCounts:
        """How many present pictures were read, and by what."""
        with self._read() as connection:
            return overview.texts(driver(connection))

    def unreadable_texts(self) -> list[Skipped]:
        """Present pictures whose text could not be read, by path."""
        with self._read() as connection:
            return overview.unreadable_texts(driver(connection))

    def all_ids(self) -> Ids:
        """Ids of all present pictures, sorted."""
        with self._read() as connection:
            query = select(images.c.id).where(images.c.status == "present").order_by(images.c.id)
            return np.fromiter(connection.execute(query).scalars(), np.int64)

    def vector_ids(self, space: EmbeddingSpace) -> Ids:
        """Ids of the present pictures that have a vector in a space, sorted."""
        with self._read() as connection:
            query = (
                select(embeddings.c.image_id)
                .join(images)
                .where(
                    embeddings.c.space_id == _space_id(connection, space),
                    images.c.status == "present",
                )
                .order_by(embeddings.c.image_id)
            )
            return np.fromiter(connection.execute(query).scalars(), np.int64)

    def select(self, where: Filter) -> Ids:
        """Ids of the present pictures that pass a filter, sorted.

        Raises
        ------
        QueryError
            The filter names a path that is in no folder of the library.
        """
        with self._read() as connection:
            return filter_sql.passing(connection, where)

    def newest(self, where: Filter | None, limit: int) -> list[ImageRecord]:
        """Present pictures that pass a filter, by date, newest first; those without one last."""
        with self.snapshot():
            ids = self.newest_ids(where, limit)
            found = self.get(ids)
        return [found[i] for i in ids]

    def newest_ids(self, where: Filter | None, limit: int) -> list[int]:
        """The ids of `newest`."""
        with self._read() as connection:
            return filter_sql.newest(connection, where, limit)

    def facets(self, where: Filter | None) -> Facets:
        """How the present pictures that pass a filter are spread over time, folders and so on."""
        with self._read() as connection:
            return facets.facets(connection, where)

    def count(self, where: Filter | None = None) -> int:
        """How many present pictures pass a filter."""
        with self._read() as connection:
            return filter_sql.count(connection, where)

    def locate(self, path: str) -> ImageRecord | None:
        """The present picture at this absolute path, None if there is none."""
        with self._read() as connection:
            for root in connection.execute(select(roots.c.id, roots.c.path)):
                below = os.path.relpath(path, root.path).replace(os.sep, "/")
                if below.startswith("../"):
                    continue
                here = and_(images.c.root_id == root.id, images.c.path == below)
                query = _with_root().where(here, images.c.status == "present")
                row = connection.execute(query).first()
                if row is not None:
                    return rows.image_record(row)
        return None

    def vector(self, space: EmbeddingSpace, image_id: int) -> Embeddings | None:
        """The vector of a present picture, shape (dimension,), or None."""
        with self._read() as connection:
            blob = connection.execute(
                select(embeddings.c.vector)
                .join(images)
                .where(
                    embeddings.c.space_id == _space_id(connection, space),
                    embeddings.c.image_id == image_id,
                    images.c.status == "present",
                )
            ).scalar()
        return None if blob is None else rows.from_blobs([blob], space.dimension)[0]

    def references(self, space: EmbeddingSpace) -> dict[str, Reference]:
        """What unrelated queries score, by modality; empty before that was measured."""
        found: dict[str, Reference] = self._once(
            space, lambda connection: reference_scores.scores(connection, space)
        )
        return dict(found)

    def reference_texts(self, space: EmbeddingSpace, digest: str) -> Embeddings | None:
        """The vectors of the reference texts of that hash, shape (t, dimension), or None."""
        with self._read() as connection:
            return reference_scores.texts(connection, space, digest)

    def roots(self, counted: bool = True) -> list[RootRecord]:
        """The folders of the library, by path, with the number of pictures present in each, or 0
        where they need not be counted."""
        with self._read() as connection:
            return overview.roots(driver(connection), counted)

    def skipped(self) -> list[Skipped]:
        """Every file that could not be indexed, by path."""
        with self._read() as connection:
            return overview.skipped(driver(connection))

    def known_spaces(self, filled: bool = False) -> list[EmbeddingSpace]:
        """The embedding spaces, oldest first; with `filled` those that have a present picture."""
        query = select(spaces).order_by(spaces.c.id)
        if filled:
            vector = select(embeddings.c.id).join(images)
            vector = vector.where(
                embeddings.c.space_id == spaces.c.id, images.c.status == "present"
            )
            query = query.where(vector.exists())
        with self._read() as connection:
            return [_space(row) for row in connection.execute(query)]

    def default_space(self) -> EmbeddingSpace | None:
        """The space that is searched when no model is named."""
        query = select(spaces).join(library, library.c.default_space_id == spaces.c.id)
        with self._read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _space(row)

    def spaces(self) -> list[SpaceRecord]:
        """The embedding spaces, oldest first, with the number of present pictures in each."""
        with self._read() as connection:
            return overview.spaces(driver(connection))

    def last_run(self) -> RunRecord | None:
        """The latest run of the indexer."""
        with self._read() as connection:
            return overview.last_run(driver(connection))

    def summary(self) -> dict[str, Any]:
        """What is in the library, as plain values for JSON (`overview.summary`)."""
        with self._read() as connection:
            return overview.summary(driver(connection), self.folder)

    def check(self) -> list[str]:
        """What is wrong with the catalog itself, one sentence each; empty when it is sound."""
        with self._read() as connection:
            return health.faults(connection)


def _head(connection: Connection) -> tuple[Revision, str]:
    revision = connection.execute(select(library.c.revision)).scalar_one()
    token = connection.execute(
        select(commits.c.token).where(commits.c.revision == revision)
    ).scalar()
    return revision, token or ""


def _with_root() -> Any:
    return select(images, roots.c.path.label("root")).join(roots)


def _space_id(connection: Connection, space: EmbeddingSpace) -> int | None:
    return connection.execute(select(spaces.c.id).where(spaces.c.key == space.key)).scalar()


def _root_id(connection: Connection, path: str) -> int | None:
    return connection.execute(select(roots.c.id).where(roots.c.path == path)).scalar()


def _space(row: Row[Any]) -> EmbeddingSpace:
    return EmbeddingSpace(
        row.model, row.revision, row.preprocessing, row.dimension, row.instruction
    )


def _removed(connection: Connection, space_id: int | None, since: Revision) -> Ids:
    query = select(tombstones.c.image_id).where(
        tombstones.c.space_id == space_id, tombstones.c.revision > since
    )
    return np.fromiter(connection.execute(query).scalars(), np.int64)


def _upserts(connection: Connection, space_id: int | None, since: Revision) -> Sequence[Any]:
    query = (
        select(embeddings.c.image_id, embeddings.c.revision, embeddings.c.vector)
        .join(images)
        .where(
            embeddings.c.space_id == space_id,
            embeddings.c.revision > since,
            images.c.status == "present",
        )
        .order_by(embeddings.c.revision)
        .limit(BATCH)
    )
    return connection.execute(query).all()
