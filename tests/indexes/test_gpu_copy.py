"""Searches of a copy with the limits of FAISS on CUDA: filters, large k, refusals, new files."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch.indexes import gpus
from imgsearch.indexes.faiss_index import FaissIndex, FlatIndex, GpuIndex, IvfIndex
from imgsearch.indexes.gpu_copy import HALF_SLACK, MAX_SELECTION, reason
from imgsearch.vectors import normalize
from tests.fakes import CopiedIndex, batch, copied_to_two, unit_rows
from tests.indexes.test_faiss_index import WIDE, made, wide_rows

COUNT = 4000


class CopiedIvf(CopiedIndex):
    """Lists from some vectors on."""

    trained_from = 64


KINDS = [CopiedIndex, CopiedIvf]


@pytest.fixture(params=KINDS)
def index(request, tmp_path, monkeypatch):
    monkeypatch.setattr("imgsearch.indexes.faiss_index.MAX_GATHERED_BYTES", 0)
    return made(request.param, tmp_path, COUNT)


def best(queries, k, allowed):
    """The best ids by exact products."""
    order = np.argsort(-(queries @ wide_rows(COUNT)[allowed - 1].T), axis=1)
    return allowed[order[:, :k]]


def calls(index):
    """The k of each search of the stand-in."""
    return index._copy._index.calls


def test_the_rounding_of_float16_is_bounded():
    """The bound holds for the worst vectors found: equal numbers just above half a step."""
    for dimension in (1, 48, 768, 4096):
        worst = np.full((1, dimension), 1 + 2.0**-11 + 2.0**-20)
        rows = np.concatenate([unit_rows(200, dimension=dimension), normalize(worst)])
        rounded = rows.astype(np.float16).astype(np.float64)
        assert np.abs(rounded @ rounded.T - rows.astype(np.float64) @ rows.T).max() < HALF_SLACK


@pytest.mark.parametrize("share", [0.9, 0.3, 0.05])
def test_a_filter_is_exact_without_selectors(index, share):
    numbers = np.random.default_rng(1)
    allowed = np.sort(numbers.choice(COUNT, round(share * COUNT), replace=False)) + 1
    queries = unit_rows(30, 3, WIDE.dimension)
    found = index.search(queries, 20, allowed)
    assert (found.ids == best(queries, 20, allowed)).all()
    assert "on two processors" in found.method
    assert 20 < max(calls(index)) <= MAX_SELECTION


def test_a_filter_that_leaves_the_worst_is_answered_by_the_processor(index):
    """No candidate of the copy passes: the best 2048 of 4000 are all excluded."""
    query = wide_rows(1)
    order = np.argsort(-(query @ wide_rows(COUNT).T)[0])
    allowed = np.sort(order[MAX_SELECTION + 100 :] + 1)
    found = index.search(query, 20, allowed)
    assert (found.ids == best(query, 20, allowed)).all()


def test_removed_and_replaced_vectors_are_not_found_on_the_copy(index):
    query = wide_rows(1)
    near = (np.argsort(-(query @ wide_rows(COUNT).T)[0]) + 1)[:40]
    index.apply(batch([int(near[1])], -query, COUNT, COUNT + 1, removals=tuple(near[2:12])))
    expected = [near[0], *near[12:]]
    found = index.search(query, 20)
    assert set(near[1:12]).isdisjoint(found.ids[0])
    assert len(set(found.ids[0]) & set(expected)) >= 18


def test_more_than_the_limit_comes_from_the_processor(index):
    query = wide_rows(1)
    found = index.search(query, MAX_SELECTION + 500)
    assert len(set(found.ids[0])) == MAX_SELECTION + 500
    assert set(best(query, 100, np.arange(COUNT) + 1)[0]) <= set(found.ids[0])
    assert max(calls(index), default=0) <= MAX_SELECTION


def test_scores_closer_than_float16_tells_apart_are_compared(tmp_path):
    centre = unit_rows(1, dimension=48)
    rows = normalize(centre + 1e-3 * unit_rows(1500, 1, 48))
    index = CopiedIndex(str(tmp_path), "lib", WIDE)
    index.apply(batch(list(range(1500)), rows))
    index.flush()
    scores = np.sort(rows @ centre[0])[::-1]
    assert np.allclose(index.search(centre, 5).scores[0], scores[:5], atol=1e-7)
    assert len(calls(index)) > 1


def test_lists_find_what_the_processor_finds(tmp_path):
    index, processor = made(CopiedIvf, tmp_path, COUNT), IvfIndex(str(tmp_path), "lib", WIDE)
    queries = unit_rows(40, 5, WIDE.dimension)
    found, expected = index.search(queries, 10), processor.search(queries, 10)
    pairs = zip(found.ids.tolist(), expected.ids.tolist(), strict=True)
    assert sum(len(set(a) & set(b)) for a, b in pairs) / 400 >= 0.99
    assert "lists of 4000 vectors, compared exactly, on two processors" in found.method


def test_a_new_file_is_copied_again(index):
    index.search(wide_rows(1), 3)
    first = index._copy
    index.apply(batch([COUNT + 1], wide_rows(1, COUNT), COUNT, COUNT + 1))
    index.search(wide_rows(1), 3)
    assert index._copy is first, "the tail is searched beside the copy"
    index.flush()
    assert index.search(wide_rows(1, COUNT), 1).ids[0, 0] == COUNT + 1
    assert index._copy is not first


def test_auto_copies_after_some_queries(tmp_path, monkeypatch):
    """One question is answered sooner on the processor; the sixteenth is not."""
    monkeypatch.setattr(gpus, "count", lambda: 1)
    auto = type("Auto", (FaissIndex,), {"gpu_copy": staticmethod(copied_to_two)})
    index, notes = made(auto, tmp_path, 500), []
    index.prepare(notes.append)
    query = wide_rows(1)
    methods = [index.search(query, 3).method for _ in range(gpus.AUTO_QUERIES)]
    assert [("two processors" in each) for each in methods] == [False] * 15 + [True]
    assert index.state.kind == "exact; searched on two processors" and not notes


@pytest.mark.parametrize("kind", [FaissIndex, FlatIndex, IvfIndex])
def test_no_other_kind_mentions_a_gpu_where_there_is_none(tmp_path, kind):
    if gpus.count():
        pytest.skip("FAISS finds a GPU")
    index, notes = made(kind, tmp_path, 500), []
    index.prepare(notes.append)
    index.search(unit_rows(40, dimension=WIDE.dimension), 3)
    assert "processor" not in index.state.kind and not notes


def test_without_a_gpu_the_processor_answers_and_a_note_says_why(tmp_path):
    if gpus.count():
        pytest.skip("FAISS finds a GPU")
    index, notes = made(GpuIndex, tmp_path, 500), []
    index.prepare(notes.append)
    query = wide_rows(1)
    found = index.search(query, 3)
    assert found.ids[0, 0] == 1 and found.method == "FAISS scan of 500 vectors"
    (note,) = notes
    assert note.startswith("The index is searched on the processor, not on a GPU: ")
    assert "searched on the processor: " in index.state.kind


def test_an_error_of_the_gpu_ends_its_use_and_is_noted_once(tmp_path):
    index, notes = made(CopiedIndex, tmp_path, 500), []
    index.prepare(notes.append)
    expected = index.search(wide_rows(3), 5).ids

    def fails(*arguments, **more):
        raise RuntimeError("Error in void f() at x.cpp:7: Error: 'out of memory' failed\nmore")

    index._copy._index.search = fails
    for _ in range(2):
        found = index.search(wide_rows(3), 5)
        assert (found.ids == expected).all() and "processors" not in found.method
    assert notes == [
        "The index is searched on the processor, not on a GPU: 'out of memory' failed."
    ]


def test_the_reason_of_an_error_has_no_place_in_the_source():
    text = "Error in virtual void f() at /faiss/gpu/x.cpp:12: Error: 'k <= 2048' failed: too large"
    assert reason(RuntimeError(text)) == "'k <= 2048' failed: too large"
    assert reason(RuntimeError("")) and reason(RuntimeError("plain")) == "plain"
