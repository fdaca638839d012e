"""Which GPUs hold an index, and what is said where none does."""

from __future__ import annotations

import pytest

from imgsearch.indexes import gpus
from imgsearch.indexes.torch_index import free_device_bytes

GB = 10**9
HEADER = {
    "count": 1_000_000, "dimension": 768, "dtype": "<f2", "lists": 2048, "trained": 1_000_000,
}  # fmt: skip


def test_an_index_goes_on_the_fewest_gpus_that_hold_it():
    assert gpus.fitting(1 * GB, {0: 8 * GB, 1: 24 * GB}) == [1]
    assert gpus.fitting(1 * GB, {0: 8 * GB, 1: 8 * GB}) == [0]
    assert gpus.fitting(12 * GB, {0: 20 * GB, 1: 4 * GB, 2: 20 * GB}) == [0, 2]
    with pytest.raises(gpus.NoGpu, match=r"needs 40\.0 GB, and half of the free 8\.0 and 24\.0 GB"):
        gpus.fitting(40 * GB, {0: 8 * GB, 1: 24 * GB})


def test_the_smallest_of_the_gpus_decides_about_equal_shards():
    assert gpus.fitting(12 * GB, {0: 20 * GB, 1: 16 * GB}) == [0, 1]
    with pytest.raises(gpus.NoGpu):
        gpus.fitting(12 * GB, {0: 20 * GB, 1: 12 * GB})


def test_needed_bytes_are_those_of_float16_and_more():
    vectors = 1_000_000 * 768 * 2
    flat = {**HEADER, "trained": 0, "lists": 245}
    assert vectors < gpus.needed_bytes(flat) < gpus.needed_bytes(HEADER) < 1.3 * vectors
    assert gpus.needed_bytes({**HEADER, "dtype": "<f4"}) > 2 * vectors
    assert gpus.needed_bytes({**flat, "dtype": "<f4"}) == gpus.needed_bytes(flat)


@pytest.mark.parametrize("kind", ["flat", "ivf", "torch", "memory", "postgresql://host/database"])
def test_other_kinds_are_searched_on_the_processor_without_a_word(kind):
    assert gpus.place(kind, HEADER) == ""


def test_without_a_gpu_its_kind_says_so_and_auto_says_nothing():
    if gpus.count():
        pytest.skip("FAISS finds a GPU")
    assert gpus.place("faiss-gpu", HEADER) in (
        "; searched on the processor: this build of FAISS has no GPU support",
        "; searched on the processor: FAISS finds no GPU",
    )
    assert gpus.place("auto", HEADER) == ""


def test_with_a_gpu_both_kinds_name_it(monkeypatch):
    """What a machine with GPUs reports; the choice and the words are the program's."""
    monkeypatch.setattr(gpus, "count", lambda: 2)
    monkeypatch.setattr(gpus, "_likely", lambda: True)
    monkeypatch.setattr(gpus, "free_bytes", lambda: {0: 4 * GB, 1: 3 * GB})
    small = {**HEADER, "count": 100_000}
    assert gpus.place("faiss-gpu", small) == "; searched on GPU 0"
    assert gpus.place("auto", small) == "; searched on GPU 0 after 16 queries"
    assert gpus.place("faiss-gpu", {**HEADER, "count": 800_000}) == "; searched on GPUs 0 and 1"
    large = {**HEADER, "count": 3_000_000}
    assert gpus.place("auto", large).startswith("; searched on the processor: it needs 5.8 GB")


def test_free_memory_is_asked_of_pytorch():
    import torch

    free = free_device_bytes()
    assert len(free) == (torch.cuda.device_count() if torch.cuda.is_available() else 0)
    assert all(0 < each <= torch.cuda.mem_get_info(n)[1] for n, each in free.items())
    if not free:
        with pytest.raises(gpus.NoGpu, match="PyTorch"):
            gpus.free_bytes()
