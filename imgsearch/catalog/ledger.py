"""The ledger of vectors: every upsert and every tombstone takes the next revision."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from imgsearch.catalog import rows
from imgsearch.catalog.engine import writing
from imgsearch.catalog.tables import commits, embeddings, library, tombstones
from imgsearch.records import Revision


@contextmanager
def changing(engine: Engine) -> Iterator[Ledger]:
    """A write transaction that may change vectors; the revision counter moves with it."""
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
_EXHUME = delete(tombstones).where(
    tombstones.c.image_id == bindparam("image"), tombstones.c.space_id == bindparam("space")
)
_EXHUME_ALL = delete(tombstones).where(tombstones.c.image_id == bindparam("image"))
_MINE = select(embeddings.c.id).where(embeddings.c.image_id == bindparam("image"))
_IN_SPACE = _MINE.where(embeddings.c.space_id == bindparam("space"))
_MOVE_UP = (
    update(embeddings)
    .where(embeddings.c.id == bindparam("embedding"))
    .values(revision=bindparam("next"))
)


class Ledger:
    """The vectors within one write transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._start: Revision = connection.execute(select(library.c.revision)).scalar_one()
        self._latest: Revision = self._start
        self._waiting: list[dict[str, Any]] = []
        self._given: set[tuple[int, int]] = set()

    def close(self) -> None:
        """Write the counter back, with a token that tells this history from any other."""
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
        """Put in or replace the vector of a picture, at the latest when the ledger is closed.

        Parameters
        ----------
        new : bool
            True for a picture that is new, too: it may be waiting to be written itself, and it
            has no tombstone.
        """
        key = {"space_id": space_id, "image_id": image_id}
        self._waiting.append({**key, "revision": self._next(), "vector": vector})
        self._given.add((space_id, image_id))
        if not new:
            self.connection.execute(_EXHUME, {"image": image_id, "space": space_id})

    def write(self) -> None:
        """Write the vectors that were put."""
        if self._waiting:
            self.connection.execute(_PUT, self._waiting)
            self._waiting.clear()
            self._given.clear()

    def revive(self, image_id: int) -> None:
        """Put the vectors of a picture that is there again back into every index."""
        for embedding_id in self.connection.execute(_MINE, {"image": image_id}).scalars().all():
            self.connection.execute(_MOVE_UP, {"embedding": embedding_id, "next": self._next()})
        self.connection.execute(_EXHUME_ALL, {"image": image_id})

    def bury(self, image_ids: Sequence[int]) -> None:
        """Tombstones for all vectors of these pictures; the vectors themselves stay."""
        for chunk in rows.chunks(image_ids):
            query = select(embeddings.c.space_id, embeddings.c.image_id).where(
                embeddings.c.image_id.in_(chunk)
            )
            graves = [
                {"space_id": space_id, "image_id": image_id, "revision": self._next()}
                for space_id, image_id in self.connection.execute(query).all()
            ]
            if graves:
                self.connection.execute(_BURY, graves)

    def drop_vectors(self, image_id: int) -> None:
        """The picture has changed: its vectors are wrong in every space."""
        self.bury([image_id])
        self.connection.execute(delete(embeddings).where(embeddings.c.image_id == image_id))

    def has_vector(self, space_id: int, image_id: int) -> bool:
        """True if the picture has a vector in the space."""
        if (space_id, image_id) in self._given:
            return True
        values = {"image": image_id, "space": space_id}
        return self.connection.execute(_IN_SPACE, values).first() is not None
