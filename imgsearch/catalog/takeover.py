"""Takes over what another library has: vectors of pictures with the same bytes, and pictures."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from imgsearch.catalog import rows
from imgsearch.catalog.ledger import Ledger
from imgsearch.catalog.tables import embeddings, images


def add_vectors(
    ledger: Ledger, space_id: int, vectors: Mapping[str, bytes]
) -> tuple[set[str], int]:
    """Give the present images with these bytes that have no vector in the space their vector.

    Parameters
    ----------
    vectors : mapping of content hash to stored vector

    Returns
    -------
    known, added
        The content hashes of present images, and the number of images that got a vector.
    """
    embedded = select(embeddings.c.id).where(
        embeddings.c.image_id == images.c.id, embeddings.c.space_id == space_id
    )
    query = select(images.c.id, images.c.content_hash, embedded.exists().label("embedded"))
    known: set[str] = set()
    added = 0
    for chunk in rows.chunks(list(vectors)):
        same = images.c.content_hash.in_(chunk), images.c.status == "present"
        for row in ledger.connection.execute(query.where(*same)).all():
            known.add(row.content_hash)
            if not row.embedded:
                ledger.put_vector(space_id, row.id, vectors[row.content_hash])
                added += 1
    return known, added
