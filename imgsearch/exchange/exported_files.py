"""Reads the files of an export, which may come from another machine and be damaged.

Before anything is read into memory, the headers must agree: rows, dimension, dtype and the space of
the vectors. Then rows are read in batches, and NumPy never unpickles.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import ExchangeError
from imgsearch.exchange.columns import ROWS_PER_BATCH, SPACE_KEY, VECTOR, arrow
from imgsearch.exchange.export import (
    PICTURES_FOLDER,
    PICTURES_NAME,
    VECTORS_FOLDER,
    VECTORS_NAME,
)
from imgsearch.vectors import EmbeddingSpace

MAX_DIMENSION = 1 << 16
MAX_TEXT_CHARACTERS = 1 << 16
"""Limit for a path or a hash in a file."""
PATHS = ("path", "image_path")
"""Names of the column of paths, ours and that of clip-retrieval."""
MAX_SPACE_BYTES = 1 << 16
READ_BYTES = 1 << 20
MAX_NORM_ERROR = 0.01
"""Difference of a norm from 1: float16 needs 0.0005."""
Texts = list[str | None]
_HASH = re.compile("[0-9a-f]{32}")
_FLOATS = ("float16", "float32", "float64")
_EXPORT_HINT = "Import what 'imgsearch export' has written: a folder, or a parquet file."


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of an export.

    Attributes
    ----------
    hashes, paths : list of str or None
        Of the files: xxh3-128 in hex, and where they were.
    vectors : ndarray of shape (n, dimension), float16
        As the catalog stores them.
    sound : ndarray of shape (n,), bool
        False for a row whose hash is not one, or whose vector is not finite or not of unit norm.
    """

    hashes: Texts
    paths: Texts
    vectors: NDArray[np.float16]
    sound: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Shard:
    """A parquet file, and the npy file with its vectors; "" if they are in it."""

    pictures: str
    vectors: str


class ExportedFiles:
    """An export, whose headers have been checked.

    Attributes
    ----------
    space : EmbeddingSpace
        Of its vectors.
    rows : int

    Raises
    ------
    ExchangeError
        It is not an export, or damaged.
    """

    def __init__(self, path: str) -> None:
        arrow("imgsearch import")
        self._shards = _shards(path)
        spaces = set()
        self.rows = 0
        for shard in self._shards:
            with _readable(shard.pictures):
                space, rows = _checked(shard)
            spaces.add(space)
            self.rows += rows
        if len(spaces) != 1:
            raise ExchangeError(f"the files of {path} have vectors of several models", _EXPORT_HINT)
        self.space = spaces.pop()

    def batches(self) -> Iterator[Batch]:
        """All rows."""
        for shard in self._shards:
            with _readable(shard.pictures):
                yield from _batches(shard, self.space.dimension)


def _shards(path: str) -> list[_Shard]:
    if os.path.isfile(path):
        return [_Shard(path, "")]
    if not os.path.isdir(path):
        raise ExchangeError(f"there is no export in {path}", _EXPORT_HINT)
    pictures = _numbered(os.path.join(path, PICTURES_FOLDER), PICTURES_NAME)
    vectors = _numbered(os.path.join(path, VECTORS_FOLDER), VECTORS_NAME)
    if not pictures and not vectors:
        raise ExchangeError(f"there is no export in {path}", _EXPORT_HINT)
    if lonely := sorted(pictures.keys() ^ vectors.keys()):
        name = (pictures | vectors)[lonely[0]]
        raise ExchangeError(
            f"{name} has no counterpart: the export is not complete",
            "Run 'imgsearch export' again, which goes on where it was stopped.",
        )
    return [_Shard(pictures[number], vectors[number]) for number in sorted(pictures)]


def _numbered(folder: str, pattern: re.Pattern[str]) -> dict[int, str]:
    """Number -> path of the files with such a name."""
    found: dict[int, str] = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if (match := pattern.fullmatch(name)) and os.path.isfile(path):
            found[int(match[1])] = path
    return found


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Errors of a damaged file as an `ExchangeError`."""
    pa = arrow("imgsearch import")
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        raise ExchangeError(f"{path} cannot be imported: {reason}", _EXPORT_HINT) from error


def _checked(shard: _Shard) -> tuple[EmbeddingSpace, int]:
    """The space of a shard and its rows; raises `ValueError` if its headers do not agree."""
    file = _parquet(shard.pictures)
    schema, rows = file.schema_arrow, file.metadata.num_rows
    space = _space(schema.metadata or {})
    if "content_hash" not in schema.names:
        raise ValueError("it has no column content_hash")
    if not shard.vectors:
        _require_vectors(schema, space.dimension)
        return space, rows
    with open(shard.vectors, "rb") as numbers:
        shape, dtype = _npy_header(numbers)
        size = os.fstat(numbers.fileno()).st_size - numbers.tell()
    if shape != (rows, space.dimension):
        raise ValueError(f"its {rows} rows do not fit vectors of shape {shape}")
    if size < rows * space.dimension * dtype.itemsize:
        raise ValueError(f"{shard.vectors} is cut off")
    return space, rows


def _parquet(path: str) -> Any:
    """An open file with texts read as dictionaries: a long text repeated in many rows takes no
    more memory than in the file."""
    from pyarrow import types
    from pyarrow.parquet import ParquetFile, read_schema

    schema = read_schema(path)
    names = [each for each in ("content_hash", *PATHS) if each in schema.names]
    texts = [each for each in names if types.is_string(schema.field(each).type)]
    if len(texts) < len(names):
        raise ValueError(f"its columns {', '.join(names)} are not all texts")
    return ParquetFile(
        path,
        read_dictionary=texts,
        pre_buffer=False,  # page by page, not a whole row group
        buffer_size=READ_BYTES,
        page_checksum_verification=True,
    )


def _space(metadata: dict[bytes, bytes]) -> EmbeddingSpace:
    """The space that a schema names."""
    text = metadata.get(SPACE_KEY, b"")
    if not text or len(text) > MAX_SPACE_BYTES:
        raise ValueError("it does not say which model made its vectors")
    try:
        plain = json.loads(text)
        values = {each.name: plain["space"][each.name] for each in fields(EmbeddingSpace)}
        key = plain["key"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("it does not say which model made its vectors") from error
    texts = [value for name, value in values.items() if name != "dimension"]
    dimension = values["dimension"]
    if not all(isinstance(each, str) for each in texts) or type(dimension) is not int:
        raise ValueError("the model that made its vectors is not described as expected")
    space = EmbeddingSpace(**values)
    if not 0 < dimension <= MAX_DIMENSION or space.key != key:
        raise ValueError("the model that made its vectors is not described as expected")
    return space


def _require_vectors(schema: Any, dimension: int) -> None:
    from pyarrow import null, types

    kind: Any = schema.field(VECTOR).type if VECTOR in schema.names else null()
    known = types.is_fixed_size_list, types.is_list, types.is_large_list
    if not any(each(kind) for each in known) or not types.is_floating(kind.value_type):
        raise ValueError(f"it has no column {VECTOR} with lists of numbers")
    if types.is_fixed_size_list(kind) and kind.list_size != dimension:
        raise ValueError(f"its vectors have {kind.list_size} numbers instead of {dimension}")


def _npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an npy file in C-order, which is left at its first number."""
    npy = np.lib.format
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    try:
        shape, fortran, dtype = readers[npy.read_magic(file)](file)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file.name} has no valid npy header") from error
    if fortran or dtype.name not in _FLOATS:
        raise ValueError(f"its vectors are of type {dtype}, and not rows of {', '.join(_FLOATS)}")
    return shape, dtype


def _batches(shard: _Shard, dimension: int) -> Iterator[Batch]:
    file = _parquet(shard.pictures)
    names = file.schema_arrow.names
    path = next((each for each in PATHS if each in names), None)
    wanted = ["content_hash", *([path] if path else []), *([] if shard.vectors else [VECTOR])]
    numbers = _npy_rows(shard.vectors) if shard.vectors else None
    for part in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=wanted):
        hashes = _texts(part.column("content_hash"))
        paths = _texts(part.column(path)) if path else cast(Texts, [None] * len(hashes))
        if numbers is None:
            rows = _list_rows(part.column(VECTOR), dimension)
        else:
            rows = numbers(len(hashes) * dimension).reshape(len(hashes), dimension)
        yield _batch(hashes, paths, rows)


def _texts(column: Any) -> Texts:
    """The texts of a column, which may be a dictionary."""
    import pyarrow.compute as pc
    from pyarrow import types

    if not types.is_dictionary(column.type):
        column = column.dictionary_encode()
    known = column.dictionary
    longest = pc.max(pc.binary_length(known)).as_py() if len(known) else 0
    if (longest or 0) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"it has a text of {longest} characters in place of a path or a hash")
    texts = known.to_pylist()
    return [None if place is None else texts[place] for place in column.indices.to_pylist()]


def _list_rows(column: Any, dimension: int) -> NDArray[Any]:
    """The vectors of a column of lists, shape (n, dimension)."""
    import pyarrow.compute as pc

    lengths = pc.list_value_length(column)
    if lengths.null_count or not pc.all(pc.equal(lengths, dimension), min_count=0).as_py():
        raise ValueError(f"it has vectors that are not {dimension} numbers")
    flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
    return flat.reshape(len(column), dimension)


def _npy_rows(path: str) -> Any:
    """A function that returns the next numbers of an npy file."""
    with open(path, "rb") as file:
        _, dtype = _npy_header(file)
        start = file.tell()

    def take(count: int) -> NDArray[Any]:
        nonlocal start
        numbers = np.fromfile(path, dtype, count, offset=start)
        if len(numbers) != count:
            raise ValueError(f"{path} is cut off")
        start += count * dtype.itemsize
        return numbers

    return take


def _batch(hashes: Texts, paths: Texts, rows: NDArray[Any]) -> Batch:
    with np.errstate(over="ignore", invalid="ignore"):
        vectors = rows.astype("<f2")
        norms = np.linalg.norm(vectors.astype(np.float32), axis=1)
        unit = np.abs(norms - 1) <= MAX_NORM_ERROR  # False for NaN
    named = [bool(each and _HASH.fullmatch(each)) for each in hashes]
    return Batch(hashes, paths, vectors, unit & np.array(named, bool))
