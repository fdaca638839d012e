"""Opens a catalog and reads from it."""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, Row, and_, func, insert, select

from imgsearch.catalog import (
    clusters,
    comparison,
    facets,
    filter_sql,
    full_text,
    health,
    image_measures,
    known_values,
    ocr_texts,
    overview,
    place_names,
    reference_scores,
    rows,
    saved_searches,
    schema,
    takeover,
    timeline,
    transfer,
    unchanged_files,
)
from imgsearch.catalog import shots as shots_of_images
from imgsearch.catalog.dialects import damage_errors, one_of
from imgsearch.catalog.engine import catalog_errors, open_engine, reading, writing
from imgsearch.catalog.lock import writer_lock
from imgsearch.catalog.rehearsal import Rehearsal
from imgsearch.catalog.saved_searches import SavedWriter
from imgsearch.catalog.schema import driver
from imgsearch.catalog.sqlite_file import (
    FILE,
    file_identity,
    file_stamp,
    incomplete,
    is_immutable,
    missing,
    stored_values,
)
from imgsearch.catalog.tables import (
    commits,
    embeddings,
    images,
    library,
    measures,
    roots,
    spaces,
    tombstones,
)
from imgsearch.catalog.unchanged_files import UnchangedFiles
from imgsearch.catalog.writer import CatalogWriter
from imgsearch.errors import CatalogError, LibraryBusy
from imgsearch.filters.tree import Filter
from imgsearch.records import (
    ChangeBatch,
    Cluster,
    ClusterFacts,
    Clustering,
    Comparison,
    Facets,
    ForeignImages,
    ImageFile,
    ImageMetadata,
    ImageRecord,
    KnownValue,
    Location,
    Period,
    PlaceCount,
    PositionCell,
    Reference,
    Revision,
    RootRecord,
    RunRecord,
    SavedRecord,
    Skipped,
    SpaceRecord,
    TextCounts,
    TextVectors,
)
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, normalize
from imgsearch.writing import private_folder, private_opener

if TYPE_CHECKING:
    from imgsearch.catalog.postgresql import CatalogServer

CHANGES_PER_BATCH = 8192
OWN_PREFIXES = ("writer.", "server-token.")
"""Name prefixes of files that may exist before the catalog does."""


def open_catalog(folder: str, create: bool = False, url: str = "") -> Catalog:
    """Open the catalog of the library in `folder`; an older schema is upgraded.

    Parameters
    ----------
    url : str
        The database on PostgreSQL that holds the catalog; then `folder` has only what is made from
        it, such as index files. "" for the file in the folder.

    Raises
    ------
    LibraryMissing
        There is no library, and `create` is false.
    LibraryTooNew
        It was written by a newer imgsearch.
    CatalogError
        The folder holds something else, or cannot be used.
    CatalogServerError
        The server cannot be used.
    """
    if url:
        return _open_on_server(folder, create, url)
    path = os.path.join(folder, FILE)
    if not os.path.exists(path):
        _prepare(folder, create)
    engine = open_engine(path)
    version = schema.version(engine)
    schema.require_known(version)
    if version != schema.HEAD:
        _require_upgradable(folder, version)
        try:
            with writer_lock(folder):
                schema.upgrade(engine, path, _insert_library_row)
        except LibraryBusy:
            if version is None and not create:  # another process is making it
                raise missing(folder) from None
            raise
    return Catalog(folder, engine)


def _open_on_server(folder: str, create: bool, url: str) -> Catalog:
    from imgsearch.catalog.postgresql import CatalogServer

    server = CatalogServer(url)
    engine = server.engine()
    try:
        version = schema.version(engine)
        schema.require_known(version)
        if version is None and not create:
            raise server.missing()
        _make_folder(folder)
        if version != schema.HEAD:
            with server.lock():
                schema.upgrade_server(engine, _insert_library_row)
        return Catalog(folder, engine, server)
    except BaseException:
        engine.dispose()
        raise


def _make_folder(folder: str) -> None:
    try:
        private_folder(folder)
    except OSError as error:
        raise CatalogError(
            f"the library folder {folder} cannot be created: {error.strerror}",
            "Choose another one with --library DIR.",
        ) from error


def _require_upgradable(folder: str, version: str | None) -> None:
    if not os.access(folder, os.W_OK):
        origin = (
            f"was written by an older version of imgsearch (schema {version})"
            if version
            else "was not written completely"
        )
        raise CatalogError(
            f"the library in {folder} {origin}, and it cannot be upgraded to schema {schema.HEAD}"
            " because the folder is read-only",
            "Run any command once with write access to the folder; or copy the folder to a place"
            " that you can write to, and name it with --library DIR.",
        )


def _prepare(folder: str, create: bool) -> None:
    if not create:
        raise missing(folder)
    _make_folder(folder)
    if any(not name.startswith(OWN_PREFIXES) for name in os.listdir(folder)):
        raise CatalogError(
            f"{folder} is not an imgsearch library, and it is not empty",
            "Choose a new or empty folder with --library DIR.",
        )
    _make_file(os.path.join(folder, FILE))


def _make_file(path: str) -> None:
    """An empty catalog with the rights of a library, which SQLite gives to its other files."""
    try:
        open(path, "xb", opener=private_opener).close()
    except FileExistsError:
        return  # another process was faster
    except OSError as error:
        raise CatalogError(
            f"the catalog {path} cannot be created: {error.strerror}",
            "Choose another library folder with --library DIR.",
        ) from error


def _absolute(folder: str) -> str:
    return os.path.abspath(os.path.expanduser(folder))


def _same_place(folder: str, other: str) -> bool:
    return os.path.realpath(_absolute(folder)) == os.path.realpath(other)


def _insert_library_row(connection: Connection) -> None:
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


class Catalog:
    """Files, metadata and vectors of one library. Reads never block and are never blocked."""

    def __init__(self, folder: str, engine: Engine, server: CatalogServer | None = None) -> None:
        self.folder = folder
        self._engine = engine
        self._server = server
        self._local = threading.local()
        self._damaged: set[int] = set()
        self._damage = damage_errors(engine)
        self._path = "" if server else os.path.join(folder, FILE)
        self._file = file_identity(self._path)
        self._stamp = _immutable_stamp(self._path)
        with self._read() as connection:
            identity = connection.execute(select(library.c.uuid)).scalar()
        if identity is None:
            raise incomplete(server.address if server else folder)
        self.uuid: str = identity

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @property
    def replaced(self) -> bool:
        """True if the open file has been replaced or removed, for example by a restored backup."""
        return file_identity(self._path) != self._file

    @contextmanager
    def writer(self, wait_s: float = 0.0) -> Iterator[CatalogWriter]:
        """The writer of this library; there is only one at a time.

        Raises
        ------
        LibraryBusy
            Another process still holds the writer lock after `wait_s` seconds.
        """
        lock = self._server.writer_lock if self._server else partial(writer_lock, self.folder)
        with lock(wait_s) as require_held:
            yield CatalogWriter(self._engine.execution_options(require_held=require_held))

    def copy_to(self, target: str, on_table: transfer.OnTable) -> int:
        """Copy all of it into a database, or into a folder; see `transfer.copy`."""
        if not self._server and "://" not in target and _same_place(target, self.folder):
            raise transfer.copy_of_itself()
        with self.writer(), self._read() as connection, self._target(target) as engine:
            return transfer.copy(connection, engine, on_table)

    def _target(self, target: str) -> AbstractContextManager[Engine]:
        if "://" in target:
            return transfer.server_target(target, self._server)
        folder = _absolute(target)
        if not os.path.exists(os.path.join(folder, FILE)):
            if folder == os.path.abspath(self.folder):
                _make_file(os.path.join(folder, FILE))
            else:
                _prepare(folder, create=True)
        return transfer.file_target(folder)

    @contextmanager
    def rehearsal(self) -> Iterator[tuple[Catalog, Rehearsal]]:
        """A copy without vectors, to rehearse a run in; removed afterwards."""
        with (
            tempfile.TemporaryDirectory(prefix="imgsearch-") as folder,
            closing(open_catalog(folder, create=True)) as copy,
        ):
            rehearsal = Rehearsal(folder)
            with self._read() as connection:
                rehearsal.copy(driver(connection))
            yield copy, rehearsal

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A context in which all reads of this thread see the same state."""
        with self._transaction():
            yield

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._transaction() as connection, stored_values():
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        snapshot = getattr(self._local, "connection", None)
        if snapshot is not None:
            # The error may be caught inside the snapshot.
            with self._unchanged(), catalog_errors(self._engine):
                yield snapshot
            return
        self._follow()
        with self._unchanged(), reading(self._engine) as connection:
            self._local.connection, self._local.cache = connection, {}
            try:
                yield connection
            finally:
                self._local.connection = None

    def _follow(self) -> None:
        """Open the file again if it was read as immutable and has been written to."""
        if self._stamp is not None and self._stamp != file_stamp(self._path):
            self._engine.dispose()
            self._stamp = _immutable_stamp(self._path)

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Raise if an immutable file changed while it was read: the values may be torn."""
        stamp = self._stamp
        try:
            yield
        except CatalogError:
            self._require_unchanged(stamp)
            raise
        self._require_unchanged(stamp)

    def _require_unchanged(self, stamp: tuple[int, ...] | None) -> None:
        if stamp is not None and stamp != file_stamp(self._path):
            raise CatalogError(
                "another process has written to the library while it was read", "Try again."
            )

    def _once(self, key: object, read: Callable[[Connection], Any]) -> Any:
        """The result of `read`, cached for the rest of the snapshot, in which it cannot change."""
        with self._read() as connection:
            cache = self._local.cache
            if key not in cache:
                cache[key] = read(connection)
            return cache[key]

    def head(self) -> tuple[Revision, str]:
        """The latest revision and its token; (0, "") before the first commit."""
        head: tuple[Revision, str] = self._once("head", _head)
        return head

    def replayable(self, revision: Revision, token: str) -> bool:
        """True if `changes(since=revision)` leads from that state to the current one.

        False for a state of another history, for a future one, and for one so old that later
        tombstones have been purged.
        """
        if revision == 0:
            return True
        with self._read() as connection:
            floor = connection.execute(select(library.c.purge_floor)).scalar_one()
            known_token = connection.execute(
                select(commits.c.token).where(commits.c.revision == revision)
            ).scalar()
        return bool(revision >= floor and known_token == token)

    def changes(self, space: EmbeddingSpace, since: Revision) -> Iterator[ChangeBatch]:
        """All changes to the vectors of `space` after `since`, in batches of bounded size.

        Only the last batch has the token, and only its revision is a state of the catalog.
        """
        with self._read() as connection:
            head, token = self.head()
            space_id = _space_id(connection, space)
            removals = _removed(connection, space_id, since)
            position = since
            while position < head:
                upserts = _upserts(connection, space_id, position)
                last = len(upserts) < CHANGES_PER_BATCH
                ids, vectors = _sound_vectors(upserts, space.dimension)
                yield ChangeBatch(
                    since=position,
                    revision=head if last else upserts[-1].revision,
                    token=token if last else "",
                    removals=removals,
                    ids=ids,
                    vectors=vectors,
                )
                position = head if last else upserts[-1].revision
                removals = np.empty(0, np.int64)

    def unchanged(
        self, space: EmbeddingSpace, root: str, scope: str, on_page: Callable[[int], None]
    ) -> UnchangedFiles:
        """A filter for a scan: which files are present, unchanged and have a vector.

        Parameters
        ----------
        on_page : callable
            Called from time to time with the number of such files so far; may raise to end the
            scan.
        """
        with self._read() as connection:
            ids = _root_id(connection, root), _space_id(connection, space)

        def page(after: str) -> list[Any]:
            with self._read() as connection:
                return unchanged_files.page(connection, *ids, after)

        return UnchangedFiles(page, unchanged_files.beginning(scope), on_page)

    def compare(
        self,
        space: EmbeddingSpace,
        decoder: str,
        files: Sequence[ImageFile | Skipped],
        pending: Set[str] = frozenset(),
    ) -> Comparison:
        """The work to do for files of one root, as its scan returned them.

        Parameters
        ----------
        decoder : str
            The versions of the decoders; files that other versions failed on are tried again.
        pending : set of str
            Paths of files to verify though they seem unchanged.
        """
        if not files:
            return Comparison()
        first = files[0]
        root = first.root if isinstance(first, ImageFile) else first.file.root
        with self._read() as connection:
            root_id, space_id = _root_id(connection, root), _space_id(connection, space)
            return comparison.compare(connection, root_id, space_id, decoder, files, pending)

    def outdated(self, files: Sequence[ImageFile]) -> set[ImageFile]:
        """The files among these whose metadata an older reader has read."""
        with self._read() as connection:
            places = comparison.outdated(connection, files)
        return {file for file in files if (file.root, file.path) in places}

    def get(self, ids: Sequence[int]) -> dict[int, ImageRecord]:
        """The present images among `ids`, by id.

        One whose row is damaged is left out; `damaged` counts them.
        """
        records: dict[int, ImageRecord] = {}
        with self._read() as connection:
            for chunk in rows.chunks([int(i) for i in ids]):
                try:
                    records |= _records(connection, chunk)
                except self._damage:
                    records |= self._sound_records(connection, chunk)
        return records

    def _sound_records(self, connection: Connection, ids: Sequence[int]) -> dict[int, ImageRecord]:
        """Row by row, so that a damaged one costs no other."""
        records: dict[int, ImageRecord] = {}
        for image_id in ids:
            try:
                records |= _records(connection, [image_id])
            except self._damage:
                self._damaged.add(image_id)
        return records

    @property
    def damaged(self) -> int:
        """Number of images so far that could not be read, because a value is damaged."""
        return len(self._damaged)

    def paths(self, ids: Sequence[int]) -> dict[int, str]:
        """Absolute paths of the present images among `ids`, by id."""
        return {image_id: each.absolute for image_id, each in self.locations(ids).items()}

    def locations(self, ids: Sequence[int]) -> dict[int, Location]:
        """Locations of the present images among `ids`, by id.

        Reads nothing else of them, so it takes a small part of the time of `get`.
        """
        with self._read() as connection:
            return overview.locations(driver(connection), ids)

    def with_words(
        self, query: str, limit: int, allowed: Ids | None = None
    ) -> list[tuple[int, float]]:
        """Present images whose names, captions or texts have all words of `query`, best first.

        Parameters
        ----------
        limit : int
            Maximum number of images.
        allowed : ndarray of shape (n,), int64, sorted, or None
            Ids to search among; None for all.

        Returns
        -------
        list of (id, BM25)
        """
        with self._read() as connection:
            return full_text.ranked(connection, query, limit, allowed)

    def shots(self, ids: Sequence[int]) -> shots_of_images.Shots:
        """The shots of images with several files, such as RAW and JPEG: id to all ids."""
        with self._read() as connection:
            return shots_of_images.shots(connection, ids)

    def word_places(self, query: str, ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Places of the query's words in images from `with_words`: "name", "text" or both."""
        with self._read() as connection:
            return {
                image_id: places
                for chunk in rows.chunks([int(each) for each in ids])
                for image_id, places in full_text.places(connection, query, chunk).items()
            }

    def unread(
        self,
        root: str,
        scope: str,
        engine: str,
        after: str,
        limit: int,
        which: ocr_texts.Unread = "any",
    ) -> list[ImageRecord]:
        """Present images whose text is unread, one per content hash greater than `after`."""
        with self._read() as connection:
            return ocr_texts.unread(connection, root, scope, engine, after, limit, which)

    def unread_count(
        self, root: str, scope: str, engine: str, which: ocr_texts.Unread = "any"
    ) -> int:
        """The number of content hashes whose text has not been read yet."""
        with self._read() as connection:
            return ocr_texts.unread_count(connection, root, scope, engine, which)

    def unmeasured(self, root: str, scope: str, after: str, limit: int) -> list[ImageRecord]:
        """Present images without measures, one per content hash greater than `after`."""
        with self._read() as connection:
            return image_measures.unmeasured(connection, root, scope, after, limit)

    def unmeasured_count(self, places: Sequence[tuple[str, str]] | None = None) -> int:
        """The number of present images without measures.

        Below `places`, each a root and a folder below it ("" for all), images with equal bytes
        count once.
        """
        with self._read() as connection:
            if places is None:
                return image_measures.waiting(connection)
            return image_measures.unmeasured_count(connection, places)

    def unnamed_places(self, version: int, limit: int) -> list[tuple[int, ImageMetadata]]:
        """Ids and metadata of images whose position this version of the gazetteer has not named."""
        with self._read() as connection:
            return place_names.unnamed(connection, version, limit)

    def known_places(self, keys: Sequence[str]) -> set[str]:
        """The given folded texts that are the city, state or country of an image."""
        with self._read() as connection:
            return place_names.known(connection, keys)

    def ocr_mode(self) -> str:
        """Which images the indexer reads: "auto", "on", "off", or "" before the first choice."""
        with self._read() as connection:
            return ocr_texts.mode(connection)

    def texts(self) -> TextCounts:
        """Counts of present images whose text was read, and the engines that read them."""
        with self._read() as connection:
            return overview.texts(driver(connection))

    def unreadable_texts(self) -> list[Skipped]:
        """The present images whose text could not be read, by path."""
        with self._read() as connection:
            return overview.unreadable_texts(driver(connection))

    def all_ids(self) -> Ids:
        """Ids of all present images, sorted, shape (n,), int64."""
        return self.select(None)

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

    def equal_bytes(self) -> tuple[Ids, Ids]:
        """The present images that share their bytes with others, and a number for each content.

        Returns
        -------
        ids, numbers : ndarrays of shape (n,), int64
            Sorted by id.
        """
        present = images.c.status == "present"
        shared = (
            select(images.c.content_hash)
            .where(present)
            .group_by(images.c.content_hash)
            .having(func.count() > 1)
        )
        query = select(images.c.id, images.c.content_hash).where(
            present, images.c.content_hash.in_(shared)
        )
        with self._read() as connection:
            numbers: dict[str, int] = {}
            pairs = [
                (row.id, numbers.setdefault(row.content_hash, len(numbers)))
                for row in connection.execute(query.order_by(images.c.id))
            ]
        ids, marks = np.array(pairs, np.int64).reshape(-1, 2).T
        return ids, marks

    def select(self, where: Filter | None) -> Ids:
        """Ids of the present images that pass a filter, sorted, shape (n,), int64; None for all.

        Raises
        ------
        QueryError
            The filter names a path outside the folders of the library.
        """
        with self._read() as connection:
            return filter_sql.image_ids(connection, where)

    def newest(self, where: Filter | None, limit: int) -> list[ImageRecord]:
        """Present images that pass a filter, newest first; those without a date come last."""
        with self.snapshot():
            ids = self.newest_ids(where, limit)
            records = self.get(ids)
        return [records[i] for i in ids]

    def newest_ids(self, where: Filter | None, limit: int, sort: str = "-date") -> list[int]:
        """The ids of the images that `newest` returns; `sort` is one of `filter_sql.ORDERS`."""
        with self._read() as connection:
            return filter_sql.newest(connection, where, limit, sort)

    def ordered(self, ids: Sequence[int], sort: str) -> list[int]:
        """The ids that the catalog has, in one of `filter_sql.ORDERS`."""
        with self._read() as connection:
            return filter_sql.ordered(connection, ids, sort)

    def facets(self, where: Filter | None) -> Facets:
        """Counts of the present images that pass a filter, by month, folder, camera and so on."""
        with self._read() as connection:
            return facets.facets(connection, where)

    def place_counts(self, field: str, where: Filter | None, limit: int) -> list[PlaceCount]:
        """The values of one of `fields.PLACE_FIELDS` of the present images that pass a filter, the
        most frequent first."""
        with self._read() as connection:
            return facets.place_counts(connection, field, where, limit)

    def position_cells(
        self, where: Filter | None, columns: int, bands: int, limit: int
    ) -> list[PositionCell]:
        """The present images that pass a filter by cell of their position, at most `limit` cells:
        `columns` from -180 to 180 degrees of longitude, `bands` from -90 to 90 of latitude."""
        with self._read() as connection:
            return facets.position_cells(connection, where, columns, bands, limit)

    def has_positions(self) -> bool:
        """True if a present image has a position; a seek in an index."""
        with self._read() as connection:
            return facets.has_positions(connection)

    def known_values(self) -> list[KnownValue]:
        """Cameras, people, keywords and places of the images, each kind the most frequent first."""
        with self._read() as connection:
            return known_values.known_values(driver(connection))

    def folders(self) -> list[str]:
        """The folders with images, and those around them up to the roots, absolute and sorted."""
        with self._read() as connection:
            return known_values.folders(driver(connection))

    def names(self, beginning: str, limit: int) -> list[str]:
        """Names of present image files that begin with a text, whatever its case and accents."""
        with self._read() as connection:
            return known_values.names(driver(connection), beginning, limit)

    def count(self, where: Filter | None = None) -> int:
        """The number of present images that pass a filter."""
        with self._read() as connection:
            return filter_sql.count(connection, where)

    def locate(self, path: str) -> ImageRecord | None:
        """The present image at this absolute path, or None."""
        with self._read() as connection:
            for root in connection.execute(select(roots.c.id, roots.c.path)):
                below = os.path.relpath(path, root.path).replace(os.sep, "/")
                if below.startswith("../"):
                    continue
                here = and_(images.c.root_id == root.id, one_of(connection, images.c.path, [below]))
                query = _with_root().where(here, images.c.status == "present")
                row = connection.execute(query).first()
                if row is not None:
                    return rows.image_record(row)
        return None

    def vector(self, space: EmbeddingSpace, image_id: int) -> Embeddings | None:
        """The vector of a present image, shape (dimension,), float32, unit norm, or None."""
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

    def stored_vectors(self, space: EmbeddingSpace, ids: Ids) -> tuple[Ids, NDArray[np.float16]]:
        """Vectors as the catalog holds them.

        Parameters
        ----------
        ids : ndarray of shape (n,), int64, sorted

        Returns
        -------
        ids : ndarray of shape (m,), int64, sorted
            The ids with a vector that is not damaged.
        vectors : ndarray of shape (m, dimension), float16
            Of norm 1, up to rounding (0.0005).
        """
        query = select(embeddings.c.image_id, embeddings.c.vector).order_by(embeddings.c.image_id)
        found: list[Any] = []
        with self._read() as connection:
            query = query.where(embeddings.c.space_id == _space_id(connection, space))
            for chunk in rows.chunks(ids.tolist()):
                found += connection.execute(query.where(embeddings.c.image_id.in_(chunk)))
        return _sound_rows(found, space.dimension)

    def foreign_images(self, root: str, after: int, limit: int) -> ForeignImages:
        """Present images of a root, with ids above `after`, for another library to take over."""
        with self._read() as connection:
            return takeover.foreign_images(connection, root, after, limit)

    def references(self, space: EmbeddingSpace) -> dict[str, Reference]:
        """The scores of unrelated queries, by modality; empty if not measured yet."""
        references: dict[str, Reference] = self._once(
            space, lambda connection: reference_scores.scores(connection, space)
        )
        return dict(references)

    def reference_texts(self, space: EmbeddingSpace, digest: str) -> TextVectors | None:
        """The reference texts with this hash; None if there are none, or they lack priors."""
        with self._read() as connection:
            return reference_scores.texts(connection, space, digest)

    def clustering(self, space: EmbeddingSpace) -> Clustering | None:
        """The last clustering of a space; None if there is none."""
        with self._read() as connection:
            return clusters.clustering(connection, _space_id(connection, space))

    def clusters(self, space: EmbeddingSpace) -> list[Cluster]:
        """The clusters of a space, largest first."""
        with self._read() as connection:
            return clusters.clusters(connection, _space_id(connection, space), space.dimension)

    def cluster_members(self, space: EmbeddingSpace) -> dict[int, Ids]:
        """Present images of each cluster that has images of its own; 0 for outliers."""
        with self._read() as connection:
            return clusters.members(connection, _space_id(connection, space))

    def cluster_facts(self, ids: Ids) -> ClusterFacts:
        """Range of years, and the place and camera of most, of images of a cluster."""
        with self._read() as connection:
            return clusters.facts(connection, ids)

    def cluster_words(self, space: EmbeddingSpace, digest: str) -> Embeddings | None:
        """The vectors of the words with this hash, shape (words, dimension), or None."""
        with self._read() as connection:
            space_id = _space_id(connection, space)
            return clusters.words(connection, space_id, digest, space.dimension)

    def unclustered(self) -> int:
        """The number of present images that are newer than the clusters of their space."""
        with self._read() as connection:
            return clusters.unclustered(connection)

    # Time

    def months(self) -> list[Period]:
        """The months with present images, newest first, at most `timeline.MAX_PERIODS`; None is the
        month of images of which only the year is known."""
        with self._read() as connection:
            return timeline.months(driver(connection))

    def month_counts(self, where: Filter | None) -> dict[tuple[int, int], int]:
        """Counts of the images that pass a filter by (year, month); month 0 has those of which only
        the year is known. Without a filter, each month is a seek in an index."""
        if where is None:
            periods = self.months()
            if len(periods) < timeline.MAX_PERIODS:
                return {(each.year, each.month or 0): each.count for each in periods}
        with self._read() as connection:
            return facets.month_counts(connection, where)

    def undated_count(self) -> int:
        """The number of present images without a date; a seek in an index."""
        with self._read() as connection:
            return timeline.undated(driver(connection))

    def on_this_day(self, day: str, years: Sequence[int], each_year: int, limit: int) -> list[int]:
        """Ids of present images taken on a day ("11-29") of the given years, in their order."""
        with self._read() as connection:
            return timeline.on_this_day(driver(connection), day, years, each_year, limit)

    def latest_added(self, limit: int) -> list[int]:
        """Ids of the present images that came into the library last, the last one first."""
        with self._read() as connection:
            return timeline.latest_added(driver(connection), limit)

    # Saved searches

    def saved_searches(self) -> list[SavedRecord]:
        """The saved searches, by name."""
        with self._read() as connection:
            return saved_searches.every(driver(connection))

    def saved_search(self, key: str) -> SavedRecord | None:
        """The saved search of that folded name."""
        with self._read() as connection:
            return saved_searches.named(driver(connection), key)

    def present(self, ids: Sequence[int]) -> set[int]:
        """The ids among these that belong to present images."""
        with self._read() as connection:
            return saved_searches.present(driver(connection), ids)

    @contextmanager
    def saving(self) -> Iterator[SavedWriter]:
        """A transaction on the saved searches, all or nothing.

        It does not take the writer lock, so that a search can be saved while pictures are indexed:
        the database lets one transaction wait for another, and this one changes nothing that the
        indexer reads.
        """
        with writing(self._engine) as connection:
            yield SavedWriter(driver(connection))

    # Contents

    def roots(self, counted: bool = True) -> list[RootRecord]:
        """The folders of the library, by path, with the number of present images in each.

        The numbers are 0 if `counted` is false.
        """
        with self._read() as connection:
            return overview.roots(driver(connection), counted)

    def partial(self) -> list[Skipped]:
        """The present images that were indexed in part, by path; `reason` is the note."""
        with self._read() as connection:
            return overview.partial(driver(connection))

    def unused_roots(self) -> set[str]:
        """The roots without a picture, whether present, gone or skipped."""
        with self._read() as connection:
            return overview.unused_roots(driver(connection))

    def skipped(self) -> list[Skipped]:
        """The files that could not be indexed, by path."""
        with self._read() as connection:
            return overview.skipped(driver(connection))

    def known_spaces(self, filled: bool = False) -> list[EmbeddingSpace]:
        """The embedding spaces, oldest first; with `filled`, only those with a present image."""
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
        """The space that is searched if no model is named."""
        query = select(spaces).join(library, library.c.default_space_id == spaces.c.id)
        with self._read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _space(row)

    def spaces(self) -> list[SpaceRecord]:
        """The embedding spaces, oldest first, with the number of present images in each."""
        with self._read() as connection:
            return overview.spaces(driver(connection))

    def last_run(self) -> RunRecord | None:
        """The latest run of the indexer."""
        with self._read() as connection:
            return overview.last_run(driver(connection))

    def summary(self) -> dict[str, Any]:
        """The contents of the library as plain values for JSON; see `overview.summary`."""
        with self._read() as connection:
            return overview.summary(driver(connection), self.folder, self.server)

    @property
    def server(self) -> str:
        """The server that holds the catalog, in words; "" for a file."""
        if self._server is None:
            return ""
        with self._read() as connection:
            raw: Any = connection.connection.driver_connection
            return self._server.described(raw, schema.HEAD)

    def check(self) -> list[str]:
        """The faults of the catalog itself, one sentence each; empty if it is sound."""
        with self._read() as connection:
            return health.faults(connection)


def _immutable_stamp(path: str) -> tuple[int, ...] | None:
    """The stamp of a catalog that is read as immutable, else None."""
    stamp = file_stamp(path)
    return stamp if is_immutable(path) else None


def _head(connection: Connection) -> tuple[Revision, str]:
    revision = connection.execute(select(library.c.revision)).scalar_one()
    token = connection.execute(
        select(commits.c.token).where(commits.c.revision == revision)
    ).scalar()
    return revision, token or ""


def _records(connection: Connection, ids: Sequence[int]) -> dict[int, ImageRecord]:
    # The status is checked here: in the query, it makes SQLite scan an index on it.
    found = connection.execute(_with_root().where(images.c.id.in_(ids)))
    return {row.id: rows.image_record(row) for row in found if row.status == "present"}


def _sound_vectors(upserts: Sequence[Any], dimension: int) -> tuple[Ids, Embeddings]:
    ids, stored = _sound_rows(upserts, dimension)
    return ids, normalize(stored)


def _sound_rows(found: Sequence[Any], dimension: int) -> tuple[Ids, NDArray[np.float16]]:
    """Ids and vectors, without those of a wrong length and those with values that are not finite.

    A damaged vector cannot be found; `imgsearch doctor` names it.
    """
    size = rows.STORAGE.itemsize * dimension
    whole = [row for row in found if isinstance(row.vector, bytes) and len(row.vector) == size]
    ids = np.array([row.image_id for row in whole], np.int64)
    blobs = [row.vector for row in whole]
    stored = np.frombuffer(b"".join(blobs), rows.STORAGE).reshape(len(blobs), dimension)
    finite = np.isfinite(stored).all(axis=1)
    return ids[finite], stored[finite]


def _with_root() -> Any:
    """Images with the paths of their roots and their measures."""
    measured = images.c.content_hash == measures.c.content_hash
    query = select(images, roots.c.path.label("root"), *rows.MEASURED.values())
    return query.join_from(images, roots).outerjoin(measures, measured)


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
        .limit(CHANGES_PER_BATCH)
    )
    return connection.execute(query).all()
