"""Look for faults in the catalog itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, and_, func, select, text

from imgsearch.catalog import rows
from imgsearch.catalog.tables import embeddings, images, spaces, tombstones


def faults(connection: Connection) -> list[str]:
    """What is wrong, one sentence each; empty when all is sound."""
    wrong = [
        f"SQLite says: {row[0]}"
        for row in connection.execute(text("PRAGMA integrity_check"))
        if row[0] != "ok"
    ]
    wrong += [
        f"a row of {row[0]} points to a row of {row[2]} that is not there"
        for row in connection.execute(text("PRAGMA foreign_key_check"))
    ]
    for space in connection.execute(select(spaces)).all():
        wrong += _space_faults(connection, space)
    return wrong


def _space_faults(connection: Connection, space: Row[Any]) -> list[str]:
    mine = embeddings.c.space_id == space.id
    length = rows.STORAGE.itemsize * space.dimension
    buried = and_(
        tombstones.c.image_id == images.c.id, tombstones.c.space_id == embeddings.c.space_id
    )
    counts = {
        "have the wrong length": select(func.count()).where(
            mine, func.length(embeddings.c.vector) != length
        ),
        "belong to a present picture but have a tombstone": select(func.count())
        .select_from(embeddings.join(images).join(tombstones, buried))
        .where(mine, images.c.status == "present"),
    }
    found = {fault: connection.execute(query).scalar_one() for fault, query in counts.items()}
    return [f"{n} vectors of {space.model} {fault}" for fault, n in found.items() if n]
