"""Takes over data of another library: vectors of pictures with the same bytes, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from imgsearch.catalog import ocr_texts, rows
from imgsearch.catalog.commit import highest_id
from imgsearch.catalog.dialects import one_of
from imgsearch.catalog.ledger import Ledger
from imgsearch.catalog.tables import embeddings, images, roots, skipped, spaces, texts
from imgsearch.records import ForeignImages, TakenOver, TextFound

_COLUMNS = [column for column in images.columns if column.name not in ("root_id", "name_key")]


def present(connection: Connection, hashes: Sequence[str]) -> set[str]:
    """The content hashes among these that present images have."""
    query = select(images.c.content_hash).where(images.c.status == "present")
    return {
        each
        for chunk in rows.chunks(hashes)
        for each in connection.execute(query.where(images.c.content_hash.in_(chunk))).scalars()
    }


def add_vectors(ledger: Ledger, space_id: int, vectors: Mapping[str, bytes]) -> int:
    """Add vectors for the present images with these bytes that have none in the space.

    Parameters
    ----------
    vectors : mapping of content hash to stored vector

    Returns
    -------
    int
        Number of vectors added.
    """
    embedded = select(embeddings.c.id).where(
        embeddings.c.image_id == images.c.id, embeddings.c.space_id == space_id
    )
    lacking = images.c.status == "present", ~embedded.exists()
    query = select(images.c.id, images.c.content_hash).where(*lacking)
    added = 0
    for chunk in rows.chunks(list(vectors)):
        for row in ledger.connection.execute(query.where(images.c.content_hash.in_(chunk))).all():
            ledger.put_vector(space_id, row.id, vectors[row.content_hash])
            added += 1
    return added


# Pictures of another library


def foreign_images(connection: Connection, root: str, after: int, limit: int) -> ForeignImages:
    """Present images of a root with ids above `after`, with their vectors and texts."""
    query = (
        select(*_COLUMNS)
        .join(roots)
        .where(roots.c.path == root, images.c.status == "present", images.c.id > after)
        .order_by(images.c.id)
        .limit(limit)
    )
    found = [dict(row) for row in connection.execute(query).mappings()]
    ids = [row["id"] for row in found]
    return ForeignImages(
        found,
        _vectors(connection, ids),
        _texts(connection, sorted({row["content_hash"] for row in found})),
    )


def _vectors(connection: Connection, ids: Sequence[int]) -> dict[int, list[tuple[str, bytes]]]:
    """Image id -> key of a space and stored vector; damaged ones are left out."""
    columns = embeddings.c.image_id, embeddings.c.vector, spaces.c.key, spaces.c.dimension
    found: dict[int, list[tuple[str, bytes]]] = {}
    for chunk in rows.chunks(ids):
        query = select(*columns).select_from(embeddings.join(spaces))
        for row in connection.execute(query.where(embeddings.c.image_id.in_(chunk))):
            if len(row.vector) == row.dimension * rows.STORAGE.itemsize:
                found.setdefault(row.image_id, []).append((row.key, row.vector))
    return found


def _texts(connection: Connection, hashes: Sequence[str]) -> list[TextFound]:
    return [
        TextFound(row.content_hash, row.engine, row.text, row.reason)
        for chunk in rows.chunks(hashes)
        for row in connection.execute(select(texts).where(texts.c.content_hash.in_(chunk)))
    ]


def take_over(
    ledger: Ledger, root_id: int, below: str, foreign: ForeignImages, space_ids: Mapping[str, int]
) -> TakenOver:
    """Add images of another library, and the vectors and texts that images here lack.

    Parameters
    ----------
    below : str
        Path of the other root below this one: "" or a path that ends with "/".
    space_ids : mapping of key to id
        The spaces of the vectors.
    """
    paths = [below + row["path"] for row in foreign.rows]
    known = _at(ledger.connection, root_id, paths)
    last_id = highest_id(ledger.connection)
    result, new = TakenOver(), []
    for path, row in zip(paths, foreign.rows, strict=True):
        here = known.get(path)
        if here and (here.content_hash, here.status) != (row["content_hash"], "present"):
            result.differing += 1
            continue
        if here is None:
            image_id = last_id = last_id + 1
            place = {"id": image_id, "root_id": root_id, **rows.path_values(path)}
            new.append({**row, **place})
        else:
            image_id = here.id
        for key, vector in foreign.vectors.get(row["id"], ()):
            if here is None or not ledger.has_vector(space_ids[key], image_id):
                ledger.put_vector(space_ids[key], image_id, vector, new=here is None)
                result.vectors += 1
    result.added = len(new)
    result.known = len(paths) - result.added - result.differing
    _insert(ledger, root_id, new)
    _put_texts(ledger.connection, foreign.texts)
    return result


def _at(connection: Connection, root_id: int, paths: Sequence[str]) -> dict[str, Any]:
    """The images that are at these paths, whatever their status."""
    columns = images.c.id, images.c.path, images.c.content_hash, images.c.status
    return {
        row.path: row
        for chunk in rows.chunks(paths)
        for row in connection.execute(
            select(*columns).where(
                images.c.root_id == root_id, one_of(connection, images.c.path, chunk)
            )
        )
    }


def _insert(ledger: Ledger, root_id: int, new: Sequence[dict[str, Any]]) -> None:
    """Write new images, which were not readable here before, and the pending vectors."""
    if new:
        ledger.connection.execute(insert(images), new)
    for chunk in rows.chunks([row["path"] for row in new]):
        here = one_of(ledger.connection, skipped.c.path, chunk)
        ledger.connection.execute(delete(skipped).where(skipped.c.root_id == root_id, here))
    ledger.write()


def _put_texts(connection: Connection, found: Sequence[TextFound]) -> None:
    """Write texts of images that are here, except for images whose text was read already."""
    present = set()
    for chunk in rows.chunks([each.content_hash for each in found]):
        query = select(images.c.content_hash).where(images.c.content_hash.in_(chunk))
        present |= set(connection.execute(query).scalars())
    ocr_texts.put(connection, [each for each in found if each.content_hash in present], keep=True)
