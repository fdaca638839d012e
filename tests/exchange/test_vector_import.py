"""Imports: the inverse of export, what does not fit, and files that are hostile."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.catalog import Catalog, open_catalog
from imgsearch.catalog.sqlite_file import FILE
from imgsearch.encoders.registry import Registry
from imgsearch.errors import EncoderError, ExchangeError, ImgSearchError, SpaceMismatch
from imgsearch.exchange.export import ExportRequest, export
from imgsearch.exchange.vector_import import Import, import_vectors
from imgsearch.settings import Settings
from imgsearch.spaces import Spaces
from imgsearch.vectors import RANDOM, EmbeddingSpace
from tests.conftest import ROOT, examples
from tests.exchange.libraries import add, library, picture, stored, without_vectors
from tests.fakes import OTHER, SPACE, MemoryFolder, MemoryPool, ingest, unit_rows


def take(catalog: Catalog, path: Path | str) -> Import:
    settings = Settings(library=catalog.folder)
    return import_vectors(catalog, Spaces(settings, Registry(settings), catalog), str(path))


def exported(folder: Path, *pictures, request: ExportRequest | None = None, space=SPACE) -> Path:
    """An export of a library of these pictures."""
    request = request or ExportRequest(shard_rows=2)
    with library(folder / "there", *pictures, space=space) as catalog:
        export(catalog, space, str(folder / "out"), request)
    return folder / "out"


@pytest.fixture(scope="module")
def six(tmp_path_factory) -> Iterator[Catalog]:
    """A library of six pictures, two of them with the same bytes."""
    pictures = [picture(f"{at}.jpg", f"content {min(at, 4)}") for at in range(6)]
    with library(tmp_path_factory.mktemp("six"), *pictures) as catalog:
        yield catalog


@settings(max_examples=examples(40))
@given(
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from(["clip-retrieval", "parquet"]),
    dtype=st.sampled_from(["float16", "float32"]),
    shard_rows=st.integers(1, 4),
    place=st.integers(0, 4),
)
def test_export_then_import_is_the_identity(
    six: Catalog, seed: int, form: str, dtype: str, shard_rows: int, place: int
) -> None:
    """Bit by bit, whichever vectors are lost; and a second import changes nothing."""
    numbers = unit_rows(5, seed).astype("<f2")
    with closing(sqlite3.connect(Path(six.folder) / FILE)) as connection, connection:
        for image_id, vector in enumerate([*numbers, numbers[4]], 1):
            values = (vector.tobytes(), image_id)
            connection.execute("UPDATE embeddings SET vector = ? WHERE image_id = ?", values)
    before = stored(six.folder)
    with tempfile.TemporaryDirectory() as out:
        target = os.path.join(out, "out")
        export(six, SPACE, target, ExportRequest(None, form, dtype, shard_rows))
        without_vectors(Path(six.folder), after=place)
        report = take(six, target)
        assert (report.added, report.known, report.unknown) == (6 - place, 6, 0)
        assert stored(six.folder) == before
        head = six.head()
        assert take(six, target).added == 0 and six.head() == head


def test_pictures_are_known_by_their_bytes(tmp_path: Path) -> None:
    out = exported(tmp_path, picture("x.jpg", "both"), picture("y.jpg", "only there"))
    with library(tmp_path / "here", picture("a/b.jpg", "both", "/home/me"), space=OTHER) as catalog:
        add(catalog, picture("c.jpg", "here alone"))
        report = take(catalog, out)
    assert (report.rows, report.added, report.known, report.unknown) == (2, 1, 1, 1)
    assert report.unknown_paths == ["/photos/y.jpg"]
    there = {digest: vector for _, digest, vector in stored(tmp_path / "there")}
    assert report.notes == [
        "Searches go on with other. To use these vectors, and make those that are missing:"
        " imgsearch index --model toy"
    ]
    path, digest, vector = stored(tmp_path / "here")[0]
    assert path == "/home/me/a/b.jpg" and vector == there[digest]


def test_a_later_index_encodes_only_the_rest(tmp_path: Path) -> None:
    folder = MemoryFolder()
    folder.files = {f"{number}.jpg": (f"{number:032x}", 1) for number in range(5)}
    with library(tmp_path / "there") as catalog:
        ingest(catalog, folder)
        export(catalog, SPACE, str(tmp_path / "out"), ExportRequest(shard_rows=2))
    folder.files["new.jpg"] = ("f" * 32, 1)
    with library(tmp_path / "here") as catalog:
        ingest(catalog, folder, space=OTHER)
        add(catalog, picture("elsewhere.jpg", "elsewhere", "/elsewhere"))
        assert take(catalog, tmp_path / "out").added == 5
        pool = MemoryPool(folder)
        ingest(catalog, folder, pool=pool)
    assert pool.encoded == ["new.jpg"]


def test_an_import_without_a_match_changes_nothing(tmp_path: Path) -> None:
    out = exported(tmp_path, picture("a.jpg", "a"))
    with library(tmp_path / "here", picture("b.jpg", "b")) as catalog:
        head = catalog.head()
        report = take(catalog, out)
        assert (report.added, report.unknown, report.notes) == (0, 1, [])
        assert catalog.head() == head


def test_vectors_that_are_here_stay(tmp_path: Path) -> None:
    out = exported(tmp_path, picture("a.jpg", "a"))
    with library(tmp_path / "here", picture("a.jpg", "a")) as catalog:
        assert (take(catalog, out).added, take(catalog, out).known) == (0, 1)


def test_another_space_is_refused_with_the_way(tmp_path: Path) -> None:
    out = exported(tmp_path, picture("a.jpg", "a"), space=OTHER)
    with library(tmp_path / "here", picture("a.jpg", "a")) as catalog:
        with pytest.raises(SpaceMismatch, match="do not fit this library") as caught:
            take(catalog, out)
        assert "same version" in caught.value.hint
        assert catalog.known_spaces() == [SPACE]
    random = EmbeddingSpace("toy", RANDOM, "none", 8)
    out = exported(tmp_path / "random", picture("a.jpg", "a"), space=random)
    with library(tmp_path / "here") as catalog, pytest.raises(EncoderError, match="random weights"):
        take(catalog, out)


def test_the_model_of_this_machine_may_be_new_to_the_library(tmp_path: Path, one_model) -> None:
    from imgsearch.encoders import builtin
    from imgsearch.model_card import EncoderOptions

    space = builtin.load("builtin", EncoderOptions(device="cpu")).space
    older = EmbeddingSpace(space.model, "an earlier one", space.preprocessing, space.dimension)
    for name, each in (("now", space), ("then", older)):
        wide = np.eye(1, space.dimension, dtype=np.float16)[0]
        out = exported(tmp_path / name, replace(picture("a.jpg", "a"), vector=wide), space=each)
        with library(tmp_path / f"here {name}", picture("a.jpg", "a")) as catalog:
            if each == space:
                assert take(catalog, out).added == 1
            else:
                with pytest.raises(SpaceMismatch, match="an earlier one"):
                    take(catalog, out)


KILLED = """
import os, signal, sys
from imgsearch.catalog import open_catalog
from imgsearch.encoders.registry import Registry
from imgsearch.exchange.vector_import import import_vectors
from imgsearch.settings import Settings
from imgsearch.spaces import Spaces
catalog = open_catalog(sys.argv[1])
spaces = Spaces(Settings(library=sys.argv[1]), Registry(Settings()), catalog)
import_vectors(catalog, spaces, sys.argv[2], lambda *at: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_killed_import_is_run_again(tmp_path: Path) -> None:
    pictures = [picture(f"{number}.jpg", str(number)) for number in range(5)]
    out = exported(tmp_path, *pictures)
    before = stored(tmp_path / "there")
    without_vectors(tmp_path / "there")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "there"), str(out)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert stored(tmp_path / "there") == before[:2]
    with library(tmp_path / "there") as catalog:
        assert take(catalog, out).added == 3
    assert stored(tmp_path / "there") == before


# Files that do not fit


def rewritten(file: Path, change) -> None:
    """Change the table of a parquet file, keeping its metadata."""
    table = pq.read_table(file)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), file)


def test_rows_with_bad_values_are_left_out_and_counted(tmp_path: Path) -> None:
    pictures = [picture(f"{number}.jpg", str(number)) for number in range(6)]
    out = exported(tmp_path, *pictures, request=ExportRequest(shard_rows=6, dtype="float32"))
    vectors = np.load(out / "img_emb/img_emb_0.npy")
    vectors[0, 0], vectors[1, 0], vectors[2] = np.nan, np.inf, 0
    vectors[3] *= 2
    np.save(out / "img_emb/img_emb_0.npy", vectors)

    def without_hash(table: pa.Table) -> pa.Table:
        hashes = table["content_hash"].to_pylist()
        hashes[4] = "not a hash"
        place = table.column_names.index("content_hash")
        return table.set_column(place, "content_hash", pa.array(hashes))

    rewritten(out / "metadata/metadata_0.parquet", without_hash)
    without_vectors(tmp_path / "there")
    with library(tmp_path / "there") as catalog:
        report = take(catalog, out)
    assert (report.rows, report.added, report.unsound) == (6, 1, 5)
    assert [path for path, _, _ in stored(tmp_path / "there")] == ["/photos/5.jpg"]


def _npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        (b"", "header"),
        (b"not numpy at all", "header"),
        (_npy("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 8)}"), "cut off"),
        (_npy("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 9)}", bytes(36)), "2 rows"),
        (_npy("{'descr': '<f2', 'fortran_order': False, 'shape': (10**12, 8)}"), "header"),
        (_npy("{'descr': '<f2', 'fortran_order': False, 'shape': (999999999999, 8)}"), "fit"),
        (
            _npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 8)}", bytes(99)),
            "type object",
        ),
        (_npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 8)}", bytes(99)), "type int"),
        (_npy("{'descr': '<f2', 'fortran_order': True, 'shape': (2, 8)}", bytes(99)), "rows of"),
        (_npy("__import__('os').system('true')"), "header"),
    ],
)
def test_a_bad_npy_file_is_a_sentence(tmp_path: Path, vectors: bytes, reason: str) -> None:
    out = exported(tmp_path, picture("a.jpg", "a"), picture("b.jpg", "b"))
    (out / "img_emb/img_emb_0.npy").write_bytes(vectors)
    refused(tmp_path, out, reason)


def refused(tmp_path: Path, path: Path, reason: str) -> None:
    """The import fails with a sentence, and changes nothing."""
    without_vectors(tmp_path / "there")
    with library(tmp_path / "there") as catalog:
        head = catalog.head()
        with pytest.raises(ImgSearchError, match=f"(?i){reason}"):
            take(catalog, path)
        assert catalog.head() == head


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.drop_columns(["vector"]), "no column vector"),
        (lambda t: t.drop_columns(["content_hash"]), "no column content_hash"),
        (lambda t: _vectors(t, pa.array([1.0] * len(t))), "lists of numbers"),
        (lambda t: _vectors(t, pa.array([[1.0] * 7] * len(t), pa.list_(pa.float32(), 7))), "7 num"),
        (lambda t: _vectors(t, pa.array([[1.0] * 7, [1.0] * 9])), "not 8 numbers"),
        (lambda t: _vectors(t, pa.array([None, [1.0] * 8])), "not 8 numbers"),
        (lambda t: _vectors(t, pa.array([["a"] * 8] * len(t))), "lists of numbers"),
        (lambda t: _hashes(t, pa.array([1] * len(t))), "imported"),
        (lambda t: _hashes(t, pa.array(["a" * 70_000] * len(t))), "text of 70000 characters"),
    ],
)
def test_a_bad_parquet_file_is_a_sentence(tmp_path: Path, change, reason: str) -> None:
    request = ExportRequest(form="parquet")
    out = exported(tmp_path, picture("a.jpg", "a"), picture("b.jpg", "b"), request=request)
    rewritten(out, change)
    refused(tmp_path, out, reason)


def _vectors(table: pa.Table, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index("vector"), "vector", column)


def _hashes(table: pa.Table, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index("content_hash"), "content_hash", column)


@pytest.mark.parametrize(
    "space",
    [
        None,
        b"",
        b"[" * 50_000,
        b'{"space": {"model": "toy"}, "key": ""}',
        b'{"space": {"model": 1, "revision": "1", "preprocessing": "none", "dimension": 8,'
        b' "instruction": ""}, "key": "x"}',
        b'{"space": {"model": "toy", "revision": "1", "preprocessing": "none", "dimension": 1e9,'
        b' "instruction": ""}, "key": "x"}',
        b'{"space": {"model": "toy", "revision": "1", "preprocessing": "none", "dimension": 8,'
        b' "instruction": ""}, "key": "another"}',
    ],
)
def test_a_file_that_does_not_name_its_model_is_refused(tmp_path: Path, space) -> None:
    out = exported(tmp_path, picture("a.jpg", "a"), request=ExportRequest(form="parquet"))
    table = pq.read_table(out)
    metadata = None if space is None else {b"imgsearch": space}
    pq.write_table(table.replace_schema_metadata(metadata), out)
    refused(tmp_path, out, "model")


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9, 0.999])
def test_a_damaged_or_cut_off_parquet_file_is_a_sentence(tmp_path: Path, at: float) -> None:
    out = exported(tmp_path, picture("a.jpg", "a"), request=ExportRequest(form="parquet"))
    data = out.read_bytes()
    out.write_bytes(data[: int(len(data) * at)])
    refused(tmp_path, out, "cannot be imported")


def test_what_is_no_export_is_a_sentence(tmp_path: Path) -> None:
    out = exported(tmp_path, picture("a.jpg", "a"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text")
    refused(tmp_path, tmp_path / "empty", "no export")
    refused(tmp_path, tmp_path / "none", "no export")
    refused(tmp_path, tmp_path / "text", "cannot be imported")
    (out / "metadata/metadata_0.parquet").unlink()
    os.mkfifo(out / "metadata/metadata_0.parquet")
    refused(tmp_path, out, "not complete")


def test_shards_of_two_models_are_refused(tmp_path: Path) -> None:
    out = exported(tmp_path / "one", picture("a.jpg", "a"))
    other = exported(tmp_path / "two", picture("a.jpg", "a"), space=OTHER)
    for name in ("img_emb/img_emb_{}.npy", "metadata/metadata_{}.parquet"):
        shutil.copy(other / name.format(0), out / name.format(1))
    with library(tmp_path / "one/there") as catalog, pytest.raises(ExchangeError, match="several"):
        take(catalog, out)


def test_the_catalog_is_sound_after_an_import(tmp_path: Path) -> None:
    out = exported(tmp_path, picture("a.jpg", "a"))
    without_vectors(tmp_path / "there")
    with library(tmp_path / "there") as catalog:
        take(catalog, out)
        assert open_catalog(catalog.folder).check() == []
