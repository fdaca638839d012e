"""The ledger of vectors: every upsert and every tombstone takes the next revision."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, insert, select, update

from imgsearch.catalog import rows
from imgsearch.catalog.dialects import upsert
from imgsearch.catalog.engine import writing
from imgsearch.catalog.tables import commits, embeddings, library, tombstones
from imgsearch.records import Revision


@contextmanager
def changing(engine: Engine) -> Iterator[Ledger]:
    """A write transaction that may change vectors and advances the revision counter."""
    with writing(engine) as connection:
        ledger = Ledger(connection)
        yield ledger
        ledger.close()


_PUT = upsert(embeddings).values(
    space_id=bindparam("space_id"),
    image_id=bindparam("image_id"),
    revision=bindparam("revision"),
    vector=bindparam("vector"),
)
_PUT = _PUT.on_conflict_do_update(
    index_elements=["image_id", "space_id"],
    set_={"revision": _PUT.excluded.revision, "vector": _PUT.excluded.vector},
)
_BURY = upsert(tombstones).values(
    space_id=bindparam("space_id"),
    image_id=bindparam("image_id"),
    revision=bindparam("revision"),
)
_BURY = _BURY.on_conflict_do_update(
    index_elements=["space_id", "image_id"], set_={"revision": _BURY.excluded.revision}
)
_DELETE_TOMBSTONE = delete(tombstones).where(
    tombstones.c.image_id == bindparam("image"), tombstones.c.space_id == bindparam("space")
)
_DELETE_TOMBSTONES = delete(tombstones).where(tombstones.c.image_id == bindparam("image"))
_EMBEDDING_IDS = select(embeddings.c.id).where(embeddings.c.image_id == bindparam("image"))
_IN_SPACE = _EMBEDDING_IDS.where(embeddings.c.space_id == bindparam("space"))
_SET_REVISION = (
    update(embeddings)
    .where(embeddings.c.id == bindparam("embedding"))
    .values(revision=bindparam("next"))
)


class Ledger:
    """The changes to vectors within one write transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._start: Revision = connection.execute(select(library.c.revision)).scalar_one()
        self._latest: Revision = self._start
        self._pending: list[dict[str, Any]] = []
        self._pending_keys: set[tuple[int, int]] = set()

    def close(self) -> None:
        """Store the counter, with a random token that identifies this history."""
        self.write()
        if self._latest > self._start:
            self.connection.execute(update(library).values(revision=self._latest))
            self.connection.execute(
                insert(commits).values(revision=self._latest, token=secrets.token_hex(8))
            )

    def _next(self) -> Revision:
        self._latest += 1
        return self._latest

    def put_vector(self, space_id: int, image_id: int, vector: bytes, new: bool = False) -> None:
        """Insert or replace the vector of an image, at the latest when the ledger is closed.

        Parameters
        ----------
        new : bool
            True if the image is new as well: its own row may not be written yet, and it has no
            tombstone.
        """
        key = {"space_id": space_id, "image_id": image_id}
        self._pending.append({**key, "revision": self._next(), "vector": vector})
        self._pending_keys.add((space_id, image_id))
        if not new:
            self.connection.execute(_DELETE_TOMBSTONE, {"image": image_id, "space": space_id})

    def write(self) -> None:
        """Write the pending vectors."""
        if self._pending:
            self.connection.execute(_PUT, self._pending)
            self._pending.clear()
            self._pending_keys.clear()

    def revive(self, image_id: int) -> None:
        """Put the vectors of an image that has come back into every index again."""
        for embedding_id in (
            self.connection.execute(_EMBEDDING_IDS, {"image": image_id}).scalars().all()
        ):
            self.connection.execute(
                _SET_REVISION, {"embedding": embedding_id, "next": self._next()}
            )
        self.connection.execute(_DELETE_TOMBSTONES, {"image": image_id})

    def bury(self, image_ids: Sequence[int], space_id: int | None = None) -> None:
        """Write tombstones for the vectors of these images in one space, or in all; the vectors
        themselves stay."""
        for chunk in rows.chunks(image_ids):
            query = select(embeddings.c.space_id, embeddings.c.image_id).where(
                embeddings.c.image_id.in_(chunk)
            )
            if space_id is not None:
                query = query.where(embeddings.c.space_id == space_id)
            tombstone_rows = [
                {"space_id": space_id, "image_id": image_id, "revision": self._next()}
                for space_id, image_id in self.connection.execute(query).all()
            ]
            if tombstone_rows:
                self.connection.execute(_BURY, tombstone_rows)

    def drop_vectors(self, image_id: int) -> None:
        """Delete the vectors of an image that has changed, in every space."""
        self.bury([image_id])
        self.connection.execute(delete(embeddings).where(embeddings.c.image_id == image_id))

    def drop_space(self, space_id: int) -> int:
        """Delete all vectors of a space; returns their number."""
        query = select(embeddings.c.image_id).where(embeddings.c.space_id == space_id)
        ids = self.connection.execute(query).scalars().all()
        self.bury(ids, space_id)
        self.connection.execute(delete(embeddings).where(embeddings.c.space_id == space_id))
        return len(ids)

    def has_vector(self, space_id: int, image_id: int) -> bool:
        """True if the image has a vector in the space."""
        if (space_id, image_id) in self._pending_keys:
            return True
        values = {"image": image_id, "space": space_id}
        return self.connection.execute(_IN_SPACE, values).first() is not None
