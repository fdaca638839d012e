"""Between rows of the tables and records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from imgsearch.catalog.tables import roots
from imgsearch.filters.tree import folded
from imgsearch.records import ImageFile, ImageMetadata, ImageRecord
from imgsearch.vectors import Embeddings, normalize

STORAGE = np.dtype("<f2")
"""Vectors are stored as little-endian float16: half the size, and the scores move by less than
0.001."""

CHUNK = 500
"""Values in one SQL `IN` list."""

METADATA_COLUMNS = (
    "width",
    "height",
    "format",
    "orientation",
    "taken_at",
    "camera_make",
    "camera_model",
    "latitude",
    "longitude",
    "title",
    "description",
    "keywords",
)

T = TypeVar("T")


def chunks(values: Sequence[T]) -> Iterator[list[T]]:
    """`values` in lists of at most `CHUNK`."""
    iterator = iter(values)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def to_blob(vector: Embeddings) -> bytes:
    """One vector of shape (dimension,) as it is stored."""
    return np.ascontiguousarray(vector, dtype=STORAGE).tobytes()


def from_blobs(blobs: Sequence[bytes], dimension: int) -> Embeddings:
    """Stored vectors as unit rows of shape (n, dimension), float32.

    They are normalised again in float32, because float16 moves the norm by up to 0.0005.
    """
    stored: NDArray[np.float16] = np.frombuffer(b"".join(blobs), STORAGE)
    return normalize(stored.reshape(len(blobs), dimension))


def metadata_values(metadata: Any) -> dict[str, Any]:
    """The columns of `images` that hold the metadata of an `ImageMetadata`, or of another row."""
    values = {name: getattr(metadata, name) for name in METADATA_COLUMNS}
    camera = " ".join(filter(None, (values["camera_make"], values["camera_model"])))
    return {**values, "camera_key": folded(camera) or None}


def path_values(path: str) -> dict[str, Any]:
    """The columns of `images` that hold the path below the root."""
    return {"path": path, "name_key": folded(path.rpartition("/")[2])}


def image_record(row: Any) -> ImageRecord:
    """An `ImageRecord` from a row of `images` with the path of its root as `root`."""
    return ImageRecord(
        id=row.id,
        file=ImageFile(row.root, row.path, row.size, row.mtime_ns),
        content_hash=row.content_hash,
        metadata=ImageMetadata(**{name: getattr(row, name) for name in METADATA_COLUMNS}),
    )


def root_id(connection: Connection, path: str) -> int:
    """The id of the root at `path`, which is there."""
    query = select(roots.c.id).where(roots.c.path == path)
    return int(connection.execute(query).scalar_one())
