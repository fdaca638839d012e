"""The contract of VectorIndex, for each kind in memory, on disk or a server, and half and half."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest

from imgsearch.indexes import gpus
from imgsearch.indexes.faiss_index import FaissIndex, FlatIndex, GpuIndex
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexes.served_index import ServedIndex
from imgsearch.indexes.torch_index import TorchIndex
from imgsearch.vectors import normalize
from tests.conftest import needs_server
from tests.fakes import DIMENSION, SPACE, CopiedIndex, SmallCopiedIvf, SmallIvf, batch, unit_rows


class SmallGpuIvf(GpuIndex):
    """The kind `faiss-gpu` with lists from four pictures on."""

    trained_from = 4


class Written:
    """Writes all changes to disk, so that the file is searched."""

    def apply(self, changes):
        super().apply(changes)
        self.flush(train=True)


class HalfWritten:
    """Writes half of each batch to disk and keeps the rest in the tail."""

    def apply(self, changes):
        half = len(changes.ids) // 2
        first = changes.ids[:half], changes.vectors[:half]
        late = changes.ids[half:], changes.vectors[half:]
        super().apply(replace(changes, ids=first[0], vectors=first[1]))
        self._flushed = -1
        self.flush(train=True)
        none = np.empty(0, np.int64)
        super().apply(replace(changes, removals=none, ids=late[0], vectors=late[1]))


def kind(how, what):
    return type(f"{how.__name__}{what.__name__}", (how, what), {})


HOW = (Written, HalfWritten)
ON_GPU = [kind(how, GpuIndex) for how in HOW]
PARTIAL_ON_GPU = [kind(how, SmallGpuIvf) for how in HOW]
EXACT = [MemoryIndex, FaissIndex] + [
    kind(how, what) for how in HOW for what in (FlatIndex, TorchIndex)
]
EXACT.append(kind(HalfWritten, CopiedIndex))
PARTIAL = [kind(how, SmallIvf) for how in HOW] + [kind(HalfWritten, SmallCopiedIvf)]
ON_POSTGRES = ["PgIndex", "WrittenPgIndex", "HalfWrittenPgIndex"]
PARTIAL_ON_POSTGRES = ["WrittenSmallPgIndex", "HalfWrittenSmallPgIndex"]
ON_MILVUS = ["MilvusIndex", "WrittenMilvusIndex", "HalfWrittenMilvusIndex"]
PARTIAL_ON_MILVUS = ["WrittenSmallMilvusIndex", "HalfWrittenSmallMilvusIndex"]
EXACT_ON_SERVER = ON_POSTGRES + ON_MILVUS
ON_SERVER = EXACT_ON_SERVER + PARTIAL_ON_POSTGRES + PARTIAL_ON_MILVUS


def on_server(names):
    """Kinds on a server, by name: the package of its client may be missing."""
    return [pytest.param(name, marks=[pytest.mark.slow, needs_server], id=name) for name in names]


def make_index(request, tmp_path):
    index, where = made(request, tmp_path)
    index.where = where  # for what asks the class
    return index


def made(request, tmp_path):
    """An index in a place of its own, and the place."""
    if not isinstance(request.param, str):
        folder = str(tmp_path / "index")
        return request.param(folder, "library", SPACE), folder
    plain, url = on_milvus(request) if "Milvus" in request.param else on_postgres(request)
    small = type(f"Small{plain.__name__}", (plain,), {"trained_from": 4})
    kinds = [plain] + [kind(how, each) for how in (Written, HalfWritten) for each in (plain, small)]
    (chosen,) = [each for each in kinds if each.__name__ == request.param]
    return chosen(url, "library", SPACE), url


def on_postgres(request):
    """The class of an index on PostgreSQL, and the URL of a database without one."""
    server = request.getfixturevalue("postgres")
    from imgsearch.indexes.pgvector_index import PgIndex

    gc.collect()  # closes the connections of earlier indexes, which may hold locks
    server.sql("DROP SCHEMA IF EXISTS imgsearch_index CASCADE")
    return PgIndex, server.url()


def on_milvus(request):
    """The class of an index on Milvus, and the URL of a database without one."""
    server = request.getfixturevalue("milvus")
    from imgsearch.indexes.milvus_index import MilvusIndex

    return MilvusIndex, server.database("contract")


def on_gpu(kinds):
    missing = pytest.mark.skipif(not gpus.count(), reason="FAISS finds no GPU")
    return [pytest.param(each, marks=missing, id=each.__name__) for each in kinds]


@pytest.fixture(params=EXACT + PARTIAL + on_gpu(ON_GPU + PARTIAL_ON_GPU) + on_server(ON_SERVER))
def index(request, tmp_path):
    return make_index(request, tmp_path)


@pytest.fixture(params=EXACT + on_gpu(ON_GPU) + on_server(EXACT_ON_SERVER))
def exact_index(request, tmp_path):
    return make_index(request, tmp_path)


def test_starts_empty(index):
    assert (len(index), index.revision, index.token, index.doubt) == (0, 0, "", "")
    assert index.search(unit_rows(3), 5).ids.shape == (3, 0)


def test_finds_each_vector_first(index):
    rows = unit_rows(50)
    ids = [2**40 + 7 * i for i in range(50)]
    index.apply(batch(ids, rows))
    matches = index.search(rows, 3)
    assert matches.ids.dtype == np.int64 and matches.scores.dtype == np.float32
    assert matches.ids[:, 0].tolist() == ids
    assert np.allclose(matches.scores[:, 0], 1, atol=1e-6)
    assert (np.diff(matches.scores, axis=1) <= 0).all()


def test_is_exact(exact_index):
    rows, queries = unit_rows(300), unit_rows(30, seed=1)
    exact_index.apply(batch(list(range(300)), rows))
    best = np.argsort(-(queries @ rows.T), axis=1)[:, :10]
    assert (exact_index.search(queries, 10).ids == best).all()
    for query, expected in zip(queries, best, strict=True):
        assert (exact_index.search(query[np.newaxis], 10).ids[0] == expected).all()


def test_finds_the_best_with_their_exact_scores(index):
    rows, queries = unit_rows(300), unit_rows(30, seed=1)
    index.apply(batch(list(range(300)), rows))
    scores = queries @ rows.T
    best = np.argsort(-scores, axis=1)[:, :10]
    matches = index.search(queries, 10)
    pairs = zip(matches.ids.tolist(), best.tolist(), strict=True)
    assert sum(len(set(a) & set(b)) for a, b in pairs) / 300 >= 0.97
    assert np.allclose(matches.scores, np.take_along_axis(scores, matches.ids, 1), atol=1e-6)


def test_finds_any_number_of_copies(index):
    """An approximate code cannot distinguish copies, nor know whether there are more."""
    rows = unit_rows(200)
    rows[20:120] = rows[20]
    index.apply(batch(list(range(200)), rows))
    assert set(index.search(rows[20:21], 100).ids[0].tolist()) == set(range(20, 120))


def test_never_pads(index):
    index.apply(batch([5, 6], unit_rows(2)))
    assert sorted(index.search(unit_rows(1), 100).ids[0].tolist()) == [5, 6]
    assert index.search(unit_rows(1), 0).ids.shape == (1, 0)


def test_upsert_replaces(index):
    first, second = unit_rows(2)
    index.apply(batch([1], first[np.newaxis]))
    index.apply(batch([1], second[np.newaxis], since=1, revision=2))
    assert len(index) == 1
    assert np.array_equal(index.vectors(np.array([1])), second[np.newaxis])


def test_removes_ids_and_ignores_unknown_ones(index):
    index.apply(batch([1, 2, 3], unit_rows(3)))
    index.apply(batch([], unit_rows(0), since=1, revision=2, removals=(2, 99)))
    assert index.ids().tolist() == [1, 3]
    assert index.revision == 2
    with pytest.raises(KeyError):
        index.vectors(np.array([2]))


def test_search_among_allowed_ids_is_exact(index):
    rows = unit_rows(200)
    index.apply(batch(list(range(200)), rows))
    allowed = np.array([3, 50, 77, 150, 5000])
    matches = index.search(rows[:1], 10, allowed)
    expected = allowed[:4][np.argsort(-(rows[:1] @ rows[allowed[:4]].T)[0])]
    assert matches.ids[0].tolist() == expected.tolist()
    assert index.search(rows[:1], 10, np.array([], np.int64)).ids.shape == (1, 0)


@pytest.mark.parametrize("gathered", [0, 8 << 20], ids=["scanned", "gathered"])
@pytest.mark.parametrize("step", [7, 2**30], ids=["dense ids", "sparse ids"])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.01, 0.001, 0.0])
def test_is_exact_at_any_selectivity(index, share, step, gathered, monkeypatch):
    if not gathered and isinstance(index, ServedIndex):
        pytest.skip("only files have two ways")
    monkeypatch.setattr("imgsearch.indexes.faiss_index.MAX_GATHERED_BYTES", gathered)
    random = np.random.default_rng(5)
    rows, queries = unit_rows(1000), unit_rows(3, seed=1)
    ids = np.arange(1000) * step + 5
    index.apply(batch(ids.tolist(), rows))
    gone = (5, 5 + step * 999)
    index.apply(batch([], unit_rows(0), 1, 2, removals=gone))  # rows are now out of id order
    chosen = random.choice(np.arange(1, 999), size=round(share * 998), replace=False)
    unknown = np.array([-1, 0, *gone, 2**62])
    allowed = random.permutation(np.concatenate([ids[chosen], ids[chosen][:3], unknown]))
    for k in (1, 20, 5000):
        matches = index.search(queries, k, allowed)
        best = chosen[np.argsort(-(queries @ rows[chosen].T), axis=1)][:, :k]
        assert matches.ids.shape == (3, min(k, len(chosen))), "never fewer than allowed"
        assert (matches.ids == ids[best]).all()
        scores = np.take_along_axis(queries @ rows.T, best, axis=1)
        assert np.allclose(matches.scores, scores, atol=1e-6)
        assert matches.ids.dtype == np.int64 and matches.scores.dtype == np.float32


def test_describes_how_it_searched(index):
    index.apply(batch([1, 2, 3], unit_rows(3)))
    parts = [1, 2] if isinstance(index, HalfWritten) else [3]
    method = index.search(unit_rows(1), 2).method
    assert all(f"{count} vectors" in method for count in parts)
    among = index.search(unit_rows(1), 2, np.array([1, 3, 9])).method
    assert ("1 vectors" if len(parts) > 1 else "2 vectors") in among


def test_what_is_stored_is_known_without_loading_it(index):
    assert type(index).stored(index.where, "library", SPACE).revision == 0
    index.apply(batch([1, 2], unit_rows(2), revision=7, token="seven"))
    index.flush()
    stored = type(index).stored(index.where, "library", SPACE)
    expected = (0, "") if isinstance(index, MemoryIndex) else (7, "seven")
    assert (stored.revision, stored.token, stored.unflushed) == (*expected, 0)
    assert stored.due == index.state.due
    index.clear()
    stored = type(index).stored(index.where, "library", SPACE)
    assert (stored.revision, stored.token) == expected, "clear forgets, it does not remove"
    assert type(index).stored(index.where, "another", SPACE).revision == 0


def test_clear_removes_everything(index):
    index.apply(batch([1], unit_rows(1)))
    index.clear()
    assert (len(index), index.revision, index.token) == (0, 0, "")
    index.apply(batch([2], unit_rows(1)))
    assert index.ids().tolist() == [2]


def test_random_histories_agree_with_a_dictionary(index):
    random = np.random.default_rng(3)
    model: dict[int, np.ndarray] = {}
    for revision in range(1, 40):
        ids = random.choice(30, size=random.integers(0, 6), replace=False).tolist()
        gone = [i for i in random.choice(30, size=3, replace=False).tolist() if i not in ids]
        rows = normalize(random.standard_normal((len(ids), DIMENSION)))
        index.apply(batch(ids, rows, revision - 1, revision, tuple(gone)))
        for each in gone:
            model.pop(each, None)
        model.update(zip(ids, rows, strict=True))
        assert index.ids().tolist() == sorted(model)
    ids = np.array(sorted(model))
    assert np.array_equal(index.vectors(ids), np.stack([model[i] for i in ids.tolist()]))


@pytest.mark.parametrize("what", on_gpu(ON_GPU + PARTIAL_ON_GPU))
def test_a_gpu_does_the_work_where_faiss_finds_one(what, tmp_path, monkeypatch):
    monkeypatch.setattr("imgsearch.indexes.faiss_index.MAX_GATHERED_BYTES", 0)
    index = what(str(tmp_path), "library", SPACE)
    index.apply(batch(list(range(300)), unit_rows(300)))
    for allowed in (None, np.arange(0, 300, 2)):
        assert "on GPU" in index.search(unit_rows(30, seed=1), 10, allowed).method
    assert "searched on GPU" in index.state.kind
