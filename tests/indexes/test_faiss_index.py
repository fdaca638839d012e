"""What the kinds of an index write, when they train, and what they find in damaged files."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from imgsearch.bench.synthetic_vectors import clustered
from imgsearch.catalog.rows import from_blobs, to_blob
from imgsearch.indexes import builder, sealed_files, threads
from imgsearch.indexes.faiss_index import FaissIndex, FlatIndex, IvfIndex
from imgsearch.indexes.torch_index import TorchIndex
from imgsearch.vectors import EmbeddingSpace, normalize
from tests.conftest import ROOT, full_only
from tests.fakes import SPACE, SmallIvf, batch, unit_rows

WIDE = EmbeddingSpace("wide", "1", "none", 48)


class Auto(FaissIndex):
    """The kind auto with another threshold."""

    trained_from = 200


def wide_rows(count, start=0):
    """Clustered vectors as a catalog gives them."""
    return every_row()[start : start + count]


@cache
def every_row():
    return np.concatenate([each.vectors for each in clustered(4100, WIDE.dimension)])


def made(kind, folder, count, space=WIDE, train=True):
    index = kind(str(folder), "lib", space)
    index.apply(batch(list(range(1, count + 1)), wide_rows(count), revision=count))
    index.flush(train)
    return index


@pytest.mark.parametrize("dimension", [1, 3, 8, 48, 768])
def test_what_a_catalog_gives_is_stored_in_two_bytes_a_number(dimension):
    rows = unit_rows(200, dimension=dimension)
    rows[0] = 0
    rows[1] = np.eye(dimension)[0]
    if dimension > 1:
        rows[2] = normalize(np.array([[1.0] + [3e-3] * (dimension - 1)]))[0]
    given = from_blobs([to_blob(row) for row in rows], dimension)
    stored = builder.to_half(given)
    assert stored.dtype == "<f2"
    assert np.array_equal(normalize(stored), given)


def test_what_no_float16_gives_is_not_rounded(tmp_path):
    rows = unit_rows(50)
    with pytest.raises(builder.NotHalfPrecision):
        builder.to_half(rows)
    index = FlatIndex(str(tmp_path), "lib", SPACE)
    index.apply(batch(list(range(50)), rows))
    index.flush()
    assert np.array_equal(index.vectors(np.arange(50)), rows)


def test_auto_is_exact_first_and_trained_from_a_size_on(tmp_path):
    index = made(Auto, tmp_path, 199)
    assert index.described() == "exact"
    index.apply(batch([200], wide_rows(1, 199), 199, 200))
    assert index.due
    index.flush(train=True)
    assert index.described().startswith("32 lists trained on 200 vectors")
    assert not index.due


def test_lists_are_kept_until_there_are_four_times_as_many(tmp_path):
    index = made(Auto, tmp_path, 200)
    for count in (500, 799):
        ids = list(range(len(index) + 1, count + 1))
        index.apply(batch(ids, wide_rows(len(ids), ids[0]), len(index), count))
        index.flush(train=True)
        assert "trained on 200 vectors" in index.described() and len(index) == count
    index.apply(batch([800], wide_rows(1, 800), 799, 800))
    assert index.due
    index.flush(train=True)
    assert "64 lists trained on 800 vectors" in index.described()


def test_a_search_trains_nothing_and_keeps_what_is_trained(tmp_path):
    assert made(Auto, tmp_path / "one", 300, train=False).described() == "exact"
    made(Auto, tmp_path / "two", 300)
    index = FlatIndex(str(tmp_path / "two"), "lib", WIDE)
    index.apply(batch([301], wide_rows(1, 300), 300, 301))
    index.flush()
    assert "trained on 300" in index.described()


def test_only_some_lists_are_looked_into_and_nearly_all_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "MIN_RECALL", 0.9)  # far queries in 48 dimensions are hard
    index = made(IvfIndex, tmp_path, 4000)
    assert index.main is not None and index.main.header.probes < index.main.header.lists
    rows = wide_rows(4000)
    noise = normalize(np.random.default_rng(1).standard_normal((200, 48)))
    queries = normalize(rows[::20] + 0.5 * noise)
    best = np.argsort(-(queries @ rows.T), axis=1)[:, :10] + 1
    found = index.search(queries, 10)
    assert f"{index.main.header.probes} of {index.main.header.lists} lists" in found.method
    hits = sum(len(set(a) & set(b)) for a, b in zip(found.ids.tolist(), best.tolist(), strict=True))
    assert hits / 2000 >= 0.9
    scores = np.take_along_axis(queries @ rows.T, found.ids - 1, axis=1)
    assert np.allclose(found.scores, scores, atol=1e-6)


@pytest.mark.parametrize("kind", [FlatIndex, TorchIndex])
def test_every_kind_opens_what_another_has_written(tmp_path, kind):
    made(IvfIndex, tmp_path, 2000)
    index = kind(str(tmp_path), "lib", WIDE)
    rows, queries = wide_rows(2000), unit_rows(40, dimension=48)
    best = np.argsort(-(queries @ rows.T), axis=1)[:, :10] + 1
    for count in (1, 40):
        assert (index.search(queries[:count], 10).ids == best[:count]).all()


def test_torch_finds_what_bfloat16_cannot_tell_apart(tmp_path):
    """3000 vectors whose scores differ by less than bfloat16 shows."""
    centre = unit_rows(1, dimension=48)
    rows = normalize(centre + 1e-3 * unit_rows(3000, 1, 48))
    index = TorchIndex(str(tmp_path), "lib", WIDE)
    index.apply(batch(list(range(3000)), rows))
    index.flush()
    best = np.argsort(-(rows @ centre[0]), kind="stable")[:5]
    found = index.search(centre, 5)
    assert "bfloat16" in found.method
    assert np.allclose(found.scores[0], (rows @ centre[0])[best], atol=1e-7)


def test_a_reader_keeps_its_file_while_it_is_replaced(tmp_path):
    reader = made(IvfIndex, tmp_path, 500)
    writer = IvfIndex(str(tmp_path), "lib", WIDE)
    writer.apply(batch([501], wide_rows(1, 500), 500, 501, removals=(7,)))
    writer.flush(train=True, retrain=True)
    assert len(os.listdir(tmp_path)) == 1
    query = wide_rows(7)[6:]
    assert reader.search(query, 1).ids[0, 0] == 7 and reader.check() == ""
    reader.reload()
    assert reader.revision == 501 and reader.search(query, 1).ids[0, 0] != 7


def test_a_bit_in_a_large_file_is_found_by_reading_it(tmp_path, monkeypatch):
    index = made(FlatIndex, tmp_path, 300)
    path = tmp_path / f"lib.{WIDE.key}.300.faiss"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    assert "damaged" in FlatIndex(str(tmp_path), "lib", WIDE).doubt, "small ones are read at once"
    monkeypatch.setattr(sealed_files, "MAX_VERIFIED_BYTES", 0)
    index = FlatIndex(str(tmp_path), "lib", WIDE)
    assert index.doubt == "" and "damaged" in index.check()


NO_DESCRIPTORS = """
import os, resource, sys
from imgsearch.errors import TooManyFiles
from imgsearch.indexes.faiss_index import FlatIndex
from tests.indexes.test_faiss_index import WIDE
assert len(FlatIndex(sys.argv[1], "lib", WIDE)) == 300  # imports all that is needed
highest = max(int(name) for name in os.listdir("/proc/self/fd"))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
for limit in range(3, highest + 4):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        print(FlatIndex(sys.argv[1], "lib", WIDE).doubt or "opened")
    except (TooManyFiles, OSError):
        print("named")
"""


@full_only
@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are numbered from the lowest")
def test_too_many_open_files_are_no_damage(tmp_path):
    made(FlatIndex, tmp_path, 300)
    command = [sys.executable, "-c", NO_DESCRIPTORS, tmp_path]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert set(result.stdout.split("\n")) == {"named", "opened", ""}, result.stderr


@pytest.mark.parametrize("damage", ["cut", "grow", "header"])
def test_other_damage_to_a_large_file_is_found_at_once(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(sealed_files, "MAX_VERIFIED_BYTES", 0)
    made(FlatIndex, tmp_path, 300)
    path = tmp_path / f"lib.{WIDE.key}.300.faiss"
    data = path.read_bytes()
    header = data.replace(b'"count": 300', b'"count": 299')
    path.write_bytes({"cut": data[:-4096], "grow": data + b"x", "header": header}[damage])
    index = FlatIndex(str(tmp_path), "lib", WIDE)
    assert "damaged" in index.doubt and len(index) == 0


def test_a_file_under_the_name_of_another_is_not_used(tmp_path):
    made(FlatIndex, tmp_path, 30)
    os.rename(tmp_path / f"lib.{WIDE.key}.30.faiss", tmp_path / f"other.{WIDE.key}.31.faiss")
    index = FlatIndex(str(tmp_path), "other", WIDE)
    assert len(index) == 0 and "of another kind" in index.doubt


@pytest.mark.parametrize("blocks", [0, 1, 2.5])
def test_blocks_are_sealed_at_their_edges(tmp_path, blocks):
    path, body = tmp_path / "file", os.urandom(int(blocks * (1 << 22)))
    with open(path, "wb") as file:
        writer = sealed_files.SealedWriter(file)
        for start in range(0, len(body), 1_000_001):
            writer.write(body[start : start + 1_000_001])
        writer.close({"some": "header"})
    with open(path, "rb") as file:
        sealed = sealed_files.unseal(file)
        assert (sealed.length, sealed.header) == (len(body), {"some": "header"})


def test_a_library_that_lost_most_of_its_pictures_is_exact_again(tmp_path):
    index = made(Auto, tmp_path, 300)
    gone = tuple(range(1, 281))
    index.apply(batch([], unit_rows(0, dimension=48), 300, 301, removals=gone))
    index.flush(train=True)
    assert index.described() == "exact" and len(index) == 20
    index.apply(batch([], unit_rows(0, dimension=48), 301, 302, removals=tuple(range(281, 301))))
    index.flush(train=True)
    assert len(FlatIndex(str(tmp_path), "lib", WIDE)) == 0


def test_threads_share_the_lists_and_the_queries(tmp_path, monkeypatch):
    index, rows = made(FlatIndex, tmp_path, 300), wide_rows(300)
    # Any amount of work is shared.
    monkeypatch.setattr("imgsearch.indexes.mapped_vectors.CHUNK_ROWS", 1)
    for count in (1, 2, 5):
        monkeypatch.setattr("imgsearch.indexes.mapped_vectors.threads", lambda count=count: count)
        for some in (rows[:1], rows[:4], rows[:64]):
            assert (index.search(some, 1).ids[:, 0] == np.arange(1, len(some) + 1)).all()
    assert threads.threads() >= 1


def test_a_tail_hides_what_it_replaces(tmp_path):
    index, rows = made(SmallIvf, tmp_path, 100), wide_rows(200)
    index.apply(replace(batch([3], rows[150:151], 100, 101), removals=np.array([4])))
    assert len(index) == 99 and index.unflushed() == 2
    assert np.array_equal(index.vectors(np.array([3, 5])), rows[[150, 4]])
    assert index.search(rows[150:151], 1).ids[0, 0] == 3
    assert not {3, 4} & set(index.search(rows[2:4], 2, np.arange(1, 101)).ids[:, 0].tolist()) - {3}
    with pytest.raises(KeyError):
        index.vectors(np.array([4]))
