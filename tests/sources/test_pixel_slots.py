"""Pixels in shared memory: they stay what they were as long as anything refers to them."""

from __future__ import annotations

import gc
import os
import signal
import threading
import zlib
from contextlib import closing

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.records import Decoded, ImageFile, ImageMetadata, Skipped
from imgsearch.sources import pixel_slots
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.pixel_slots import SLOT_BYTES, PixelSlots, SharedFile, SlotWriter
from tests.conftest import examples, full_only

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memfd_create")

METADATA = ImageMetadata(4000, 3000, "JPEG")


def made(file: ImageFile, settings: DecodeSettings) -> Decoded | Skipped:
    """Pixels that follow from the name "rows-seed"; "killed" ends the process now and then."""
    rows, _, seed = file.path.partition("-")
    if rows == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return Decoded(file, seed, METADATA, expected(file.path))


def expected(path: str) -> np.ndarray:
    rows = int(path.partition("-")[0])
    pattern = np.random.default_rng(zlib.crc32(path.encode())).integers(0, 256, 997, np.uint8)
    return np.resize(pattern, (rows, 100, 3))


def files(*paths: str) -> list[ImageFile]:
    return [ImageFile("/photos", path, 1, 1) for path in paths]


@pytest.fixture
def pair() -> tuple[PixelSlots, SlotWriter]:
    """Three slots, and the other end of them."""
    shared = SharedFile()
    other_end = os.dup(shared.descriptor)
    slots = PixelSlots(shared, 3)
    shared.close()
    return slots, SlotWriter(other_end, 3)


@pytest.mark.parametrize(
    "use",
    [
        lambda array: array[1:, ::2],
        lambda array: array.reshape(-1)[5:][:7],
        lambda array: torch.from_numpy(array)[2:],
        memoryview,
    ],
    ids=["view", "view of a view", "tensor", "memoryview"],
)
def test_a_slot_is_in_use_as_long_as_anything_refers_to_it(pair, use):
    slots, writer = pair
    slot = slots.take()
    number, pixels = slot.number, expected("30-a")
    assert writer.write(number, pixels.data)
    array = np.asarray(slot.holding(pixels.shape))
    assert np.array_equal(array, pixels) and array.flags.writeable
    used = use(array)
    del slot, array
    gc.collect()
    others = [slots.take(), slots.take()]
    assert number not in [each.number for each in others] and slots.take() is None
    before = np.asarray(used).copy()
    for each in others:
        writer.write(each.number, np.zeros(SLOT_BYTES, np.uint8).data)
    assert np.array_equal(np.asarray(used), before)
    del used
    gc.collect()
    assert slots.take().number == number


def test_pixels_that_are_too_large_are_not_written(pair):
    slots, writer = pair
    first, second = slots.take(), slots.take()
    low, high = sorted((first, second), key=lambda each: each.number)
    assert writer.write(high.number, np.full(SLOT_BYTES, 7, np.uint8).data)
    assert not writer.write(low.number, np.zeros(SLOT_BYTES + 1, np.uint8).data)
    assert (np.asarray(high.holding((SLOT_BYTES,))) == 7).all()


def test_a_decoder_process_cannot_shrink_the_memory():
    """Reading beyond the end of a file would end this process."""
    shared = SharedFile()
    PixelSlots(shared, 2)
    for size in (0, 3 * SLOT_BYTES):
        with pytest.raises(PermissionError):
            os.ftruncate(shared.descriptor, size)
    shared.close()


@pytest.fixture(scope="module")
def pool():
    with closing(ProcessDecoder(DecodeSettings(), 2, decode_one=made, in_flight=2)) as pool:
        yield pool


@settings(max_examples=examples(5), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 40, 2000, 30_000]), st.booleans()), min_size=1, max_size=20
    ),
    st.booleans(),
)
def test_pixels_arrive_as_they_were_and_stay(pool, sizes, killed):
    """However many are kept, whichever process is killed; 30,000 rows are larger than a slot."""
    paths = [f"{rows}-{place}" for place, (rows, _) in enumerate(sizes)]
    paths[1:1] = ["killed-1"] * killed
    keeps = {f"{rows}-{place}": keep for place, (rows, keep) in enumerate(sizes)}
    kept: list[Decoded] = []
    skipped = 0
    for result in pool.decode(files(*paths)):
        if isinstance(result, Skipped):
            skipped += 1
            continue
        assert np.array_equal(result.pixels, expected(result.file.path))
        if keeps[result.file.path]:
            kept.append(result)
    assert skipped == killed
    for result in kept:
        assert np.array_equal(result.pixels, expected(result.file.path)), "after the end, too"


def held() -> tuple[int, int, int]:
    """Files open in this process, names in /dev/shm, and threads."""
    gc.collect()
    return psutil.Process().num_fds(), len(os.listdir("/dev/shm")), threading.active_count()


@full_only
@pytest.mark.parametrize("shared", [True, False])
def test_nothing_is_left_behind(monkeypatch, shared):
    if not shared:
        monkeypatch.delattr(os, "memfd_create")
    before = held()
    paths = ["5-a", "killed-1", "5-b", "40000-c"]
    pool = ProcessDecoder(DecodeSettings(), 2, decode_one=made)
    found = [each for each in pool.decode(files(*paths)) if isinstance(each, Decoded)]
    assert sorted(each.file.path for each in found) == ["40000-c", "5-a", "5-b"]
    assert all(np.array_equal(each.pixels, expected(each.file.path)) for each in found)
    pool.close()
    del found
    assert all(now <= then for now, then in zip(held(), before, strict=True))


@full_only
def test_without_room_for_addresses_pixels_come_through_the_pipe(monkeypatch):
    monkeypatch.setattr(pixel_slots, "SLOT_BYTES", 1 << 45)
    with closing(ProcessDecoder(DecodeSettings(), 1, decode_one=made)) as pool:
        (result,) = pool.decode(files("50-a"))
    assert np.array_equal(result.pixels, expected("50-a"))
