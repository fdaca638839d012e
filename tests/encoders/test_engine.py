"""One batch is assembled while another is computed, and none is lost."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from imgsearch.encoders.engine import Engine, host_pixels, joined

WAIT_SECONDS = 20.0


@pytest.fixture
def engine():
    return Engine(torch.device("cpu"))


def tensor_of(batch: list[int]) -> dict:
    return {"numbers": torch.tensor(batch)[:, None], "note": "stays on the host"}


def doubled(features: dict) -> torch.Tensor:
    assert features["note"] == "stays on the host"
    return 2 * features["numbers"]


def test_rows_come_in_order_as_float32(engine):
    found = list(engine.run([[3, 1], [2]], tensor_of, doubled))
    assert [batch for batch, _ in found] == [[3, 1], [2]]
    assert np.array_equal(np.concatenate([rows for _, rows in found]), [[6], [2], [4]])
    assert all(rows.dtype == np.float32 for _, rows in found)
    assert list(engine.run([], tensor_of, doubled)) == []


def test_the_next_batch_is_assembled_while_one_is_computed(engine):
    assembled = [threading.Event() for _ in range(3)]

    def assemble(batch):
        assembled[batch[0]].set()
        return tensor_of(batch)

    def network(features):
        number = int(features["numbers"][0])
        assert number == 2 or assembled[number + 1].wait(WAIT_SECONDS)
        return doubled(features)

    assert len(list(engine.run([[0], [1], [2]], assemble, network))) == 3


def test_a_batch_is_handed_out_before_the_next_is_computed(engine):
    computed = []

    def network(features):
        computed.append(int(features["numbers"][0]))
        return doubled(features)

    run = engine.run([[0], [1], [2]], tensor_of, network)
    next(run)
    assert computed == [0]


@pytest.mark.parametrize("where", ["host", "device"])
def test_it_stops_where_memory_is_too_small(engine, where):
    def refuse(batch):
        if 2 in batch:
            raise MemoryError

    def assemble(batch):
        if where == "host":
            refuse(batch)
        return tensor_of(batch)

    def network(features):
        if where == "device":
            refuse(features["numbers"].flatten().tolist())
        return doubled(features)

    run = engine.run([[0], [1], [2], [3]], assemble, network)
    assert [batch for batch, _ in run] == [[0], [1]]


@pytest.mark.parametrize("where", ["host", "device"])
def test_other_failures_are_raised_after_the_batches_before(engine, where):
    def fail(features):
        if 1 in features["numbers"]:
            raise ValueError("a picture that no network takes")
        return features

    def assemble(batch):
        return fail(tensor_of(batch)) if where == "host" else tensor_of(batch)

    def network(features):
        return doubled(fail(features) if where == "device" else features)

    run = engine.run([[0], [1]], assemble, network)
    if where == "device":
        assert next(run)[0] == [0]
    with pytest.raises(ValueError, match="no network takes"):
        list(run)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_gets_each_batch_whole():
    """Copies on their own stream are complete when the network reads them."""
    sizes = torch.arange(1, 40).tolist()
    batches = [list(range(size * 1000)) for size in sizes]
    found = Engine(torch.device("cuda")).run(batches, tensor_of, doubled)
    for batch, rows in found:
        assert np.array_equal(rows[:, 0], 2 * np.array(batch, np.float32))


@pytest.mark.usefixtures("two_threads")
def test_batches_are_computed_side_by_side_each_on_one_core(engine):
    together = threading.Barrier(2)
    threads = []

    def network(features):
        if int(features["numbers"][0]) < 2:  # the first two wait for each other
            together.wait(WAIT_SECONDS)
        threads.append(torch.get_num_threads())
        return doubled(features)

    found = list(engine.run_apart([[0], [1], [2, 3]], tensor_of, network))
    assert [batch for batch, _ in found] == [[0], [1], [2, 3]]
    assert np.array_equal(np.concatenate([rows for _, rows in found]), [[0], [2], [4], [6]])
    assert all(rows.dtype == np.float32 for _, rows in found)
    assert threads == [1, 1, 1]
    later: list[int] = []
    other = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert [torch.get_num_threads(), *later] == [2, 2]


def test_side_by_side_ends_at_a_batch_without_memory_and_at_an_error(engine):
    def network(features):
        if int(features["numbers"][0]) == 1:
            raise MemoryError
        if int(features["numbers"][0]) == 3:
            raise ValueError("a bad picture")
        return doubled(features)

    found = engine.run_apart([[0], [1], [2]], tensor_of, network)
    assert [batch for batch, _ in found] == [[0]]
    with pytest.raises(ValueError, match="a bad picture"):
        list(engine.run_apart([[2], [3]], tensor_of, network))


def test_pictures_are_joined_in_order():
    images = [np.full((2, number, 3), number, np.uint8) for number in (1, 2)]
    flat = joined(images, torch.device("cpu"))
    assert flat.dtype == torch.uint8
    assert flat.tolist() == [1] * 6 + [2] * 12
    assert joined([], torch.device("cpu")).shape == (0,)


def test_memory_of_a_batch_is_used_again_when_no_tensor_refers_to_it():
    cpu = torch.device("cpu")
    first = host_pixels([2, 8, 8, 3], cpu)
    place = first.data_ptr()
    view = first[1:]
    del first
    assert host_pixels([384], cpu).data_ptr() != place
    del view
    smaller = host_pixels([100], cpu)
    assert smaller.data_ptr() == place
    assert smaller.shape == (100,)
    assert host_pixels([1000], cpu).shape == (1000,)
