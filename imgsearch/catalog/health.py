"""Integrity checks of the catalog itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, and_, func, select, text

from imgsearch.catalog import rows
from imgsearch.catalog.tables import embeddings, images, spaces, tombstones


def faults(connection: Connection) -> list[str]:
    """The faults found, one sentence each; empty if the catalog is sound."""
    sentences = [
        f"SQLite reports: {row[0]}"
        for row in connection.execute(text("PRAGMA integrity_check"))
        if row[0] != "ok"
    ]
    sentences += [
        f"a row of {row[0]} refers to a row of {row[2]} that does not exist"
        for row in connection.execute(text("PRAGMA foreign_key_check"))
    ]
    for space in connection.execute(select(spaces)).all():
        sentences += _space_faults(connection, space)
    return sentences


def _space_faults(connection: Connection, space: Row[Any]) -> list[str]:
    in_space = embeddings.c.space_id == space.id
    length = rows.STORAGE.itemsize * space.dimension
    buried = and_(
        tombstones.c.image_id == images.c.id, tombstones.c.space_id == embeddings.c.space_id
    )
    counts = {
        "have the wrong length": select(func.count()).where(
            in_space, func.length(embeddings.c.vector) != length
        ),
        "belong to a present picture and have a tombstone": select(func.count())
        .select_from(embeddings.join(images).join(tombstones, buried))
        .where(in_space, images.c.status == "present"),
    }
    faulty = {fault: connection.execute(query).scalar_one() for fault, query in counts.items()}
    return [f"{n} vectors of {space.model} {fault}" for fault, n in faulty.items() if n]
