"""Results of a decoder process: what is received is what was sent, or the process is gone."""

from __future__ import annotations

import multiprocessing
import os
import threading
from dataclasses import replace

import numpy as np
import pytest

from imgsearch.records import Decoded, ImageFile, ImageMetadata, Skipped
from imgsearch.sources.decoder_process import receive_results, send_results

FILE = ImageFile("/photos", "a.jpg", 1, 2)
NOISE = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
DECODED = Decoded(FILE, "f" * 32, ImageMetadata(4000, 3000, "JPEG"), NOISE)


@pytest.fixture
def pipe():
    reader, writer = multiprocessing.Pipe(duplex=False)
    yield reader, writer
    reader.close()
    writer.close()


def through(pipe, *results):
    """The results of one request after their way through a pipe, which holds a part of them."""
    reader, writer = pipe
    none = [None] * len(results)
    sender = threading.Thread(target=send_results, args=(writer, results, none))
    sender.start()
    received = receive_results(reader, none)
    sender.join()
    return received


def test_pictures_and_other_results_arrive_as_they_were(pipe):
    small = replace(DECODED, pixels=NOISE[:1, :1].copy())
    skipped = Skipped(FILE, "empty")
    received = through(pipe, DECODED, skipped, small, DECODED, None)
    assert [received[1], received[4]] == [skipped, None]
    for sent, found in ((DECODED, received[0]), (small, received[2]), (DECODED, received[3])):
        assert np.array_equal(found.pixels, sent.pixels)
        assert found.pixels.flags.writeable and found.pixels.flags.c_contiguous
        assert (found.file, found.content_hash) == (sent.file, sent.content_hash)
        assert found.metadata == sent.metadata


@pytest.mark.parametrize(
    "pixels",
    [NOISE[:, ::2], NOISE[:40].astype(np.float32), np.empty((0, 5, 3), np.uint8)],
    ids=["not contiguous", "of another type", "empty"],
)
def test_arrays_that_are_no_plain_pixels_arrive_too(pipe, pixels):
    (found,) = through(pipe, replace(DECODED, pixels=pixels))
    assert found.pixels.dtype == pixels.dtype
    assert np.array_equal(found.pixels, pixels)


def test_a_process_that_dies_between_two_bytes_is_gone(pipe):
    reader, writer = pipe
    whole, part = multiprocessing.Pipe(duplex=False)
    sender = threading.Thread(target=send_results, args=(part, [DECODED], [None]), daemon=True)
    sender.start()
    writer.send(whole.recv())  # the header alone, then some of the pixels
    os.write(writer.fileno(), b"\0" * 1000)
    writer.close()
    with pytest.raises(EOFError):
        receive_results(reader, [None])
    while sender.is_alive():
        os.read(whole.fileno(), 1 << 20)
        sender.join(0.001)
