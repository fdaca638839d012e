"""The ledger of vectors: every upsert and every tombstone takes the next revision."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from imgsearch.catalog import rows
from imgsearch.catalog.tables import embeddings, tombstones
from imgsearch.records import Revision


class Revisions:
    """Gives out the revisions of one transaction."""

    def __init__(self, latest: Revision) -> None:
        self._start = latest
        self.latest = latest

    @property
    def used(self) -> bool:
        return self.latest > self._start

    def next(self) -> Revision:
        self.latest += 1
        return self.latest


def put_vector(
    connection: Connection, revisions: Revisions, space_id: int, image_id: int, vector: bytes
) -> None:
    values = {"revision": revisions.next(), "vector": vector}
    connection.execute(
        upsert(embeddings)
        .values(space_id=space_id, image_id=image_id, **values)
        .on_conflict_do_update(index_elements=["image_id", "space_id"], set_=values)
    )
    connection.execute(
        delete(tombstones).where(
            tombstones.c.image_id == image_id, tombstones.c.space_id == space_id
        )
    )


def revive(connection: Connection, revisions: Revisions, image_id: int) -> None:
    """Put the vectors of a picture that is there again back into every index."""
    mine = select(embeddings.c.id).where(embeddings.c.image_id == image_id)
    for embedding_id in connection.execute(mine).scalars().all():
        connection.execute(
            update(embeddings)
            .where(embeddings.c.id == embedding_id)
            .values(revision=revisions.next())
        )
    connection.execute(delete(tombstones).where(tombstones.c.image_id == image_id))


def drop_vectors(connection: Connection, revisions: Revisions, image_id: int) -> None:
    """The picture has changed: its vectors are wrong in every space."""
    bury(connection, revisions, [image_id])
    connection.execute(delete(embeddings).where(embeddings.c.image_id == image_id))


def bury(connection: Connection, revisions: Revisions, image_ids: Sequence[int]) -> None:
    """Tombstones for all vectors of these pictures."""
    for chunk in rows.chunks(image_ids):
        query = select(embeddings.c.space_id, embeddings.c.image_id).where(
            embeddings.c.image_id.in_(chunk)
        )
        for space_id, image_id in connection.execute(query).all():
            values = {"revision": revisions.next()}
            connection.execute(
                upsert(tombstones)
                .values(space_id=space_id, image_id=image_id, **values)
                .on_conflict_do_update(index_elements=["space_id", "image_id"], set_=values)
            )
