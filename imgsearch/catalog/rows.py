"""Conversions between table rows and records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from imgsearch.catalog.tables import Lines, images, measures, roots
from imgsearch.filters.text_keys import folded
from imgsearch.records import MEASURES, ImageFile, ImageMetadata, ImageRecord, Measures
from imgsearch.vectors import Embeddings, normalize

STORAGE = np.dtype("<f2")
"""Type of stored vectors: little-endian float16, which halves the size and changes scores by less
than 0.001."""

MAX_IN_VALUES = 500
"""Maximum number of values in one SQL `IN` list."""

METADATA_COLUMNS = (
    "width",
    "height",
    "format",
    "orientation",
    "taken_at",
    "taken_precision",
    "taken_source",
    "utc_offset_minutes",
    "camera_make",
    "camera_model",
    "latitude",
    "longitude",
    "title",
    "description",
    "keywords",
    "people",
    "city",
    "state",
    "country",
    "rating",
    "note",
    "metadata_version",
    "country_code",
    "gazetteer_fields",
    "gazetteer_version",
)


def _kinds(name: str) -> tuple[type, ...]:
    """The types of the values of a column of `images`."""
    column = images.c[name]
    kind = tuple if isinstance(column.type, Lines) else column.type.python_type
    optional = (type(None),) if column.nullable else ()
    return (kind, int, *optional) if kind is float else (kind, *optional)


_KINDS = {name: _kinds(name) for name in ("size", "mtime_ns", "content_hash", *METADATA_COLUMNS)}

MEASURED = {name: measures.c[name] for name in MEASURES}
"""The measures of an image, by name."""

T = TypeVar("T")


def chunks(values: Sequence[T]) -> Iterator[list[T]]:
    """`values` in lists of at most `MAX_IN_VALUES`."""
    iterator = iter(values)
    while chunk := list(islice(iterator, MAX_IN_VALUES)):
        yield chunk


def to_blob(vector: Embeddings) -> bytes:
    """One vector of shape (dimension,) in its stored form."""
    return np.ascontiguousarray(vector, dtype=STORAGE).tobytes()


def from_blobs(blobs: Sequence[bytes], dimension: int) -> Embeddings:
    """Stored vectors as unit rows of shape (n, dimension), float32.

    They are normalised again in float32, because float16 changes the norm by up to 0.0005.
    """
    stored: NDArray[np.float16] = np.frombuffer(b"".join(blobs), STORAGE)
    return normalize(stored.reshape(len(blobs), dimension))


def metadata_values(metadata: Any) -> dict[str, Any]:
    """The metadata columns of `images`, from an `ImageMetadata` or another row."""
    values = {name: getattr(metadata, name) for name in METADATA_COLUMNS}
    camera = " ".join(filter(None, (values["camera_make"], values["camera_model"])))
    return {**values, "camera_key": folded(camera) or None}


def path_values(path: str) -> dict[str, Any]:
    """The columns of `images` that depend on the path below the root."""
    return {"path": path, "name_key": folded(path.rpartition("/")[2])}


def image_record(row: Any) -> ImageRecord:
    """An `ImageRecord` from a row of `images` joined with the path of its root as `root`.

    Raises `ValueError` if a value is of another type than its column: SQLite stores what it gets.
    """
    values = _values(row)
    for name, kinds in _KINDS.items():
        if not isinstance(values[name], kinds):
            raise ValueError(f"{name} of image {row.id}")
    return ImageRecord(
        id=row.id,
        file=ImageFile(row.root, row.path, row.size, row.mtime_ns),
        content_hash=row.content_hash,
        metadata=_metadata(values),
        measures=_measures(values),
    )


def image_metadata(row: Any) -> ImageMetadata:
    """The metadata in a row of `images`."""
    return _metadata(_values(row))


def _values(row: Any) -> dict[str, Any]:
    """The values of a row by column: looking them up in a row itself takes longer."""
    return dict(zip(row._fields, row, strict=True))


def _metadata(values: Mapping[str, Any]) -> ImageMetadata:
    return ImageMetadata(**{name: values[name] for name in METADATA_COLUMNS})


def _measures(values: Mapping[str, Any]) -> Measures | None:
    """The measures in a row that was joined with them; None where there are none."""
    if values.get("sharpness") is None:
        return None
    found = {name: values[name] for name in MEASURED}
    for name, value in found.items():
        if not isinstance(value, str if name == "kind" else int | float):
            raise ValueError(f"{name} of image {values['id']}")
    return Measures(**found)


def root_id(connection: Connection, path: str) -> int:
    """The id of the root at `path`, which must exist."""
    query = select(roots.c.id).where(roots.c.path == path)
    return int(connection.execute(query).scalar_one())
