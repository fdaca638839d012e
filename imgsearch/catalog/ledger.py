"""The ledger of vectors: every upsert and every tombstone takes the next revision."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, delete, insert, select, update
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


class Ledger:
    """The vectors within one write transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._start: Revision = connection.execute(select(library.c.revision)).scalar_one()
        self._latest: Revision = self._start

    def close(self) -> None:
        """Write the counter back, with a token that tells this history from any other."""
        if self._latest > self._start:
            self.connection.execute(update(library).values(revision=self._latest))
            self.connection.execute(
                insert(commits).values(revision=self._latest, token=secrets.token_hex(8))
            )

    def _next(self) -> Revision:
        self._latest += 1
        return self._latest

    def put_vector(self, space_id: int, image_id: int, vector: bytes) -> None:
        """Put in or replace the vector of a picture."""
        values = {"revision": self._next(), "vector": vector}
        self.connection.execute(
            upsert(embeddings)
            .values(space_id=space_id, image_id=image_id, **values)
            .on_conflict_do_update(index_elements=["image_id", "space_id"], set_=values)
        )
        self.connection.execute(
            delete(tombstones).where(
                tombstones.c.image_id == image_id, tombstones.c.space_id == space_id
            )
        )

    def revive(self, image_id: int) -> None:
        """Put the vectors of a picture that is there again back into every index."""
        mine = select(embeddings.c.id).where(embeddings.c.image_id == image_id)
        for embedding_id in self.connection.execute(mine).scalars().all():
            self.connection.execute(
                update(embeddings)
                .where(embeddings.c.id == embedding_id)
                .values(revision=self._next())
            )
        self.connection.execute(delete(tombstones).where(tombstones.c.image_id == image_id))

    def bury(self, image_ids: Sequence[int]) -> None:
        """Tombstones for all vectors of these pictures; the vectors themselves stay."""
        for chunk in rows.chunks(image_ids):
            query = select(embeddings.c.space_id, embeddings.c.image_id).where(
                embeddings.c.image_id.in_(chunk)
            )
            for space_id, image_id in self.connection.execute(query).all():
                values = {"revision": self._next()}
                self.connection.execute(
                    upsert(tombstones)
                    .values(space_id=space_id, image_id=image_id, **values)
                    .on_conflict_do_update(index_elements=["space_id", "image_id"], set_=values)
                )

    def drop_vectors(self, image_id: int) -> None:
        """The picture has changed: its vectors are wrong in every space."""
        self.bury([image_id])
        self.connection.execute(delete(embeddings).where(embeddings.c.image_id == image_id))

    def has_vector(self, space_id: int, image_id: int) -> bool:
        """True if the picture has a vector in the space."""
        query = select(embeddings.c.id).where(
            embeddings.c.image_id == image_id, embeddings.c.space_id == space_id
        )
        return self.connection.execute(query).first() is not None
