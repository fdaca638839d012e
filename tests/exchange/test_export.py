"""Exports: the layouts, resuming after a kill, a full disk, and what there is nothing of."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from imgsearch.catalog import Catalog
from imgsearch.errors import ExchangeError, QueryError
from imgsearch.exchange.export import ExportRequest, export
from imgsearch.filters.parser import parse
from tests.conftest import ROOT
from tests.exchange.libraries import add, library, picture, stored, without_vectors
from tests.fakes import DIMENSION, OTHER, SPACE

COUNT = 7
ODD = "odd \udcff name.jpg"
SHARDS = ExportRequest(shard_rows=3)


@pytest.fixture
def seven(tmp_path: Path):
    pictures = [picture(f"{number}.jpg", f"content {number}") for number in range(COUNT - 1)]
    odd = picture(ODD, "odd", title="Möwe", keywords=("sea", "bird"), taken_at=datetime(1965, 7, 1))
    with library(tmp_path / "library", *pictures, odd) as catalog:
        yield catalog


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_shards_have_the_layout_of_clip_retrieval(seven: Catalog, tmp_path: Path) -> None:
    target = tmp_path / "out"
    done = export(seven, SPACE, str(target), SHARDS)
    assert (done.images, done.without_vector, done.shards, done.kept) == (COUNT, 0, 3, 0)
    assert list(files(target)) == [
        "img_emb/img_emb_0.npy",
        "img_emb/img_emb_1.npy",
        "img_emb/img_emb_2.npy",
        "imgsearch.json",
        "metadata/metadata_0.parquet",
        "metadata/metadata_1.parquet",
        "metadata/metadata_2.parquet",
    ]
    rows = {path: (digest, vector) for path, digest, vector in stored(seven.folder)}
    seen = []
    for number in range(3):
        vectors = np.load(target / f"img_emb/img_emb_{number}.npy", allow_pickle=False)
        table = pq.read_table(target / f"metadata/metadata_{number}.parquet")
        assert table.column_names[:2] == ["image_path", "caption"]
        assert vectors.dtype == np.float16 and vectors.shape == (len(table), DIMENSION)
        for row, vector in zip(table.to_pylist(), vectors, strict=True):
            assert rows[row["image_path"]] == (row["content_hash"], vector.tobytes())
            seen.append(row)
    assert sorted(row["image_path"] for row in seen) == sorted(rows)
    assert seen[-1]["caption"] == "Möwe" and seen[-1]["keywords"] == ["sea", "bird"]
    assert seen[-1]["taken_at"] == datetime(1965, 7, 1)


def test_ten_shards_are_numbered_with_two_digits(seven: Catalog, tmp_path: Path) -> None:
    """As clip-retrieval does, so that the order of names is that of numbers."""
    add(seven, *(picture(f"more {number}.jpg", f"more {number}") for number in range(3)))
    export(seven, SPACE, str(tmp_path / "out"), ExportRequest(shard_rows=1))
    names = sorted(path.name for path in (tmp_path / "out/img_emb").iterdir())
    assert names == [f"img_emb_{number:02}.npy" for number in range(10)]


def test_one_file_has_vectors_as_lists_of_a_fixed_size(seven: Catalog, tmp_path: Path) -> None:
    target = tmp_path / "all.parquet"
    done = export(seven, SPACE, str(target), ExportRequest())
    assert (done.images, done.shards) == (COUNT, 0)
    table = pq.read_table(target)
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: float>[8]"
    vectors = np.array(table["vector"].to_pylist(), np.float16)
    assert dict(zip(table["path"].to_pylist(), map(bytes, vectors), strict=True)) == {
        path: vector for path, _, vector in stored(seven.folder)
    }
    frame = table.to_pandas()
    assert frame["vector"][0].shape == (DIMENSION,) and set(frame["format"]) == {"JPEG"}


def test_the_filter_and_the_dtype_apply(seven: Catalog, tmp_path: Path) -> None:
    request = ExportRequest(parse("keyword = sea"), "parquet", "float16")
    done = export(seven, SPACE, str(tmp_path / "sea"), request)
    table = pq.read_table(tmp_path / "sea")
    assert done.images == len(table) == 1
    assert str(table.schema.field("vector").type) == "fixed_size_list<element: halffloat>[8]"


def test_pictures_without_a_vector_and_damaged_ones_are_left_out(
    seven: Catalog, tmp_path: Path
) -> None:
    import sqlite3

    add(seven, picture("other.jpg", "other"), space=OTHER)
    with sqlite3.connect(Path(seven.folder) / "catalog.sqlite") as connection:
        connection.execute("UPDATE embeddings SET vector = x'00' WHERE image_id = 2")
    connection.close()
    done = export(seven, SPACE, str(tmp_path / "out"), SHARDS)
    assert (done.images, done.without_vector) == (COUNT - 1, 1)
    assert np.load(tmp_path / "out/img_emb/img_emb_0.npy").shape == (2, DIMENSION)
    assert len(pq.read_table(tmp_path / "out/metadata/metadata_0.parquet")) == 2


def test_nothing_to_export_is_a_sentence(tmp_path: Path) -> None:
    target = str(tmp_path / "out")
    with library(tmp_path / "empty") as catalog, pytest.raises(QueryError, match="no pictures yet"):
        export(catalog, SPACE, target, SHARDS)
    with library(tmp_path / "one", picture("a.jpg", "a")) as catalog:
        with pytest.raises(QueryError, match="no picture passes the filter"):
            export(catalog, SPACE, target, ExportRequest(parse("width > 100")))
        without_vectors(tmp_path / "one")
        with pytest.raises(QueryError, match=r"none of these 1 pictures has a vector of toy yet"):
            export(catalog, SPACE, target, SHARDS)
    assert not os.path.exists(target)


def test_foreign_files_are_never_replaced(seven: Catalog, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    force = ExportRequest(shard_rows=3, replace=True)
    with pytest.raises(ExchangeError, match="holds no export"):
        export(seven, SPACE, str(mine), force)
    with pytest.raises(ExchangeError, match="already exists"):
        export(seven, SPACE, str(mine / "letter.txt"), ExportRequest(form="parquet"))
    with pytest.raises(ExchangeError, match="is a folder"):
        export(seven, SPACE, str(mine), ExportRequest(form="parquet", replace=True))
    with pytest.raises(ExchangeError, match="is a file"):
        export(seven, SPACE, str(mine / "letter.txt"), force)
    assert files(mine) == {"letter.txt": b"dear"}


@pytest.mark.parametrize("state", [b"[" * 100_000, b'{"imgsearch": 1}', b"\xff", b"null"])
def test_a_strange_state_file_is_no_export(seven: Catalog, tmp_path: Path, state: bytes) -> None:
    (tmp_path / "imgsearch.json").write_bytes(state)
    with pytest.raises(ExchangeError, match="holds no export"):
        export(seven, SPACE, str(tmp_path), SHARDS)


# Again, and after a kill


def test_a_second_run_keeps_sound_shards_and_writes_others_again(
    seven: Catalog, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    export(seven, SPACE, str(target), SHARDS)
    first = files(target)
    (target / "img_emb/img_emb_1.npy").write_bytes(b"damaged")
    (target / "metadata/metadata_2.parquet").unlink()
    (target / "metadata/.imgsearch-left.part").write_bytes(b"left by a kill")
    assert export(seven, SPACE, str(target), SHARDS).kept == 1
    assert files(target) == first
    assert export(seven, SPACE, str(target), SHARDS).kept == 3


def test_another_selection_needs_replace_and_leaves_no_old_shard(
    seven: Catalog, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    export(seven, SPACE, str(target), SHARDS)
    first = files(target)
    fewer = parse("keyword = sea")
    with pytest.raises(ExchangeError, match="another selection"):
        export(seven, SPACE, str(target), ExportRequest(fewer, shard_rows=3))
    assert files(target) == first
    (target / "img_emb" / "notes.txt").write_text("mine")
    export(seven, SPACE, str(target), ExportRequest(fewer, shard_rows=3, replace=True))
    assert list(files(target)) == [
        "img_emb/img_emb_0.npy",
        "img_emb/notes.txt",
        "imgsearch.json",
        "metadata/metadata_0.parquet",
    ]


KILLED = """
import os, signal, sys
from imgsearch.catalog import open_catalog
from imgsearch.exchange.export import ExportRequest, export
from tests.fakes import SPACE
def kill(done, total):
    if done >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
export(open_catalog(sys.argv[1]), SPACE, sys.argv[2], ExportRequest(shard_rows=2), kill)
"""


def test_a_killed_export_goes_on_where_it_was(seven: Catalog, tmp_path: Path) -> None:
    target, whole = tmp_path / "out", tmp_path / "whole"
    command = [sys.executable, "-c", KILLED, seven.folder, str(target), "4"]
    done = subprocess.run(command, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    # As after a kill between the two files of a shard.
    (target / "img_emb/img_emb_2.npy").write_bytes(b"half")
    report = export(seven, SPACE, str(target), ExportRequest(shard_rows=2))
    assert (report.kept, report.images) == (2, COUNT)
    export(seven, SPACE, str(whole), ExportRequest(shard_rows=2))
    assert files(target) == files(whole)


FULL = """
import resource, signal, sys
from imgsearch.catalog import open_catalog
from imgsearch.errors import ExchangeError
from imgsearch.exchange.export import ExportRequest, export
from tests.fakes import SPACE
catalog = open_catalog(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def on_shard(done, total):
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
request = ExportRequest(form=sys.argv[3], shard_rows=2)
if sys.argv[3] == "parquet":
    on_shard(0, 0)
try:
    export(catalog, SPACE, sys.argv[2], request, on_shard)
except ExchangeError as error:
    print(error, error.hint)
"""


@pytest.mark.parametrize("form", ["clip-retrieval", "parquet"])
def test_a_full_disk_is_a_sentence_and_costs_no_complete_shard(
    seven: Catalog, tmp_path: Path, form: str
) -> None:
    """A limit on the size of files stands for the full disk: parquet files here have 8 kB."""
    target = tmp_path / "out"
    command = [sys.executable, "-c", FULL, seven.folder, str(target), form]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "cannot be written: File too large" in done.stdout and "free space" in done.stdout
    left = files(target) if target.exists() else {}
    assert not [name for name in left if ".part" in name or "metadata_1" in name]
    if form == "clip-retrieval":
        assert json.loads(left["imgsearch.json"])["shards"].keys() == {"0"}
        assert export(seven, SPACE, str(target), ExportRequest(shard_rows=2)).kept == 1
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_memory_is_bounded_by_batches_and_not_by_shards(tmp_path: Path, monkeypatch) -> None:
    from imgsearch.exchange import columns

    monkeypatch.setattr(columns, "ROWS_PER_BATCH", 2)
    pictures = [picture(f"{number}.jpg", f"content {number}") for number in range(5)]
    with library(tmp_path / "library", *pictures) as catalog:
        export(catalog, SPACE, str(tmp_path / "out"), ExportRequest())
    file = pq.ParquetFile(tmp_path / "out/metadata/metadata_0.parquet")
    groups = [file.metadata.row_group(place).num_rows for place in range(file.num_row_groups)]
    assert groups == [2, 2, 1]
    assert np.load(tmp_path / "out/img_emb/img_emb_0.npy").shape == (5, DIMENSION)


# Readers of other programs, where they are installed


def test_the_reader_of_clip_retrieval_reads_the_shards(seven: Catalog, tmp_path: Path) -> None:
    reader = pytest.importorskip("embedding_reader")
    export(seven, SPACE, str(tmp_path / "out"), SHARDS)
    known = reader.EmbeddingReader(
        embeddings_folder=str(tmp_path / "out/img_emb"),
        metadata_folder=str(tmp_path / "out/metadata"),
        file_format="parquet_npy",
        meta_columns=["image_path"],
    )
    found = {}
    for vectors, frame in known(batch_size=2, start=0, end=known.count, show_progress=False):
        found |= dict(zip(frame["image_path"], vectors.astype("<f2"), strict=True))
    assert {path: vector.tobytes() for path, vector in found.items()} == {
        path: vector for path, _, vector in stored(seven.folder)
    }


def test_embedding_atlas_reads_the_file(seven: Catalog, tmp_path: Path) -> None:
    utils = pytest.importorskip("embedding_atlas.utils")
    projection = pytest.importorskip("embedding_atlas.projection")
    narwhals = pytest.importorskip("narwhals")
    export(seven, SPACE, str(tmp_path / "all.parquet"), ExportRequest())
    frame = utils.load_pandas_data(str(tmp_path / "all.parquet"))
    series = narwhals.from_native(frame["vector"], series_only=True)
    vectors = projection._to_canonical_vector(series)
    found = [vector.astype("<f2").tobytes() for vector in vectors]
    assert dict(zip(frame["path"], found, strict=True)) == {
        path: vector for path, _, vector in stored(seven.folder)
    }


def test_fiftyone_makes_samples_of_the_rows(seven: Catalog, tmp_path: Path) -> None:
    """Without its database, in the form in which it stores them; "id" is a name of its own."""
    fiftyone = pytest.importorskip("fiftyone")
    export(seven, SPACE, str(tmp_path / "all.parquet"), ExportRequest())
    found = {}
    for row in pq.read_table(tmp_path / "all.parquet").to_pylist():
        path, vector = row.pop("path"), np.array(row.pop("vector"), np.float32)
        del row["id"]
        sample = fiftyone.Sample(filepath=path, vector=vector, **row)
        again = fiftyone.Sample.from_dict(sample.to_dict())
        assert {name: again[name] for name in row if row[name] is not None} == {
            name: value for name, value in row.items() if value is not None
        }
        found[again["content_hash"]] = again["vector"].astype("<f2").tobytes()
    assert found == {digest: vector for _, digest, vector in stored(seven.folder)}
