"""Decoded pictures on their way to the model: how many at a time, and what a failure costs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from imgsearch.errors import EncoderError
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.model_card import InputSize
from imgsearch.ports import BatchEncoder
from imgsearch.records import Decoded, Encoded, ImageFile, Skipped
from imgsearch.sources.decode import decode_file
from imgsearch.sources.decoder_pool import InlineDecoder, ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.vectors import normalize
from tests.conftest import full_only
from tests.fakes import SPACE

COUNT = 12


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[ImageFile]:
    """Alternately small and large pictures, named by their colour."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(COUNT):
        side = 20 if number % 2 else 40
        Image.new("RGB", (side, side), (number, 0, 0)).save(folder / f"{number:02}.png")
    return [ImageFile(str(folder), f"{number:02}.png", 0, 0) for number in range(COUNT)]


class Plain:
    """An encoder without the members of `BatchEncoder`; vectors encode the number of a picture."""

    space, input_size = SPACE, InputSize()

    def __init__(self):
        self.calls = []

    def encode_images(self, images):
        self.calls.append([int(image[0, 0, 0]) for image in images])
        rows = np.ones((len(images), SPACE.dimension))
        rows[:, 0] += self.calls[-1]
        return normalize(rows)


class Sorting(Plain):
    """Splits windows of eight into batches of two, largest pictures first."""

    card = None
    window = 8

    def encode_texts(self, texts, instruction=None):
        raise AssertionError("pools encode pictures")

    def encode_in_batches(self, images) -> Iterator:
        order = sorted(range(len(images)), key=lambda place: -images[place].size)
        for start in range(0, len(order), 2):
            places = order[start : start + 2]
            yield places, self.encode_images([images[place] for place in places])


def pool_of(encoder, **options) -> LocalPool:
    return LocalPool(
        lambda: encoder, lambda size, at_once: InlineDecoder(DecodeSettings(size)), 4, **options
    )


def number_of(result: Encoded) -> int:
    return round(float(result.vector[0] / result.vector[1])) - 1


def assert_complete(results, files):
    assert sorted(each.file.path for each in results) == [file.path for file in files]
    for each in results:
        if isinstance(each, Encoded):
            assert number_of(each) == int(each.file.path[:2])


def test_an_encoder_without_windows_gets_the_batch_size(files):
    encoder = Plain()
    assert not isinstance(encoder, BatchEncoder)
    assert_complete(list(pool_of(encoder).encode_files(files)), files)
    assert [len(call) for call in encoder.calls] == [4, 4, 4]


def test_an_encoder_that_makes_batches_gets_windows(files):
    encoder = Sorting()
    assert isinstance(encoder, BatchEncoder)
    assert_complete(list(pool_of(encoder).encode_files(files)), files)
    assert encoder.calls == [[0, 2], [4, 6], [1, 3], [5, 7], [8, 10], [9, 11]]


def test_a_result_does_not_wait_for_its_window(files):
    encoder = Sorting()
    results = pool_of(encoder).encode_files(files)
    assert [next(results).file.path for _ in range(2)] == ["00.png", "02.png"]
    assert encoder.calls == [[0, 2]]


@pytest.mark.parametrize(("max_bytes", "calls"), [(1, 12), (40 * 40 * 3 + 1, 6), (1 << 30, 2)])
def test_a_window_is_limited_by_its_pixels(files, max_bytes, calls):
    class Whole(Sorting):
        def encode_in_batches(self, images):
            yield range(len(images)), self.encode_images(images)

    encoder = Whole()
    assert_complete(list(pool_of(encoder, window_bytes=max_bytes).encode_files(files)), files)
    assert len(encoder.calls) == calls


def test_batches_before_a_failure_are_not_repeated(files):
    """The batch with number 4 fails; only 4 is skipped, not 6 in the same batch."""

    class Fragile(Sorting):
        def encode_images(self, images):
            rows = super().encode_images(images)
            if 4 in self.calls[-1]:
                raise EncoderError("no numbers")
            return rows

    encoder = Fragile()
    results = list(pool_of(encoder).encode_files(files))
    assert_complete(results, files)
    (skipped,) = [each for each in results if isinstance(each, Skipped)]
    assert skipped.file.path == "04.png" and skipped.transient
    assert sum(0 in call for call in encoder.calls) == 1


def test_a_model_that_always_fails_ends_the_run(files):
    class Dead(Sorting):
        def encode_images(self, images):
            raise EncoderError("no numbers", "None.")

    with pytest.raises(EncoderError, match="no numbers"):
        list(pool_of(Dead()).encode_files(files))


def leave_a_mark(file: ImageFile, settings: DecodeSettings) -> Decoded | Skipped:
    """Decode in a worker process and leave a file that the test can count."""
    result = decode_file(file, settings)
    with open(f"{file.absolute}.mark", "w"):
        return result


@full_only
def test_decoders_stop_when_enough_pixels_wait(files, tmp_path):
    for number in range(8):
        Image.new("RGB", (100, 100)).save(tmp_path / f"{number}.png")
    requests = [ImageFile(str(tmp_path), f"{number}.png", 0, 0) for number in range(8)]
    decoder = ProcessDecoder(
        DecodeSettings(), 1, decode_one=leave_a_mark, in_flight=8, bytes_ahead=2 * 100 * 100 * 3
    )
    try:
        results = decoder.decode(requests)
        received = [next(results)]
        deadline = time.monotonic() + 30
        while len(list(tmp_path.glob("*.mark"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        assert len(list(tmp_path.glob("*.mark"))) == 3  # one received, two that fill the buffer
        received += results
        assert {each.file.path for each in received} == {file.path for file in requests}
        assert len(received) == 8
    finally:
        decoder.close()


def test_a_decoder_that_waits_for_room_can_be_closed(files):
    decoder = ProcessDecoder(DecodeSettings(), 2, in_flight=8, bytes_ahead=1)
    results = decoder.decode(files)
    next(results)
    started = time.monotonic()
    decoder.close()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(("count", "ahead"), [(0, []), (1, [1]), (100, [64])])
def test_what_can_start_meanwhile_does_so_before_the_model_is_loaded(files, count, ahead):
    events = []

    def load():
        events.append("load")
        return Plain()

    pool = LocalPool(
        load, lambda size, at_once: InlineDecoder(DecodeSettings(size)), 4, start=events.append
    )
    results = list(pool.encode_files((files * 9)[:count]))
    assert len(results) == count
    assert events == [*ahead, *["load"] * bool(count)]
