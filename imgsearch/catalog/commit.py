"""Writes a batch of files: new, changed, moved, copied, touched, returned or broken.

The rows under the same paths are read in one query, and new rows are written in one. All other
statements are constants: SQLAlchemy takes several times longer to build one than SQLite takes to
run it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, insert, select, text, true, update

from imgsearch.catalog import image_measures, rows
from imgsearch.catalog.comparison import agree
from imgsearch.catalog.dialects import insert_rows, on_server, one_of
from imgsearch.catalog.ledger import Ledger
from imgsearch.catalog.tables import embeddings, images, skipped
from imgsearch.records import (
    FILE_NAME,
    CommitResult,
    Encoded,
    ImageFile,
    ImageMetadata,
    Known,
    Skipped,
)

_LOOKUP_COLUMNS = (
    images.c.id,
    images.c.root_id,
    images.c.path,
    images.c.size,
    images.c.mtime_ns,
    images.c.ctime_ns,
    images.c.inode,
    images.c.sidecar_stamp,
    images.c.content_hash,
    images.c.status,
    images.c.gone_at,
)
_STATE_COLUMNS = ("size", "mtime_ns", "ctime_ns", "inode", "content_hash", "status", "gone_at")
_HIGHEST_ID = text(
    "SELECT max((SELECT coalesce(max(id), 0) FROM images),"
    " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'images'), 0))"
)
_HIGHEST_ID_ON_SERVER = text(
    "SELECT greatest((SELECT max(id) FROM images),"
    " (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM images_id_seq))"
)
_SKIPPED_COLUMNS = ("size", "mtime_ns", "ctime_ns", "inode", "reason", "transient", "decoder",
                    "run_id")  # fmt: skip
_INSERT_SKIPPED = insert(skipped)
_UPDATE_SKIPPED = (
    update(skipped)
    .where(skipped.c.id == bindparam("skip_id"))
    .values({name: bindparam(name, type_=skipped.c[name].type) for name in _SKIPPED_COLUMNS})
)
_DELETE_SKIPPED = delete(skipped).where(skipped.c.id == bindparam("skip_id"))
_VECTORS_OF = select(embeddings.c.space_id, embeddings.c.vector).where(
    embeddings.c.image_id == bindparam("image_id")
)


def _update(*names: str) -> Any:
    """An UPDATE of these columns of the image `image_id`."""
    values = {name: bindparam(name, type_=images.c[name].type) for name in names}
    return update(images).where(images.c.id == bindparam("image_id")).values(**values)


_METADATA_COLUMNS = (*rows.METADATA_COLUMNS, "camera_key", "sidecar_stamp")
"""The stamp is kept with the metadata. It becomes that of the file only when its sidecars are read:
a kill before that leaves a difference, which the next run finds."""
_TOUCH = _update(*_STATE_COLUMNS)
_DATE_COLUMNS = ("taken_at", "taken_precision", "taken_source", "utc_offset_minutes")
_RENAME = _update(*_STATE_COLUMNS, "root_id", "path", "name_key", *_DATE_COLUMNS)
_REREAD = _update(*_STATE_COLUMNS, *_METADATA_COLUMNS)


def _donors() -> list[Any]:
    """Queries for an image with the same bytes, preferring one that is gone and has a vector.

    They run one after another, because a sort would look at every copy of the image.
    """
    same = select(images).where(images.c.content_hash == bindparam("content_hash")).limit(1)
    vector = (
        select(embeddings.c.id)
        .where(embeddings.c.image_id == images.c.id, embeddings.c.space_id == bindparam("space"))
        .exists()
    )
    gone = images.c.status == "gone"
    return [same.where(condition) for condition in (and_(gone, vector), vector, gone, true())]


_DONORS = _donors()


class Commit:
    """The results for a batch of files, written in one transaction.

    Parameters
    ----------
    space, run : int
        Ids of the space that receives the vectors and of the current run.
    since : datetime
        When the run started.
    decoder : str
        The versions of the decoders that read the files.
    """

    def __init__(self, ledger: Ledger, space: int, run: int, since: datetime, decoder: str) -> None:
        self._ledger = ledger
        self._connection = ledger.connection
        self._space = space
        self._run = run
        self._since = since
        self._decoder = decoder
        self._root_ids: dict[str, int] = {}
        self._rows: dict[tuple[int, str], Any] = {}
        self._skips: dict[tuple[int, str], int] = {}
        self._new: list[dict[str, Any]] = []
        self._fresh: set[str] = set()
        self._next_id = 0
        self.result = CommitResult()

    def put(self, items: Sequence[Encoded | Known | Skipped]) -> None:
        """Write the results; each file may occur only once."""
        self._look_up([item.file for item in items])
        for item in items:
            if isinstance(item, Encoded):
                self._put_encoded(item)
            elif isinstance(item, Known):
                self._put_known(item)
            else:
                self._put_skipped(item)
        self._write_new()
        found = (item for item in items if not isinstance(item, Skipped))
        taken = {each.content_hash: each.measures for each in found if each.measures}
        image_measures.put(self._connection, taken)

    def _look_up(self, files: Iterable[ImageFile]) -> None:
        """Load the rows that exist under the paths of these files."""
        by_root: dict[int, list[str]] = {}
        for file in files:
            by_root.setdefault(self._root_id(file.root), []).append(file.path)
        for root_id, paths in by_root.items():
            for chunk in rows.chunks(paths):
                here = select(*_LOOKUP_COLUMNS).where(
                    images.c.root_id == root_id, one_of(self._connection, images.c.path, chunk)
                )
                for row in self._connection.execute(here):
                    self._rows[root_id, row.path] = row
                skips = select(skipped.c.id, skipped.c.path).where(
                    skipped.c.root_id == root_id, one_of(self._connection, skipped.c.path, chunk)
                )
                for skip in self._connection.execute(skips):
                    self._skips[root_id, skip.path] = skip.id

    def _write_new(self) -> None:
        """Write the new images, and then the vectors put since the last write."""
        if self._new:
            insert_rows(self._connection, images, self._new)
            self._new.clear()
            self._fresh.clear()
        self._ledger.write()

    def _put_encoded(self, item: Encoded) -> None:
        row = self._image_row(item.file)
        metadata = _read_now(item.metadata, item.file)
        if row is None:
            image_id = self._insert_image(item, metadata)
            self.result.added += 1
            self._ledger.put_vector(self._space, image_id, rows.to_blob(item.vector), new=True)
        else:
            image_id = row.id
            self._fresh.add(item.content_hash)
            if row.content_hash != item.content_hash:
                self._ledger.drop_vectors(image_id)
            self._update_image(_REREAD, image_id, item, metadata)
            if row.status != "present":
                self._ledger.revive(image_id)
            self.result.added += row.status == "gone"
            self.result.updated += row.status != "gone"
            self._ledger.put_vector(self._space, image_id, rows.to_blob(item.vector))
        self._forget_skipped(item.file)

    def _put_known(self, item: Known) -> None:
        row = self._image_row(item.file)
        if row is not None and row.content_hash == item.content_hash:
            image_id = self._refresh(row, item)
        else:
            donor = self._donor(item.content_hash)
            if donor is None:
                self.result.differed += row is not None and _seems_same(row, item.file)
                self.result.unresolved.append(item.file)
                return
            image_id = self._take_over(item, row, donor)
        self._forget_skipped(item.file)
        if not self._ledger.has_vector(self._space, image_id):
            self.result.unresolved.append(item.file)

    def _refresh(self, row: Any, item: Known) -> int:
        """Update a file that was touched, whose metadata was read again, or that has come back."""
        if item.metadata is not None:
            self._update_image(_REREAD, row.id, item, _read_now(item.metadata, item.file))
        elif any(getattr(row, name) != value for name, value in _state(item).items()):
            self._update_image(_TOUCH, row.id, item, {})
        if item.metadata is None and row.sidecar_stamp != item.file.sidecar_stamp:
            self.result.undescribed.append(item.file)
        if row.status != "present":
            self._ledger.revive(row.id)
            self.result.added += 1
        elif item.metadata is not None:
            self.result.updated += 1
        else:
            self.result.unchanged += 1
        return int(row.id)

    def _take_over(self, item: Known, row: Any, donor: Row[Any]) -> int:
        """Rename an image that is gone from its old path, or copy one that is still there."""
        if item.metadata is None and donor.sidecar_stamp != item.file.sidecar_stamp:
            self.result.undescribed.append(item.file)
        if row is None and donor.status == "gone":
            root_id = self._root_id(item.file.root)
            location = {"root_id": root_id, **rows.path_values(item.file.path)}
            self._update_image(_RENAME, donor.id, item, location | _dates(item, donor))
            if item.metadata is not None:
                self._update_image(_REREAD, donor.id, item, _read_now(item.metadata, item.file))
            self._rows.pop((donor.root_id, donor.path), None)
            self._ledger.revive(donor.id)
            self.result.moved += 1
            self.result.moved_now += donor.gone_at is not None and donor.gone_at >= self._since
            return int(donor.id)
        if item.metadata is None:
            metadata = _copied(donor) | _dates(item, donor)
        else:
            metadata = _read_now(item.metadata, item.file)
        if row is None:
            image_id = self._insert_image(item, metadata)
            self.result.added += 1
        else:
            image_id = row.id
            self._ledger.drop_vectors(image_id)
            self._update_image(_REREAD, image_id, item, metadata)
            self.result.updated += 1
            self.result.differed += _seems_same(row, item.file)
        for space_id, vector in self._connection.execute(_VECTORS_OF, {"image_id": donor.id}).all():
            self._ledger.put_vector(space_id, image_id, vector, new=row is None)
        return image_id

    def _put_skipped(self, item: Skipped) -> None:
        file = item.file
        values = {
            "size": file.size,
            "mtime_ns": file.mtime_ns,
            "ctime_ns": file.ctime_ns,
            "inode": file.inode,
            "reason": item.reason,
            "transient": item.transient,
            "decoder": self._decoder,
            "run_id": self._run,
        }
        root_id = self._root_id(file.root)
        skip_id = self._skips.get((root_id, file.path))
        if skip_id is None:
            place = {"root_id": root_id, "path": file.path}
            self._connection.execute(_INSERT_SKIPPED, {**place, **values})
        else:
            self._connection.execute(_UPDATE_SKIPPED, {"skip_id": skip_id, **values})
        self.result.skipped += 1
        row = self._image_row(file)
        examined = file.state != (0, 0)
        changed = row is not None and _has_changed(row, file)
        # A file that cannot be read for a moment (a network disk, a file being written) keeps its
        # row, like the files of a folder that cannot be listed.
        lost = changed and examined and not item.transient
        if row is not None and row.status == "present" and lost:
            # This file no longer holds the image that the vector came from. The vector is kept in
            # case the image comes back.
            self._ledger.bury([row.id])
            self._connection.execute(
                _update("status"), {"image_id": row.id, "status": "unreadable"}
            )

    def _donor(self, content_hash: str) -> Row[Any] | None:
        """An image with these bytes; see `_donors`."""
        if content_hash in self._fresh:
            self._write_new()
        for query in _DONORS:
            values = {"content_hash": content_hash, "space": self._space}
            row = self._connection.execute(query, values).first()
            if row is not None:
                return row
        return None

    def _root_id(self, path: str) -> int:
        if path not in self._root_ids:
            self._root_ids[path] = rows.root_id(self._connection, path)
        return self._root_ids[path]

    def _image_row(self, file: ImageFile) -> Any:
        """The row under the path of a file, or None."""
        return self._rows.get((self._root_id(file.root), file.path))

    def _insert_image(self, item: Encoded | Known, metadata: dict[str, Any]) -> int:
        image_id = self._new_id()
        self._fresh.add(item.content_hash)
        self._new.append(
            {
                "id": image_id,
                "root_id": self._root_id(item.file.root),
                **rows.path_values(item.file.path),
                "added_at": datetime.now(),
                **_state(item),
                **metadata,
            }
        )
        return image_id

    def _new_id(self) -> int:
        """The id that AUTOINCREMENT would assign: higher than any ever used."""
        if not self._next_id:
            self._next_id = highest_id(self._connection)
        self._next_id += 1
        return self._next_id

    def _update_image(
        self, statement: Any, image_id: int, item: Encoded | Known, more: dict[str, Any]
    ) -> None:
        self._connection.execute(statement, {"image_id": image_id, **_state(item), **more})

    def _forget_skipped(self, file: ImageFile) -> None:
        skip_id = self._skips.get((self._root_id(file.root), file.path))
        if skip_id is not None:
            self._connection.execute(_DELETE_SKIPPED, {"skip_id": skip_id})


def highest_id(connection: Connection) -> int:
    """The highest id that an image ever had; 0 if there was none."""
    query = _HIGHEST_ID_ON_SERVER if on_server(connection) else _HIGHEST_ID
    return int(connection.execute(query).scalar_one())


def _read_now(metadata: ImageMetadata, file: ImageFile) -> dict[str, Any]:
    """The columns of metadata that this version has read from a file and its sidecars."""
    return {**rows.metadata_values(metadata), "sidecar_stamp": file.sidecar_stamp}


def _copied(donor: Row[Any]) -> dict[str, Any]:
    """The columns of metadata of another image with the same bytes."""
    return {**rows.metadata_values(donor), "sidecar_stamp": donor.sidecar_stamp}


def _seems_same(row: Any, file: ImageFile) -> bool:
    return bool((row.size, row.mtime_ns) == file.state)


def _has_changed(row: Any, file: ImageFile) -> bool:
    """True if the file cannot be the one that the row was made from."""
    return not (_seems_same(row, file) and agree(row.ctime_ns, file.ctime_ns))


def _state(item: Encoded | Known) -> dict[str, Any]:
    return {
        "size": item.file.size,
        "mtime_ns": item.file.mtime_ns,
        "ctime_ns": item.file.ctime_ns,
        "inode": item.file.inode,
        "content_hash": item.content_hash,
        "status": "present",
        "gone_at": None,
    }


def _dates(item: Known, donor: Any) -> dict[str, Any]:
    """The date of a file with the bytes of a donor, whose date may come from its own name."""
    if donor.taken_at is not None and donor.taken_source != FILE_NAME:
        return {name: getattr(donor, name) for name in _DATE_COLUMNS}
    source = FILE_NAME if item.named_at else None
    return dict(
        zip(_DATE_COLUMNS, (item.named_at, item.named_precision, source, None), strict=True)
    )
