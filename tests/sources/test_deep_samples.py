"""Samples of more than 8 bits; tests/sources/test_twins.py compares the pixels."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from imgsearch.model_card import InputSize
from imgsearch.sources.decode import decode_bytes
from imgsearch.sources.decoders import DecodeSettings
from tests.picture_files import png, ppm

DEEP = Path(__file__).parent.parent / "data" / "deep"
RAMP = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64, 1)
CLEAR = (3, 7)
"""Row and column of the pixel whose colour is declared transparent."""


def shown(data: bytes) -> np.ndarray:
    return decode_bytes(data, DecodeSettings())[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_only_the_exact_16_bit_colour_is_transparent(channels):
    """Its neighbours differ in the lower byte alone."""
    samples = np.repeat(RAMP + np.uint16(20_000), channels, 2)
    colour = samples[CLEAR].tolist()
    trns = (b"tRNS", struct.pack(f">{channels}H", *colour))
    clear = shown(png(samples, 0 if channels == 1 else 2, [trns]))
    expected = shown(png(samples, 0 if channels == 1 else 2))
    expected[CLEAR] = 255  # the white ground
    assert np.abs(clear.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("transparent", [(0, 0, 0), (65535, 65535, 65535)])
def test_transparent_black_and_white_of_16_bits(transparent):
    """The same as an alpha channel says of the same picture."""
    samples = np.repeat(RAMP * np.uint16(20), 3, 2)
    samples[:9] = transparent
    alpha = np.full((48, 64, 1), 65535, np.uint16)
    alpha[(samples == np.array(transparent)).all(2)] = 0
    trns = (b"tRNS", struct.pack(">3H", *transparent))
    with_alpha = shown(png(np.dstack([samples, alpha]), 6))
    assert np.abs(shown(png(samples, 2, [trns])).astype(int) - with_alpha).max() <= 1


def test_a_black_picture_of_16_bits_stays_black():
    assert not shown(png(np.zeros((8, 8, 3), np.uint16), 2)).any()


def test_a_ppm_with_fewer_samples_than_it_declares_is_read_as_far_as_it_goes():
    samples = np.repeat(RAMP, 3, 2)
    assert shown(ppm(samples, 65535) + b"\n").shape == (48, 64, 3)


def test_8_bits_are_not_stretched():
    dark = np.full((8, 8, 3), 9, np.uint8)
    dark[:4] = 3
    assert np.array_equal(shown(png(dark, 2)), dark)


def shades() -> np.ndarray:
    """The picture in the files of tests/data/deep, in which it fills a small part of the depth."""
    samples = np.zeros((16, 24, 3), np.uint8)
    samples[:, :, 0] = np.arange(24)[None] * 11
    samples[:, :, 1] = np.arange(16)[:, None] * 17
    samples[4:12, 8:16, 2] = 255
    return samples


@pytest.mark.parametrize("name", ["ten_bits_below_64.avif", "sixteen_bits_below_2048.j2k"])
def test_low_values_are_stretched_in_formats_that_are_read_in_8_bits(name):
    pixels = shown((DEEP / name).read_bytes())
    assert np.abs(pixels.astype(int) - shades()).mean() < 8


def test_the_first_frame_of_an_animated_png_of_16_bits():
    low = np.repeat(RAMP, 3, 2)
    animated = [(b"acTL", struct.pack(">II", 2, 0)), (b"fcTL", frame_control(0))]
    pixels = shown(
        png(
            low,
            2,
            animated,
            after=[
                (b"fcTL", frame_control(1)),
                (b"fdAT", struct.pack(">I", 2) + zlib.compress(bytes(48 * (1 + 64 * 6)))),
            ],
        )
    )
    assert np.array_equal(pixels, shown(png(low, 2)))
    assert pixels.max() > 150


def frame_control(number: int) -> bytes:
    return struct.pack(">5I2H2B", number, 64, 48, 0, 0, 1, 10, 0, 0)


def test_a_dark_hdr_picture_stays_dark():
    """PQ states what its values mean, so they are not stretched."""
    dark = np.repeat(RAMP, 3, 2)
    pq = (b"cICP", bytes([9, 16, 0, 1]))
    assert shown(png(dark, 2, [pq])).mean() < 8 < shown(png(dark, 2)).mean()


def test_a_thumbnail_of_a_deep_heic_is_not_taken_for_the_picture():
    low = np.repeat(np.kron(RAMP[:, :, 0], np.ones((10, 10), np.uint16))[:, :, None], 3, 2)
    image = pillow_heif.from_bytes("RGB;16", (640, 480), low.astype("<u2").tobytes())
    out = io.BytesIO()
    image.save(out, quality=95, thumbnails=[320])
    small = decode_bytes(out.getvalue(), DecodeSettings(InputSize(long=200)))[0]
    whole = Image.fromarray(shown(out.getvalue())).resize((200, 150), Image.Resampling.BOX)
    assert small.shape == (150, 200, 3)
    assert small.max() > 150
    assert np.abs(small.astype(int) - np.asarray(whole)).mean() < 8
