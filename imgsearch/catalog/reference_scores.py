"""Reads and writes reference scores; see `imgsearch.searching.strength`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from imgsearch.catalog import rows
from imgsearch.catalog.dialects import upsert
from imgsearch.catalog.tables import reference_scores, reference_texts, spaces
from imgsearch.records import Reference
from imgsearch.vectors import Embeddings, EmbeddingSpace


def scores(connection: Connection, space: EmbeddingSpace) -> dict[str, Reference]:
    """The references of a space by modality; empty if there are none yet."""
    query = select(reference_scores).join(spaces).where(spaces.c.key == space.key)
    return {
        row.modality: Reference(row.modality, row.location, row.scale, row.pictures)
        for row in connection.execute(query)
    }


def texts(connection: Connection, space: EmbeddingSpace, digest: str) -> Embeddings | None:
    """The vectors of the reference texts with this hash, shape (t, dimension), or None."""
    query = (
        select(reference_texts.c.vectors)
        .join(spaces)
        .where(spaces.c.key == space.key, reference_texts.c.digest == digest)
    )
    blob = connection.execute(query).scalar()
    if blob is None:
        return None
    size = space.dimension * rows.STORAGE.itemsize
    return rows.from_blobs(
        [blob[start : start + size] for start in range(0, len(blob), size)], space.dimension
    )


def put_scores(connection: Connection, space_id: int, references: Sequence[Reference]) -> None:
    """Replace the references of a space."""
    connection.execute(delete(reference_scores).where(reference_scores.c.space_id == space_id))
    for each in references:
        connection.execute(insert(reference_scores).values(space_id=space_id, **asdict(each)))


def put_texts(connection: Connection, space_id: int, digest: str, vectors: Embeddings) -> None:
    """Replace the vectors of the reference texts of a space."""
    values = {"digest": digest, "vectors": b"".join(rows.to_blob(row) for row in vectors)}
    connection.execute(
        upsert(reference_texts)
        .values(space_id=space_id, **values)
        .on_conflict_do_update(index_elements=["space_id"], set_=values)
    )


def forget(connection: Connection, space_id: int) -> None:
    """Delete the references of a space, and the vectors of its reference texts."""
    put_scores(connection, space_id, [])
    connection.execute(delete(reference_texts).where(reference_texts.c.space_id == space_id))
