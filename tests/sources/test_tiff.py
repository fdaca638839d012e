"""TIFF kinds: what is not supported is called that, and hostile tags are bounded.

That every supported kind looks like its twin is in test_twins.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch.sources.decode import decode_bytes
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.guarded_files import Unusable
from tests.hostile_files import exif, saved, scene
from tests.picture_files import tiff

RAMP = np.tile(np.linspace(0, 65535, 64), (48, 1)).astype("u2")[:, :, None]

BYTES = np.dstack([RAMP // 257] * 3).astype("u1")


def reason(data: bytes, settings: DecodeSettings | None = None) -> str:
    with pytest.raises(Unusable) as caught:
        decode_bytes(data, settings or DecodeSettings())
    return caught.value.reason


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (tiff(RAMP, 34892), "16-bit linear sensor data of a camera"),
        (tiff(RAMP, 32803), "16-bit sensor data of a camera"),
        (tiff(RAMP, 32845), "16-bit LogLuv"),
        (tiff(np.dstack([RAMP] * 3), 6), "16-bit YCbCr"),
        (tiff(RAMP, 1, extra=[(259, (3, [34887]))]), "16-bit gray, compressed as LERC"),
        (tiff(RAMP, 1, extra=[(339, (3, [6]))]), "16-bit complex gray"),
        (tiff(RAMP, 1, extra=[(258, (3, [24]))]), "24-bit gray"),
        (tiff(BYTES, 6, planar=True), "8-bit YCbCr in planes"),
        (tiff(BYTES, 2, extra=[(258, (3, [5, 6, 5]))]), "mixed-depth RGB"),
        (tiff(RAMP, 1, big=True, big_endian=True), "big-endian BigTIFF"),
    ],
)
def test_a_kind_without_support_is_called_that(data, kind):
    assert reason(data) == f"a kind of TIFF that is not supported: {kind}"


def test_missing_strips_are_a_file_that_is_cut_off():
    for whole in (tiff(RAMP, 1, rows=8, compression=8), tiff(RAMP, 1, rows=8, big=True)):
        for size in range(0, min(len(whole), 999), 37):
            why = reason(whole[:size])
            assert "damaged" in why or "cut off" in why or size < 9


def test_the_pixel_limit_counts_pixels_not_bytes():
    colours = np.dstack([RAMP] * 3)
    pixels = 64 * 48
    assert decode_bytes(tiff(colours, 2), DecodeSettings(max_pixels=pixels))[0].shape == (48, 64, 3)
    assert "too many pixels" in reason(tiff(colours, 2), DecodeSettings(max_pixels=pixels - 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(orientation):
    words = np.asarray(scene()).astype("u2") * 257
    data = tiff(words, 2, extra=[(274, (3, [orientation]))])
    expected = saved(scene(), "TIFF", exif=exif(orientation).tobytes())
    ours, metadata = decode_bytes(data, DecodeSettings())
    theirs, known = decode_bytes(expected, DecodeSettings())
    assert np.array_equal(ours, theirs)
    assert (metadata.width, metadata.height) == (known.width, known.height)
    assert metadata.orientation == orientation


@pytest.mark.parametrize("alpha", [1, 2])
def test_alpha_is_read_as_declared(alpha):
    share = np.full_like(RAMP, 32768)
    colour = RAMP // 2 if alpha == 1 else RAMP
    pixels, _ = decode_bytes(tiff(np.dstack([colour, share]), 1, alpha=alpha), DecodeSettings())
    expected = RAMP[0, :, 0] / 65535 * 127.5 + 127.5
    assert np.abs(pixels[20, :, 0] - expected).max() < 3


def test_16_bit_lab():
    lab = np.zeros((20, 20, 3), "u2")
    lab[:, :, 0] = 32896  # L* = 50
    pixels, _ = decode_bytes(tiff(lab, 8), DecodeSettings())
    assert np.abs(pixels.astype(int) - 119).max() <= 2


def test_planes_of_further_channels_are_passed_over():
    planes = np.dstack([BYTES, BYTES[:, :, :2] // 2])
    for samples, photometric in ((planes, 2), (planes[:, :, :2], 1), (planes[:, :, :3], 1)):
        pixels, _ = decode_bytes(tiff(samples, photometric, planar=True, rows=9), DecodeSettings())
        assert np.array_equal(pixels, BYTES)
