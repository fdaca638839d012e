"""Pictures as columns of Arrow: for data frames, and for files that other programs read.

The names are those of `record_to_plain`, as in `imgsearch search --format json`. A name that is not
UTF-8 is escaped as in the catalog (docs/internals.md), because Arrow's texts are UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsearch.catalog import Catalog
from imgsearch.catalog.sqlite_file import to_stored
from imgsearch.errors import MissingExtra
from imgsearch.records import ImageRecord
from imgsearch.searching.hits import record_to_plain
from imgsearch.vectors import EmbeddingSpace, Ids, normalize

ROWS_PER_BATCH = 4096
"""Pictures that are held in memory together, and rows of a row group."""
VECTOR = "vector"
PLACE = ("x", "y")
"""Columns of a picture's position on the map."""
SPACE_KEY = b"imgsearch"
"""Key of the space of the vectors in the metadata of a schema."""
_TYPES = {
    "path": "string",
    "id": "int64",
    "content_hash": "string",
    "root": "string",
    "path_below_root": "string",
    "width": "int64",
    "height": "int64",
    "format": "string",
    "size": "int64",
    "mtime_ns": "int64",
    "taken_at": "timestamp[us]",
    "taken": "string",
    "taken_precision": "string",
    "taken_source": "string",
    "utc_offset_minutes": "int64",
    "camera": "string",
    "camera_make": "string",
    "camera_model": "string",
    "latitude": "float64",
    "longitude": "float64",
    "title": "string",
    "description": "string",
    "keywords": "texts",
    "people": "texts",
    "city": "string",
    "state": "string",
    "country": "string",
    "country_code": "string",
    "gazetteer_fields": "texts",
    "rating": "int64",
    "orientation": "int64",
    "note": "string",
}
"""Column -> alias of its type in pyarrow; "texts" is a list of strings."""


class Places(NamedTuple):
    """Positions on the map of a library (`imgsearch.curation.map`).

    Attributes
    ----------
    ids : ndarray of shape (n,), int64, sorted
    positions : ndarray of shape (n, 2), float32
    """

    ids: Ids
    positions: NDArray[np.float32]

    def of(self, ids: Ids) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The positions of pictures, shape (m, 2), and True for those that have one."""
        known = np.isin(ids, self.ids)
        found = np.zeros((len(ids), 2), np.float32)
        found[known] = self.positions[np.searchsorted(self.ids, ids[known])]
        return found, known


def arrow(what: str) -> Any:
    """The module pyarrow.

    Raises
    ------
    MissingExtra
        It is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtra(what, "export") from error
    return pyarrow


def schema_of(
    space: EmbeddingSpace | None = None, dtype: str = "float32", places: Places | None = None
) -> Any:
    """The schema of a table: with a space, its vectors are the last column.

    Parameters
    ----------
    dtype : {"float16", "float32"}
    places : Places or None
        Not None if the table has the columns x and y.
    """
    pa = arrow("a table of pictures")
    texts = pa.list_(pa.string())
    fields = [
        (name, texts if alias == "texts" else pa.type_for_alias(alias))
        for name, alias in _TYPES.items()
    ]
    if places is not None:
        fields += [(name, pa.float32()) for name in PLACE]
    if space is None:
        return pa.schema(fields)
    vector = pa.list_(pa.type_for_alias(dtype), space.dimension)
    return pa.schema([*fields, (VECTOR, vector)], {SPACE_KEY: space_to_json(space)})


def space_to_json(space: EmbeddingSpace) -> bytes:
    """A space as plain values, stored with its vectors."""
    return json.dumps({"space": asdict(space), "key": space.key}).encode()


def columns(records: Sequence[ImageRecord], places: Places | None = None) -> Any:
    """A table of pictures, one row each, without vectors; x and y are null off the map."""
    pa = arrow("a table of pictures")
    table = pa.Table.from_pylist([_row(each) for each in records], schema_of())
    if places is None:
        return table
    found, known = places.of(np.array([each.id for each in records], np.int64))
    for name, values in zip(PLACE, found.T, strict=True):
        table = table.append_column(name, pa.array(values, mask=~known))
    return table


def _row(record: ImageRecord) -> dict[str, Any]:
    values = record_to_plain(record) | {"taken_at": record.metadata.taken_at}
    return {name: _text(values[name]) for name in _TYPES}


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(each) for each in value]
    return to_stored(value) if isinstance(value, str) else value


def with_vectors(
    table: Any, vectors: NDArray[Any], space: EmbeddingSpace, known: NDArray[np.bool_] | None = None
) -> Any:
    """The table with a column of vectors, as lists of a fixed size.

    Parameters
    ----------
    vectors : ndarray of shape (n, dimension), float16 or float32
    known : ndarray of shape (n,), bool, or None
        False for the rows that have none; None if all have one.
    """
    pa = arrow("a table of pictures")
    mask = None if known is None or known.all() else pa.array(~known)
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    lists = pa.FixedSizeListArray.from_arrays(flat, space.dimension, mask=mask)
    schema = schema_of(space, str(vectors.dtype))
    return table.append_column(schema.field(VECTOR), lists).replace_schema_metadata(schema.metadata)


def batches(
    catalog: Catalog, space: EmbeddingSpace, ids: Ids
) -> Iterator[tuple[list[ImageRecord], NDArray[np.float16]]]:
    """Pictures with their vectors as stored, in the order of ids; damaged ones are left out.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, sorted
    """
    for start in range(0, len(ids), ROWS_PER_BATCH):
        found, vectors = catalog.stored_vectors(space, ids[start : start + ROWS_PER_BATCH])
        records = catalog.get(found.tolist())
        places = [place for place, each in enumerate(found.tolist()) if each in records]
        if places:
            yield [records[each] for each in found[places].tolist()], vectors[places]


def table(catalog: Catalog, ids: Ids, space: EmbeddingSpace | None) -> Any:
    """All pictures of these ids as one table, in the order of the ids.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, sorted
    space : EmbeddingSpace or None
        Whose vectors to add, float32, unit norm, null where a picture has none; None for none.
    """
    pa = arrow("a table of pictures")
    parts = [schema_of(space).empty_table()]
    for start in range(0, len(ids), ROWS_PER_BATCH):
        batch = ids[start : start + ROWS_PER_BATCH].tolist()
        records = catalog.get(batch)
        here = [each for each in batch if each in records]
        part = columns([records[each] for each in here])
        parts.append(part if space is None else _joined(catalog, space, np.array(here), part))
    return pa.concat_tables(parts)


def _joined(catalog: Catalog, space: EmbeddingSpace, ids: Ids, part: Any) -> Any:
    """The columns of pictures with their vectors."""
    found, stored = catalog.stored_vectors(space, ids)
    known = np.isin(ids, found)
    vectors = np.zeros((len(ids), space.dimension), np.float32)
    vectors[known] = normalize(stored)
    return with_vectors(part, vectors, space, known)


def data_frame(table: Any) -> Any:
    """A table as a data frame of pandas."""
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise MissingExtra("a data frame", "pandas") from error
    return table.to_pandas()
