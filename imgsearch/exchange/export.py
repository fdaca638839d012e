"""Exports: writes pictures with their vectors into files for other programs and for `import`.

Two layouts. That of clip-retrieval (https://github.com/rom1504/clip-retrieval) has shards:
`img_emb/img_emb_N.npy` with the vectors and `metadata/metadata_N.parquet` with the pictures, row by
row. The other is one parquet file, with the vectors as lists of a fixed size.

A complete shard has its final name, and its checksums are in `imgsearch.json`: the same export, run
again after a kill or a full disk, checks it and continues after it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import xxhash

from imgsearch.catalog import Catalog
from imgsearch.errors import ExchangeError, QueryError, TooManyFiles, is_too_many_files
from imgsearch.exchange.columns import (
    ROWS_PER_BATCH,
    SPACE_KEY,
    Places,
    arrow,
    batches,
    columns,
    schema_of,
    space_to_json,
    with_vectors,
)
from imgsearch.filters.tree import Filter
from imgsearch.spaces import no_pictures
from imgsearch.vectors import EmbeddingSpace, Ids
from imgsearch.writing import PART_AFFIXES, discard, new_file, replace_file

ROWS_PER_SHARD = 100_000
VECTORS_FOLDER, PICTURES_FOLDER, STATE_FILE = "img_emb", "metadata", "imgsearch.json"
VECTORS_NAME = re.compile(r"img_emb_(\d+)\.npy")
PICTURES_NAME = re.compile(r"metadata_(\d+)\.parquet")
DTYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
FORMATS = ("clip-retrieval", "parquet")
_REPLACE_HINT = "Choose another name, or replace it with --replace."
_MAX_STATE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Options of an export.

    Attributes
    ----------
    where : Filter or None
        Only pictures that pass it; None for all.
    form : {"clip-retrieval", "parquet"} or ""
        "" for parquet if the target's name ends with ".parquet", else clip-retrieval.
    dtype : {"float16", "float32"} or ""
        Type of the vectors; "" for float16 in shards and float32 in one parquet file. The catalog
        has float16, and both have the same values.
    shard_rows : int
        Pictures of a shard.
    replace : bool
        Replace an existing file, or an export of something else.
    """

    where: Filter | None = None
    form: str = ""
    dtype: str = ""
    shard_rows: int = ROWS_PER_SHARD
    replace: bool = False

    def form_of(self, target: str) -> str:
        """The format of the export to `target`."""
        by_name = FORMATS[target.endswith(".parquet")]
        return self.form or by_name


@dataclass(frozen=True, slots=True)
class Export:
    """The result of an export.

    Attributes
    ----------
    images : int
        Pictures with a vector.
    without_vector : int
        Pictures that pass the filter and were left out, because they have none.
    shards : int
        Number of shards, of which `kept` were there already; 0 for one file.
    """

    images: int
    without_vector: int
    shards: int = 0
    kept: int = 0


OnShard = Callable[[int, int], None]
"""Called after each shard with the number of pictures written and the total."""


def export(
    catalog: Catalog,
    space: EmbeddingSpace,
    target: str,
    request: ExportRequest,
    on_shard: OnShard = lambda done, total: None,
    places: Places | None = None,
) -> Export:
    """Write the pictures that pass a filter and have a vector in a space.

    All of it is one state of the catalog. Memory does not grow with the number of pictures.

    Parameters
    ----------
    target : str
        Folder or, for one parquet file, file.
    places : Places or None
        Positions for the columns x and y; None for no such columns.

    Raises
    ------
    ExchangeError
        The target holds something else, or cannot be written.
    QueryError
        There is nothing to export.
    MissingExtra
        pyarrow is not installed.
    """
    arrow("imgsearch export")
    target, form = target or os.curdir, request.form_of(target)
    with catalog.snapshot(), _failures(target):
        ids, missing = _selected(catalog, space, request.where)
        if form == "parquet":
            dtype = DTYPES[request.dtype or "float32"]
            images = _write_file(catalog, space, ids, dtype, target, request.replace, places)
            return Export(images, missing)
        dtype = DTYPES[request.dtype or "float16"]
        folder = _Folder(target, catalog, space, ids, dtype, request, places)
        return folder.write(missing, on_shard)


def _selected(catalog: Catalog, space: EmbeddingSpace, where: Filter | None) -> tuple[Ids, int]:
    """Ids of the pictures to export, sorted, and the number of those without a vector."""
    passing = catalog.select(where)
    if not len(passing):
        raise QueryError("no picture passes the filter") if catalog.count() else no_pictures()
    ids = np.intersect1d(passing, catalog.vector_ids(space), assume_unique=True)
    if not len(ids):
        raise QueryError(
            f"none of these {len(passing)} pictures has a vector of {space.model} yet",
            f"Finish indexing with it: imgsearch index --model {space.model}",
        )
    return ids, len(passing) - len(ids)


@contextmanager
def _failures(target: str) -> Iterator[None]:
    """Errors of the system as an `ExchangeError`."""
    try:
        yield
    except OSError as error:
        if is_too_many_files(error):
            raise TooManyFiles from error
        raise ExchangeError(
            f"the export {target} cannot be written: {error.strerror or error}",
            "Check the folder, its permissions and the free space, and run the same command again."
            " An export into a folder keeps its complete shards.",
        ) from error


# One file


def _write_file(
    catalog: Catalog,
    space: EmbeddingSpace,
    ids: Ids,
    dtype: np.dtype[Any],
    target: str,
    replace: bool,
    places: Places | None,
) -> int:
    """Write one parquet file, a row group per batch; returns the number of pictures."""
    from pyarrow.parquet import ParquetWriter

    if os.path.isdir(target):
        raise ExchangeError(f"{target} is a folder", "Name a file for --format parquet.")
    if os.path.lexists(target) and not replace:
        raise ExchangeError(f"{target} already exists", _REPLACE_HINT)
    images = 0
    schema = schema_of(space, dtype.name, places)
    with new_file(target) as file, ParquetWriter(file, schema) as writer:
        for records, vectors in batches(catalog, space, ids):
            table = with_vectors(columns(records, places), vectors.astype(dtype), space)
            writer.write_table(table)
            images += len(records)
    return images


def require_new(target: str) -> None:
    """Raise `ExchangeError` if there is something, or no folder around it."""
    if os.path.lexists(target):
        raise ExchangeError(f"{target} already exists", "Choose another name.")
    if not os.path.isdir(os.path.dirname(os.path.abspath(target))):
        raise ExchangeError(
            f"the folder of {target} does not exist", "Create it, or choose another folder."
        )


def write_places(catalog: Catalog, places: Places, target: str) -> None:
    """Write the pictures on a map into one parquet file, with x and y and without vectors.

    Raises
    ------
    ExchangeError
        The target exists, or cannot be written.
    MissingExtra
        pyarrow is not installed.
    """
    arrow("imgsearch map --parquet")
    from pyarrow.parquet import ParquetWriter

    require_new(target)
    schema = schema_of(places=places)
    with (
        catalog.snapshot(),
        _failures(target),
        new_file(target) as file,
        ParquetWriter(file, schema) as writer,
    ):
        for start in range(0, len(places.ids), ROWS_PER_BATCH):
            records = catalog.get(places.ids[start : start + ROWS_PER_BATCH].tolist())
            writer.write_table(columns([*records.values()], places))


# Shards


class _Folder:
    """A folder with the shards of one export."""

    def __init__(
        self,
        folder: str,
        catalog: Catalog,
        space: EmbeddingSpace,
        ids: Ids,
        dtype: np.dtype[Any],
        request: ExportRequest,
        places: Places | None,
    ) -> None:
        self._folder, self._catalog, self._space, self._dtype = folder, catalog, space, dtype
        self._ids, self._rows, self._places = ids, request.shard_rows, places
        self._count = -(-len(ids) // self._rows)
        self._state = _State(folder, self._selection(), request.replace)

    def _selection(self) -> str:
        """A hash of everything that determines the content of the shards."""
        parts = (*self._catalog.head(), self._catalog.uuid, self._space.key, self._dtype.str)
        head = "\n".join(map(str, (*parts, self._rows))).encode()
        where = b"" if self._places is None else self._places.positions.tobytes()
        return xxhash.xxh3_128(head + self._ids.tobytes() + where).hexdigest()

    def write(self, missing: int, on_shard: OnShard) -> Export:
        """Write the shards that are not complete yet."""
        images = kept = 0
        self._state.begin()
        for number in range(self._count):
            names = self._names(number)
            written = self._state.complete(number, names)
            kept += written is not None
            if written is None:
                start = number * self._rows
                written = self._write_shard(self._ids[start : start + self._rows], *names)
                self._state.add(number, names, written)
            images += written
            on_shard(images, len(self._ids))
        return Export(images, missing, self._count, kept)

    def _names(self, number: int) -> tuple[str, str]:
        """Paths of the two files of a shard, numbered as clip-retrieval numbers them."""
        digits = str(number).zfill(len(str(self._count)))
        return (
            os.path.join(self._folder, VECTORS_FOLDER, f"img_emb_{digits}.npy"),
            os.path.join(self._folder, PICTURES_FOLDER, f"metadata_{digits}.parquet"),
        )

    def _write_shard(self, ids: Ids, vectors_path: str, pictures_path: str) -> int:
        from pyarrow.parquet import ParquetWriter

        images = 0
        schema = _shard_schema(self._space, self._places)
        with new_file(pictures_path) as pictures, new_file(vectors_path) as numbers:
            _write_header(numbers, self._dtype, len(ids), self._space.dimension)
            with ParquetWriter(pictures, schema) as writer:
                for records, vectors in batches(self._catalog, self._space, ids):
                    table = columns(records, self._places)
                    writer.write_table(_shard_table(table, schema))
                    numbers.write(np.ascontiguousarray(vectors, self._dtype).tobytes())
                    images += len(records)
            numbers.seek(0)  # again, without the rows of damaged pictures
            _write_header(numbers, self._dtype, images, self._space.dimension)
            numbers.seek(0, os.SEEK_END)
        return images


def _shard_schema(space: EmbeddingSpace, places: Places | None) -> Any:
    """The schema of clip-retrieval: `image_path` and `caption`, then our own names."""
    pa = arrow("imgsearch export")
    fields = list(schema_of(places=places))
    first = [fields[0].with_name("image_path"), pa.field("caption", pa.string())]
    return pa.schema([*first, *fields[1:]], {SPACE_KEY: space_to_json(space)})


def _shard_table(table: Any, schema: Any) -> Any:
    import pyarrow.compute as pc

    caption = pc.coalesce(table["title"], table["description"])
    return table.add_column(1, "caption", caption).rename_columns(schema.names).cast(schema)


def _write_header(file: IO[bytes], dtype: np.dtype[Any], count: int, dimension: int) -> None:
    """The header of an npy file, whose length does not depend on the count (NumPy NEP 1)."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": (count, dimension)}
    np.lib.format.write_array_header_1_0(file, header)


class _State:
    """The file that lists the complete shards."""

    def __init__(self, folder: str, selection: str, replace: bool) -> None:
        self._folder, self._selection = folder, selection
        self._path = os.path.join(folder, STATE_FILE)
        self._shards = self._known(replace)

    def _known(self, replace: bool) -> dict[str, list[Any]]:
        """Number of a shard -> its pictures and checksums."""
        if not os.path.isdir(self._folder):
            if os.path.lexists(self._folder):
                raise ExchangeError(f"{self._folder} is a file", "Name a new folder.")
            return {}
        state = _read_state(self._path)
        if state is None and os.listdir(self._folder):
            raise ExchangeError(
                f"{self._folder} is not empty, and holds no export", "Choose a new folder."
            )
        if state is None or state["selection"] == self._selection:
            return state["shards"] if state else {}
        if not replace:
            raise ExchangeError(
                f"{self._folder} holds the export of another selection, or of an earlier state of"
                " the library",
                _REPLACE_HINT,
            )
        discard(self._path)
        self._sweep(lambda folder, name: bool(_is_shard(folder, name)))
        return {}

    def begin(self) -> None:
        """Make the folders, and remove leftovers of a killed export."""
        for name in (VECTORS_FOLDER, PICTURES_FOLDER):
            os.makedirs(os.path.join(self._folder, name), exist_ok=True)
        self._sweep(
            lambda folder, name: name.startswith(PART_AFFIXES[0]) and name.endswith(PART_AFFIXES[1])
        )
        self._save()

    def _sweep(self, unwanted: Callable[[str, str], bool]) -> None:
        for folder in (VECTORS_FOLDER, PICTURES_FOLDER):
            path = os.path.join(self._folder, folder)
            for name in os.listdir(path) if os.path.isdir(path) else ():
                if unwanted(folder, name):
                    discard(os.path.join(path, name))

    def complete(self, number: int, names: tuple[str, str]) -> int | None:
        """The pictures of a shard; None if its files differ from what was written."""
        match self._shards.get(str(number)):
            case [int(images), str(), str()] as known if known[1:] == [*map(_digest, names)]:
                return images
        return None

    def add(self, number: int, names: tuple[str, str], images: int) -> None:
        """Note that a shard is complete."""
        self._shards[str(number)] = [images, *map(_digest, names)]
        self._save()

    def _save(self) -> None:
        state = {"imgsearch": 1, "selection": self._selection, "shards": self._shards}
        replace_file(self._path, json.dumps(state, indent=1).encode())


def _is_shard(folder: str, name: str) -> Any:
    return (VECTORS_NAME if folder == VECTORS_FOLDER else PICTURES_NAME).fullmatch(name)


def _read_state(path: str) -> dict[str, Any] | None:
    """The manifest that an export has written there; None if there is none of this kind."""
    try:
        with open(path, "rb") as file:
            state = json.loads(file.read(_MAX_STATE_BYTES))
        known = state["imgsearch"] == 1 and isinstance(state["shards"], dict)
        return state if known and isinstance(state["selection"], str) else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _digest(path: str) -> str:
    """xxh3-128 of a file, in hex; "" if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()
    except OSError:
        return ""
