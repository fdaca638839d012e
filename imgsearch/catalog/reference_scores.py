"""Reads and writes reference scores; see `imgsearch.searching.strength`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from sqlalchemy import Connection, delete, insert, select

from imgsearch.catalog import rows
from imgsearch.catalog.dialects import upsert
from imgsearch.catalog.tables import reference_scores, reference_texts, spaces
from imgsearch.records import Reference, TextVectors
from imgsearch.vectors import EmbeddingSpace

_PRIOR = np.dtype("<f4")


def scores(connection: Connection, space: EmbeddingSpace) -> dict[str, Reference]:
    """The references of a space by modality; empty if there are none yet."""
    query = select(reference_scores).join(spaces).where(spaces.c.key == space.key)
    return {
        row.modality: Reference(row.modality, row.location, row.scale, row.pictures)
        for row in connection.execute(query)
    }


def texts(connection: Connection, space: EmbeddingSpace, digest: str) -> TextVectors | None:
    """The reference texts with this hash; None if there are none, or they are without priors."""
    query = (
        select(reference_texts.c.vectors, reference_texts.c.priors)
        .join(spaces)
        .where(spaces.c.key == space.key, reference_texts.c.digest == digest)
    )
    row = connection.execute(query).first()
    if row is None or row.priors is None:
        return None
    size = space.dimension * rows.STORAGE.itemsize
    starts = range(0, len(row.vectors), size)
    vectors = rows.from_blobs([row.vectors[at : at + size] for at in starts], space.dimension)
    return TextVectors(vectors, np.frombuffer(row.priors, _PRIOR).astype(np.float64))


def put_scores(connection: Connection, space_id: int, references: Sequence[Reference]) -> None:
    """Replace the references of a space."""
    connection.execute(delete(reference_scores).where(reference_scores.c.space_id == space_id))
    for each in references:
        connection.execute(insert(reference_scores).values(space_id=space_id, **asdict(each)))


def put_texts(connection: Connection, space_id: int, digest: str, texts: TextVectors) -> None:
    """Replace the reference texts of a space."""
    values = {
        "digest": digest,
        "vectors": b"".join(rows.to_blob(row) for row in texts.vectors),
        "priors": texts.priors.astype(_PRIOR).tobytes(),
    }
    connection.execute(
        upsert(reference_texts)
        .values(space_id=space_id, **values)
        .on_conflict_do_update(index_elements=["space_id"], set_=values)
    )


def forget(connection: Connection, space_id: int) -> None:
    """Delete the references of a space, and the vectors of its reference texts."""
    put_scores(connection, space_id, [])
    connection.execute(delete(reference_texts).where(reference_texts.c.space_id == space_id))
