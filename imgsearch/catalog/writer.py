"""The catalog: everything that changes it. Each public method is one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    and_,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from imgsearch.catalog import comparison, ledger, rows
from imgsearch.catalog.engine import writing
from imgsearch.catalog.ledger import Revisions
from imgsearch.catalog.tables import (
    commits,
    embeddings,
    images,
    library,
    roots,
    runs,
    skipped,
    spaces,
    tombstones,
)
from imgsearch.records import (
    CommitResult,
    Encoded,
    ImageFile,
    Known,
    Revision,
    RootRecord,
    Skipped,
    Unvisited,
)
from imgsearch.vectors import EmbeddingSpace, Ids


class CatalogWriter:
    """The writing half of a catalog; exists only while the writer lock is held.

    `begin_run` comes first: it says into which space vectors go and which decoders read the
    files.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._root_ids: dict[str, int] = {}
        self._run = 0
        self._space = 0
        self._decoder = ""

    # Runs

    def begin_run(self, space: EmbeddingSpace, decoder: str, precision: str) -> None:
        """Note that a run begins; the library's first space becomes its default.

        Parameters
        ----------
        decoder : str
            The versions of the decoders: files that others failed on are tried again.
        precision : str
            Compute precision of the encoder, for the record only.
        """
        with writing(self._engine) as connection:
            connection.execute(
                upsert(spaces)
                .values(
                    key=space.key,
                    model=space.model,
                    revision=space.revision,
                    preprocessing=space.preprocessing,
                    dimension=space.dimension,
                    created_at=datetime.now(),
                )
                .on_conflict_do_nothing()
            )
            self._space = connection.execute(
                select(spaces.c.id).where(spaces.c.key == space.key)
            ).scalar_one()
            connection.execute(
                update(library)
                .where(library.c.default_space_id.is_(None))
                .values(default_space_id=self._space)
            )
            self._run = connection.execute(
                insert(runs)
                .values(
                    space_id=self._space,
                    precision=precision,
                    started_at=datetime.now(),
                    outcome="running",
                    counts={},
                )
                .returning(runs.c.id)
            ).scalar_one()
        self._decoder = decoder

    def end_run(self, outcome: str, counts: dict[str, float]) -> None:
        """Note how the run ended."""
        with writing(self._engine) as connection:
            connection.execute(
                update(runs)
                .where(runs.c.id == self._run)
                .values(finished_at=datetime.now(), outcome=outcome, counts=counts)
            )

    def set_default_space(self, space: EmbeddingSpace) -> None:
        """Make `space` the one that is searched when no model is named."""
        chosen = select(spaces.c.id).where(spaces.c.key == space.key).scalar_subquery()
        with writing(self._engine) as connection:
            connection.execute(update(library).values(default_space_id=chosen))

    # Roots

    def put_root(self, root: RootRecord) -> None:
        """Add a root, or change what it remembers; roots inside a new one become part of it."""
        values = {
            "exclude": list(root.exclude),
            "hidden": root.hidden,
            "mounts": list(root.mounts),
            "scanned_at": root.scanned_at,
        }
        with writing(self._engine) as connection:
            connection.execute(
                upsert(roots)
                .values(path=root.path, added_at=datetime.now(), **values)
                .on_conflict_do_update(index_elements=["path"], set_=values)
            )
            self._absorb(connection, root.path)
        self._root_ids.clear()

    def _absorb(self, connection: Connection, path: str) -> None:
        target = self._root_id(connection, path)
        prefix = path if path.endswith("/") else path + "/"
        for inner in connection.execute(select(roots.c.id, roots.c.path)).all():
            if not inner.path.startswith(prefix):
                continue
            below = inner.path[len(prefix) :] + "/"
            for table in (images, skipped):
                connection.execute(
                    update(table)
                    .where(table.c.root_id == inner.id)
                    .values(root_id=target, path=literal(below, table.c.path.type) + table.c.path)
                )
            connection.execute(delete(roots).where(roots.c.id == inner.id))

    def forget_root(self, path: str) -> int:
        """Drop a root with all that is known of its pictures; returns how many were present."""
        with self._changing() as (connection, revisions):
            root_id = self._root_id(connection, path)
            mine = images.c.root_id == root_id
            ids = connection.execute(select(images.c.id).where(mine)).scalars().all()
            present = connection.execute(
                select(func.count()).where(mine, images.c.status == "present")
            ).scalar_one()
            ledger.bury(connection, revisions, ids)
            connection.execute(delete(images).where(mine))
            connection.execute(delete(skipped).where(skipped.c.root_id == root_id))
            connection.execute(delete(roots).where(roots.c.id == root_id))
        self._root_ids.clear()
        return int(present)

    def _root_id(self, connection: Connection, path: str) -> int:
        if path not in self._root_ids:
            self._root_ids[path] = connection.execute(
                select(roots.c.id).where(roots.c.path == path)
            ).scalar_one()
        return self._root_ids[path]

    # Files

    def commit(self, items: Sequence[Encoded | Known | Skipped]) -> CommitResult:
        """Write the results for some files, each at most once, in one transaction."""
        result = CommitResult()
        with self._changing() as (connection, revisions):
            for item in items:
                if isinstance(item, Encoded):
                    self._commit_encoded(connection, revisions, item, result)
                elif isinstance(item, Known):
                    self._commit_known(connection, revisions, item, result)
                else:
                    self._commit_skipped(connection, revisions, item, result)
        return result

    def retire(
        self,
        root: str,
        scope: str,
        image_ids: Ids,
        skipped_ids: Ids,
        unvisited: Sequence[Unvisited],
    ) -> int:
        """Declare absent what a scan of `scope` did not see, except below `unvisited` folders.

        Parameters
        ----------
        image_ids, skipped_ids : ndarrays of shape (n,), int64
            The rows that were seen.

        Returns
        -------
        int
            Pictures that were present and are now declared absent. Their vectors are kept
            until `purge`, in case they come back.
        """
        with self._changing() as (connection, revisions):
            root_id = self._root_id(connection, root)
            missing = comparison.missing(connection, images, root_id, scope, image_ids, unvisited)
            for chunk in rows.chunks(missing):
                ledger.bury(connection, revisions, chunk)
                connection.execute(
                    update(images)
                    .where(images.c.id.in_(chunk))
                    .values(status="gone", gone_at=datetime.now())
                )
            lost = comparison.missing(connection, skipped, root_id, scope, skipped_ids, unvisited)
            for chunk in rows.chunks(lost):
                connection.execute(
                    delete(skipped).where(skipped.c.id.in_(chunk), skipped.c.run_id != self._run)
                )
        return len(missing)

    def purge(self, flushed: Revision, keep: timedelta) -> None:
        """Drop what nobody needs: pictures absent for longer than `keep`, old tombstones.

        Parameters
        ----------
        flushed : int
            Tombstones up to this revision are in the index on disk; an index that is older will
            be rebuilt. 0 keeps all.
        """
        old = datetime.now() - keep
        with writing(self._engine) as connection:
            connection.execute(
                delete(images).where(images.c.status == "gone", images.c.gone_at < old)
            )
            connection.execute(delete(tombstones).where(tombstones.c.revision <= flushed))
            connection.execute(delete(commits).where(commits.c.revision < flushed))
            connection.execute(
                update(library).values(purge_floor=func.max(library.c.purge_floor, flushed))
            )

    # One file

    def _commit_encoded(
        self, connection: Connection, revisions: Revisions, item: Encoded, result: CommitResult
    ) -> None:
        row = self._image_row(connection, item.file)
        if row is None:
            image_id = self._insert_image(connection, item, rows.metadata_values(item.metadata))
            result.added += 1
        else:
            image_id = row.id
            if row.content_hash != item.content_hash:
                ledger.drop_vectors(connection, revisions, image_id)
            self._update_image(connection, image_id, item, rows.metadata_values(item.metadata))
            if row.status != "present":
                ledger.revive(connection, revisions, image_id)
            result.added += row.status == "gone"
            result.updated += row.status != "gone"
        ledger.put_vector(connection, revisions, self._space, image_id, rows.to_blob(item.vector))
        self._forget_skipped(connection, item.file)

    def _commit_known(
        self, connection: Connection, revisions: Revisions, item: Known, result: CommitResult
    ) -> None:
        row = self._image_row(connection, item.file)
        if row is not None and row.content_hash == item.content_hash:
            self._update_image(connection, row.id, item, {})
            if row.status == "present":
                result.unchanged += 1
            else:
                ledger.revive(connection, revisions, row.id)
                result.added += 1
            image_id = row.id
        else:
            donor = _donor(connection, item.content_hash, self._space)
            if donor is None:
                result.unresolved.append(item.file)
                return
            image_id = self._take_over(connection, revisions, item, row, donor, result)
        self._forget_skipped(connection, item.file)
        if not _has_vector(connection, self._space, image_id):
            result.unresolved.append(item.file)

    def _take_over(
        self,
        connection: Connection,
        revisions: Revisions,
        item: Known,
        row: Row[Any] | None,
        donor: Row[Any],
        result: CommitResult,
    ) -> int:
        """A new name for a picture that is gone from its old one, or a copy of one that is not."""
        if row is None and donor.status == "gone":
            moved = {
                "root_id": self._root_id(connection, item.file.root),
                "path": item.file.path,
            }
            self._update_image(connection, donor.id, item, moved)
            ledger.revive(connection, revisions, donor.id)
            result.moved += 1
            return int(donor.id)
        metadata = {name: getattr(donor, name) for name in rows.METADATA_COLUMNS}
        if row is None:
            image_id = self._insert_image(connection, item, metadata)
            result.added += 1
        else:
            image_id = row.id
            ledger.drop_vectors(connection, revisions, image_id)
            self._update_image(connection, image_id, item, metadata)
            result.updated += 1
        mine = select(embeddings.c.space_id, embeddings.c.vector).where(
            embeddings.c.image_id == donor.id
        )
        for space_id, vector in connection.execute(mine).all():
            ledger.put_vector(connection, revisions, space_id, image_id, vector)
        return image_id

    def _commit_skipped(
        self, connection: Connection, revisions: Revisions, item: Skipped, result: CommitResult
    ) -> None:
        file = item.file
        root_id = self._root_id(connection, file.root)
        values = {
            "size": file.size,
            "mtime_ns": file.mtime_ns,
            "reason": item.reason,
            "transient": item.transient,
            "decoder": self._decoder,
            "run_id": self._run,
        }
        connection.execute(
            upsert(skipped)
            .values(root_id=root_id, path=file.path, **values)
            .on_conflict_do_update(index_elements=["root_id", "path"], set_=values)
        )
        result.skipped += 1
        row = self._image_row(connection, file)
        changed = row is not None and (row.size, row.mtime_ns) != (file.size, file.mtime_ns)
        if row is not None and row.status == "present" and changed and not item.transient:
            # The picture that the vector came from is no longer in this file.
            ledger.bury(connection, revisions, [row.id])
            connection.execute(
                update(images).where(images.c.id == row.id).values(status="unreadable")
            )

    def _image_row(self, connection: Connection, file: ImageFile) -> Row[Any] | None:
        root_id = self._root_id(connection, file.root)
        query = select(images).where(images.c.root_id == root_id, images.c.path == file.path)
        return connection.execute(query).first()

    def _insert_image(
        self, connection: Connection, item: Encoded | Known, metadata: dict[str, Any]
    ) -> int:
        values = {
            "root_id": self._root_id(connection, item.file.root),
            "path": item.file.path,
            "added_at": datetime.now(),
        }
        inserted = connection.execute(
            insert(images).values(**values, **_state(item), **metadata).returning(images.c.id)
        )
        return int(inserted.scalar_one())

    def _update_image(
        self, connection: Connection, image_id: int, item: Encoded | Known, more: dict[str, Any]
    ) -> None:
        connection.execute(
            update(images).where(images.c.id == image_id).values(**_state(item), **more)
        )

    def _forget_skipped(self, connection: Connection, file: ImageFile) -> None:
        root_id = self._root_id(connection, file.root)
        connection.execute(
            delete(skipped).where(skipped.c.root_id == root_id, skipped.c.path == file.path)
        )

    @contextmanager
    def _changing(self) -> Iterator[tuple[Connection, Revisions]]:
        """A transaction that may change vectors: the revision counter moves with it."""
        with writing(self._engine) as connection:
            revisions = Revisions(connection.execute(select(library.c.revision)).scalar_one())
            yield connection, revisions
            if revisions.used:
                connection.execute(update(library).values(revision=revisions.latest))
                connection.execute(
                    insert(commits).values(revision=revisions.latest, token=secrets.token_hex(8))
                )


def _state(item: Encoded | Known) -> dict[str, Any]:
    return {
        "size": item.file.size,
        "mtime_ns": item.file.mtime_ns,
        "content_hash": item.content_hash,
        "status": "present",
        "gone_at": None,
    }


def _donor(connection: Connection, content_hash: str, space_id: int) -> Row[Any] | None:
    """A picture with these bytes: one that is gone rather than one that is there, and one with
    a vector in this space rather than one without."""
    same = select(images).where(images.c.content_hash == content_hash).limit(1)
    has_vector = (
        select(embeddings.c.id)
        .where(embeddings.c.image_id == images.c.id, embeddings.c.space_id == space_id)
        .exists()
    )
    gone = images.c.status == "gone"
    # One small query after the other: a sort would look at every copy of the picture.
    for wanted in (and_(gone, has_vector), gone, has_vector, true()):
        row = connection.execute(same.where(wanted)).first()
        if row is not None:
            return row
    return None


def _has_vector(connection: Connection, space_id: int, image_id: int) -> bool:
    query = select(embeddings.c.id).where(
        embeddings.c.image_id == image_id, embeddings.c.space_id == space_id
    )
    return connection.execute(query).first() is not None
