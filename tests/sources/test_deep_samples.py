"""Samples of 16 bits in PNG and PPM; tests/sources/test_twins.py compares the pixels."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from imgsearch.sources.decode import decode_bytes
from imgsearch.sources.decoders import DecodeSettings
from tests.picture_files import png, ppm

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
