"""One photo in every colour space, depth and layout has the vector of its sRGB twin."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import cache

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from imgsearch.encoders import builtin
from imgsearch.model_card import EncoderOptions
from imgsearch.sources.decode import decode_bytes
from imgsearch.sources.decoders import DecodeSettings
from tests.conftest import PHOTOS
from tests.hostile_files import saved
from tests.picture_files import (
    ADOBE,
    P3,
    SRGB,
    gray_profile,
    interlaced_png,
    plain_ppm,
    png,
    ppm,
    rgb_profile,
    sgi,
    srgb_light,
    tiff,
)

MIN_COSINE = 0.99
WHITE, BLACK, RGB, CMYK = 0, 1, 2, 5

# fmt: off
BT2020 = np.array([[.6274, .3293, .0433], [.0691, .9195, .0114], [.0164, .0880, .8956]])
# fmt: on


def _photo() -> Image.Image:
    with Image.open(PHOTOS / "crab.jpg") as image:
        return image.convert("RGB").resize((210, 140), Image.Resampling.LANCZOS)


PHOTO = _photo()
GRAY = PHOTO.convert("L")
COLOURS = np.asarray(PHOTO)
GREY = np.asarray(GRAY)[:, :, None]
G16, C16 = GREY.astype("u2") * 257, COLOURS.astype("u2") * 257
G01, C01 = (GREY / 255).astype("f4"), (COLOURS / 255).astype("f4")
OPAQUE = np.full_like(G16, 65535)
HALF = np.full_like(G16, 32768)
LIGHT = srgb_light(COLOURS / 255)


def with_values(samples: np.ndarray, *values: float) -> np.ndarray:
    """The samples with some pixels replaced."""
    changed = samples.copy()
    for place, value in enumerate(values):
        changed[place * 7 + 3, place * 5 + 3] = value
    return changed


def with_border(samples: np.ndarray, value: float) -> np.ndarray:
    changed = samples.copy()
    changed[:, :3] = value
    return changed


def converted(profile: bytes, mode: str = "RGB") -> Image.Image:
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    result = ImageCms.profileToProfile(
        PHOTO, ImageCms.createProfile("sRGB"), target, outputMode=mode
    )
    assert result is not None
    return result


def pq(light: np.ndarray) -> np.ndarray:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (light * 203 / 10000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg(light: np.ndarray) -> np.ndarray:
    shown = light * 203 / 1000
    luminance = shown @ np.array([0.2627, 0.6780, 0.0593])
    scene = shown * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def sixteen(values: np.ndarray) -> np.ndarray:
    return (values * 65535).round().astype("u2")


def deep_heic(samples: np.ndarray) -> bytes:
    """A HEIC of 10 bits, of samples of 16."""
    mode = {3: "RGB;16", 4: "RGBA;16"}[samples.shape[2]]
    image = pillow_heif.from_bytes(mode, PHOTO.size, samples.astype("<u2").tobytes())
    out = io.BytesIO()
    image.save(out, quality=98, chroma=444)
    return out.getvalue()


def heic(stored: np.ndarray, primaries: int, transfer: int) -> bytes:
    words = sixteen(stored).astype("<u2").tobytes()
    image = pillow_heif.from_bytes("RGB;16", PHOTO.size, words)
    out = io.BytesIO()
    image.save(
        out,
        quality=98,
        chroma=444,
        color_primaries=primaries,
        transfer_characteristics=transfer,
        matrix_coefficients=primaries if primaries == 9 else 1,
        full_range_flag=1,
    )
    return out.getvalue()


LINEAR = rgb_profile("GIMP built-in Linear sRGB", SRGB, 1.0)
SWAPPED = rgb_profile("Not sRGB at all", SRGB[::-1], srgb_light)
P3_PROFILE = rgb_profile("Display P3", P3, srgb_light)
ADOBE_PROFILE = rgb_profile("Adobe RGB (1998)", ADOBE, 2.19921875)
P3_COLOURS = np.asarray(converted(P3_PROFILE))
LINEAR_GRAY, GRAY_18 = gray_profile("Linear", 1.0), gray_profile("sGray 1.8", 1.8)
GAMMA_1 = (b"gAMA", struct.pack(">I", 100_000))
SRGB_CHRM = (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
P3_CHRM = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
GREY_LIGHT = srgb_light(GREY / 255)
NINE = (GREY.astype("u2") * 4 + 900).astype("u2")
HIGH = (GREY.astype("u2") * 8 + 20_000).astype("u2")

TWELVE, RGB_12 = GREY.astype("u2") * 16, COLOURS.astype("u2") * 16
CLEAR_12 = np.full_like(G16, 4095)

GRAYS: dict[str, Callable[[], bytes]] = {
    "gray 8": lambda: tiff(GREY, BLACK),
    "gray 8, white is zero": lambda: tiff(255 - GREY, WHITE),
    "gray 8, signed": lambda: tiff((GREY.astype("i2") - 128).astype("i1"), BLACK),
    "gray 16": lambda: tiff(G16, BLACK),
    "gray 16, big-endian": lambda: tiff(G16, BLACK, big_endian=True),
    "gray 16, BigTIFF": lambda: tiff(G16, BLACK, big=True),
    "gray 16, white is zero": lambda: tiff(65535 - G16, WHITE),
    "gray 16, white is zero, big-endian": lambda: tiff(65535 - G16, WHITE, big_endian=True),
    "gray 16, white is zero, tiles": lambda: tiff(65535 - G16, WHITE, tile=64),
    "gray 16, white is zero, strips": lambda: tiff(65535 - G16, WHITE, rows=9),
    "gray 16, white is zero, deflate and predictor": lambda: tiff(
        65535 - G16, WHITE, compression=8, predictor=2, rows=9
    ),
    "gray 16, predictor, tiles, big-endian": lambda: tiff(
        G16, BLACK, compression=8, predictor=2, tile=64, big_endian=True
    ),
    "gray 16 with alpha": lambda: tiff(np.dstack([G16, OPAQUE]), BLACK, alpha=2),
    "gray 16 with alpha, planar": lambda: tiff(
        np.dstack([G16, OPAQUE]), BLACK, alpha=2, planar=True
    ),
    "gray 8 with alpha, planar": lambda: tiff(
        np.dstack([GREY, np.full_like(GREY, 255)]), BLACK, alpha=2, planar=True, rows=9
    ),
    "gray 10 packed": lambda: tiff(GREY.astype("u2") * 4, BLACK, bits=10),
    "gray 12 packed, big-endian": lambda: tiff(
        GREY.astype("u2") * 16, BLACK, bits=12, big_endian=True
    ),
    "gray 14 packed, white is zero": lambda: tiff(16383 - GREY.astype("u2") * 64, WHITE, bits=14),
    "gray 12 in 16": lambda: tiff(GREY.astype("u2") * 16, BLACK),
    "gray 12 in 16, hot": lambda: tiff(with_values(GREY.astype("u2") * 16, 65535), BLACK),
    "gray 12 in 16, hot pixels": lambda: tiff(
        with_values(GREY.astype("u2") * 16, 65535, 61000, 40000, 20000, 65535), BLACK
    ),
    "gray 12 in 16, hot, PNG": lambda: png(with_values(GREY.astype("u2") * 16, 65535), 0),
    "gray 12 in 16 with alpha": lambda: tiff(np.dstack([TWELVE, CLEAR_12]), BLACK, alpha=2),
    "gray 12 in 16 with alpha, PNG": lambda: png(np.dstack([TWELVE, OPAQUE]), 4),
    "gray 12 in 16 with alpha of 12, PNG": lambda: png(np.dstack([TWELVE, CLEAR_12]), 4),
    "narrow 16 with alpha, PNG": lambda: png(np.dstack([NINE, OPAQUE]), 4),
    "narrow 16": lambda: tiff(NINE, BLACK),
    "narrow 16, hot": lambda: tiff(with_values(NINE, 65535), BLACK),
    "narrow 16, hot and dead": lambda: tiff(with_values(NINE, 65535, 0, 65535, 0, 0), BLACK),
    "narrow 16, border of 0": lambda: tiff(with_border(HIGH, 0), BLACK),
    "narrow 16, border of white": lambda: tiff(with_border(HIGH, 65535), BLACK),
    "gray 16, border of 0": lambda: tiff(with_border(G16, 0), BLACK),
    "gray 16, signed": lambda: tiff((G16.astype("i4") - 32768).astype("i2"), BLACK),
    "gray 16, signed, not negative": lambda: tiff((GREY.astype("i2") * 128), BLACK),
    "gray 16, signed, no-data": lambda: tiff(with_border(GREY.astype("i2") * 3 + 90, -9999), BLACK),
    "gray 16, declared no-data": lambda: tiff(
        with_border(G16, 7), BLACK, extra=[(42113, (2, b"7\0"))]
    ),
    "gray 32": lambda: tiff(GREY.astype("u4") * 16843009, BLACK),
    "gray 32, big-endian": lambda: tiff(GREY.astype("u4") * 16843009, BLACK, big_endian=True),
    "gray 32, white is zero": lambda: tiff(
        0xFFFFFFFF - GREY.astype("u4") * 16843009, WHITE, compression=8, predictor=2
    ),
    "gray 32, 16 used": lambda: tiff(G16.astype("u4"), BLACK),
    "gray 32, signed": lambda: tiff(GREY.astype("i4") * 100 - 5000, BLACK),
    "gray 32, signed, big-endian": lambda: tiff(
        GREY.astype("i4") * 100 - 5000, BLACK, big_endian=True
    ),
    "float": lambda: tiff(G01, BLACK),
    "float, big-endian": lambda: tiff(G01, BLACK, big_endian=True),
    "float, white is zero": lambda: tiff(1 - G01, WHITE),
    "float 16": lambda: tiff(G01.astype("f2"), BLACK),
    "float 64": lambda: tiff(G01.astype("f8"), BLACK),
    "float, predictor 3": lambda: tiff(G01, BLACK, compression=8, predictor=3),
    "float, predictor 3, tiles": lambda: tiff(G01, BLACK, compression=8, predictor=3, tile=64),
    "float, predictor 3, big-endian": lambda: tiff(
        G01, BLACK, compression=8, predictor=3, big_endian=True, rows=11
    ),
    "float, hot": lambda: tiff(with_values(G01, 50), BLACK),
    "float, hot both ways": lambda: tiff(with_values(G01, 50, -7, 9000, -1e6), BLACK),
    "float, nan and inf": lambda: tiff(with_values(G01, np.nan, np.inf, -np.inf), BLACK),
    "float, no-data": lambda: tiff(with_border(G01 * 300 + 20, -9999), BLACK),
    "float, huge no-data": lambda: tiff(with_border(G01 * 300 + 20, 3e38), BLACK),
    "float, lowest no-data": lambda: tiff(with_border(G01 - 0.5, np.finfo("f4").min), BLACK),
    "float, border of 0": lambda: tiff(with_border(G01 * 25 + 273, 0), BLACK),
    "float, border of 1": lambda: tiff(with_border(G01 * 25 + 273, 1), BLACK),
    "float, nan border": lambda: tiff(with_border(G01 * 4000 - 50, np.nan), BLACK),
    "linear gray profile": lambda: saved(
        Image.fromarray((GREY_LIGHT[:, :, 0] * 255).round().astype("u1")),
        "PNG",
        icc_profile=LINEAR_GRAY,
    ),
    "linear gray profile, 16": lambda: tiff(
        sixteen(GREY_LIGHT), BLACK, extra=[(34675, (7, LINEAR_GRAY))]
    ),
    "linear gray profile, float": lambda: tiff(
        GREY_LIGHT.astype("f4"), BLACK, extra=[(34675, (7, LINEAR_GRAY))]
    ),
    "linear gray profile, alpha": lambda: saved(
        Image.merge(
            "LA",
            [
                Image.fromarray((GREY_LIGHT[:, :, 0] * 255).round().astype("u1")),
                Image.new("L", PHOTO.size, 255),
            ],
        ),
        "PNG",
        icc_profile=LINEAR_GRAY,
    ),
    "gray profile 1.8 with srgb in its name, JPEG": lambda: saved(
        Image.fromarray((GREY_LIGHT[:, :, 0] ** (1 / 1.8) * 255).round().astype("u1")),
        "JPEG",
        quality=95,
        icc_profile=gray_profile("sRGB gray", 1.8),
    ),
    "gray 8 with a linear RGB profile": lambda: saved(
        Image.fromarray((GREY_LIGHT[:, :, 0] * 255).round().astype("u1")),
        "PNG",
        icc_profile=LINEAR,
    ),
    "palette of grays": lambda: saved(GRAY.convert("P"), "PNG"),
    "SGI gray 12 in 16": lambda: sgi(TWELVE),
    "SGI gray 12 in 16, run lengths": lambda: sgi(TWELVE, run_lengths=True),
    "HEIC gray 12 in 16 with alpha": lambda: deep_heic(
        np.concatenate((TWELVE, TWELVE, TWELVE, OPAQUE), 2)
    ),
    "gray gAMA, 16": lambda: png(sixteen(GREY_LIGHT), 0, [GAMMA_1]),
}

COLOURED: dict[str, Callable[[], bytes]] = {
    "RGB 8, planar": lambda: tiff(COLOURS, RGB, planar=True),
    "RGB 8, BigTIFF": lambda: tiff(COLOURS, RGB, big=True),
    "RGB 16": lambda: tiff(C16, RGB),
    "RGB 16, big-endian": lambda: tiff(C16, RGB, big_endian=True),
    "RGB 16, planar": lambda: tiff(C16, RGB, planar=True),
    "RGB 16, planar, strips": lambda: tiff(C16, RGB, planar=True, rows=9),
    "RGB 16, planar, tiles": lambda: tiff(C16, RGB, planar=True, tile=64, compression=8),
    "RGB 16, planar, predictor": lambda: tiff(
        C16, RGB, planar=True, compression=8, predictor=2, big_endian=True
    ),
    "RGB 16, predictor": lambda: tiff(C16, RGB, compression=8, predictor=2, rows=9),
    "RGB 16 in tiles, predictor": lambda: tiff(C16, RGB, compression=8, predictor=2, tile=48),
    "RGBA 16": lambda: tiff(np.dstack([C16, OPAQUE]), RGB, alpha=2),
    "RGBA 16, planar": lambda: tiff(np.dstack([C16, OPAQUE]), RGB, alpha=2, planar=True),
    "RGB 16 with another channel": lambda: tiff(
        np.dstack([C16, HALF]), RGB, extra=[(338, (3, [0]))]
    ),
    "RGB 12 packed": lambda: tiff(COLOURS.astype("u2") * 16, RGB, bits=12),
    "RGB 32": lambda: tiff(COLOURS.astype("u4") * 16843009, RGB, planar=True),
    "RGB float": lambda: tiff(C01, RGB),
    "RGB float, hot": lambda: tiff(with_values(C01, 40), RGB),
    "RGB float 16, big-endian": lambda: tiff(C01.astype("f2"), RGB, big_endian=True),
    "RGB float 64, planar": lambda: tiff(C01.astype("f8"), RGB, planar=True),
    "RGB float, predictor 3": lambda: tiff(C01, RGB, compression=8, predictor=3, tile=64),
    "RGBA float": lambda: tiff(np.dstack([C01, np.ones_like(G01)]), RGB, alpha=2),
    "RGB float, linear": lambda: tiff(LIGHT.astype("f4"), RGB, extra=[(34675, (7, LINEAR))]),
    "CMYK": lambda: saved(PHOTO.convert("CMYK"), "TIFF"),
    "CMYK 16": lambda: tiff(np.asarray(PHOTO.convert("CMYK")).astype("u2") * 257, CMYK),
    "CMYK JPEG": lambda: saved(PHOTO.convert("CMYK"), "JPEG", quality=95),
    "Lab": lambda: saved(
        ImageCms.profileToProfile(  # type: ignore[arg-type]
            PHOTO,
            ImageCms.createProfile("sRGB"),
            ImageCms.createProfile("LAB"),
            outputMode="LAB",
        ),
        "TIFF",
    ),
    "PNG 16": lambda: png(C16, 2),
    "PNG 16 with alpha": lambda: png(np.dstack([C16, OPAQUE]), 6),
    "PNG 12 in 16": lambda: png(RGB_12, 2),
    "PNG 12 in 16, interlaced": lambda: interlaced_png(RGB_12, 2),
    "PNG 12 in 16, hot": lambda: png(with_values(RGB_12, 65535), 2),
    "PNG 12 in 16 with alpha": lambda: png(np.dstack([RGB_12, OPAQUE]), 6),
    "PNG 12 in 16 with alpha of 12": lambda: png(np.dstack([RGB_12, CLEAR_12]), 6),
    "PNG 10 in 16": lambda: png(COLOURS.astype("u2") * 4, 2),
    "PNG 8 in 16": lambda: png(COLOURS.astype("u2"), 2),
    "PNG 12 in 16, sBIT": lambda: png(RGB_12, 2, [(b"sBIT", bytes([12, 12, 12]))]),
    "PNG 12 in 16, tRNS": lambda: png(RGB_12, 2, [(b"tRNS", struct.pack(">3H", 1, 2, 3))]),
    "PNG narrow 16": lambda: png(RGB_12 // 4 + np.uint16(900), 2),
    "RGB 12 in 16": lambda: tiff(RGB_12, RGB),
    "RGBA 12 in 16, alpha of 12": lambda: tiff(np.dstack([RGB_12, CLEAR_12]), RGB, alpha=2),
    "PPM 16": lambda: ppm(C16, 65535),
    "PPM 12 in 16, plain": lambda: plain_ppm(RGB_12, 65535),
    "SGI 16": lambda: sgi(C16),
    "SGI 12 in 16": lambda: sgi(RGB_12),
    "SGI 12 in 16, run lengths": lambda: sgi(RGB_12, run_lengths=True),
    "SGI 12 in 16 with alpha": lambda: sgi(np.dstack([RGB_12, OPAQUE])),
    "HEIC 10, a quarter used": lambda: deep_heic(C16 // 4),
    "HEIC 10, a quarter used, with alpha": lambda: deep_heic(np.dstack([C16 // 4, OPAQUE])),
    "PPM 12": lambda: ppm(RGB_12, 4095),
    "PPM 12 in 16": lambda: ppm(RGB_12, 65535),
    "PNG gAMA 1": lambda: png(sixteen(LIGHT), 2, [GAMMA_1]),
    "PNG gAMA 1 and cHRM": lambda: png(sixteen(LIGHT), 2, [GAMMA_1, SRGB_CHRM]),
    "PNG gAMA 1/2.2": lambda: png(COLOURS, 2, [(b"gAMA", struct.pack(">I", 45455)), SRGB_CHRM]),
    "PNG sRGB before gAMA": lambda: png(COLOURS, 2, [(b"sRGB", b"\0"), GAMMA_1]),
    "PNG cHRM of P3": lambda: png(P3_COLOURS, 2, [(b"gAMA", struct.pack(">I", 45455)), P3_CHRM]),
    "PNG cICP P3": lambda: png(P3_COLOURS, 2, [(b"cICP", bytes([12, 13, 0, 1]))]),
    "PNG cICP before gAMA": lambda: png(COLOURS, 2, [GAMMA_1, (b"cICP", bytes([1, 13, 0, 1]))]),
    "PNG cICP PQ": lambda: png(sixteen(pq(LIGHT @ BT2020.T)), 2, [(b"cICP", bytes([9, 16, 0, 1]))]),
    "PNG cICP HLG": lambda: png(
        sixteen(hlg(LIGHT @ BT2020.T)), 2, [(b"cICP", bytes([9, 18, 0, 1]))]
    ),
    "PNG cICP linear": lambda: png(sixteen(LIGHT), 2, [(b"cICP", bytes([1, 8, 0, 1]))]),
    "HEIC PQ": lambda: heic(pq(LIGHT @ BT2020.T), 9, 16),
    "HEIC HLG": lambda: heic(hlg(LIGHT @ BT2020.T), 9, 18),
    "HEIC P3": lambda: heic(P3_COLOURS / 255, 12, 13),
    "WebP P3": lambda: saved(converted(P3_PROFILE), "WEBP", lossless=True, icc_profile=P3_PROFILE),
    "AVIF P3": lambda: saved(
        converted(P3_PROFILE), "AVIF", quality=98, subsampling="4:4:4", icc_profile=P3_PROFILE
    ),
    "HEIC Adobe": lambda: saved(
        converted(ADOBE_PROFILE), "HEIF", quality=98, chroma=444, icc_profile=ADOBE_PROFILE
    ),
    "JPEG Adobe": lambda: saved(
        converted(ADOBE_PROFILE), "JPEG", quality=98, subsampling=0, icc_profile=ADOBE_PROFILE
    ),
    "linear profile named sRGB": lambda: saved(converted(LINEAR), "PNG", icc_profile=LINEAR),
    "swapped profile named sRGB": lambda: saved(converted(SWAPPED), "PNG", icc_profile=SWAPPED),
    "swapped profile, RGBA": lambda: saved(
        converted(SWAPPED).convert("RGBA"), "PNG", icc_profile=SWAPPED
    ),
}


@cache
def encoder():
    return builtin.load("builtin", EncoderOptions(device="cpu", threads=1, precision="fp32"))


@cache
def twin(coloured: bool) -> tuple[np.ndarray, np.ndarray]:
    pixels = COLOURS if coloured else np.repeat(GREY, 3, 2)
    return pixels, encoder().encode_images([pixels])[0]


@pytest.mark.parametrize("name", [*GRAYS, *COLOURED])
def test_a_file_has_the_vector_of_its_srgb_twin(name):
    pixels, vector = twin(name in COLOURED)
    decoded, _ = decode_bytes({**GRAYS, **COLOURED}[name](), DecodeSettings())
    assert decoded.shape == pixels.shape
    if not np.array_equal(decoded, pixels):  # equal pixels have equal vectors
        assert float(encoder().encode_images([decoded])[0] @ vector) >= MIN_COSINE


def test_a_drawing_on_black_or_white_keeps_its_values():
    """Bright shapes on 0, and dark ones on 1: no-data values are farther from the rest."""
    bright, dark = np.maximum(GREY, 90), np.minimum(GREY, 165)
    bright[::2], dark[::2] = 0, 255
    for shapes in (bright, dark):
        for data in (tiff(shapes.astype("u2") * 257, BLACK), tiff((shapes / 255).astype("f4"), 1)):
            assert np.array_equal(decode_bytes(data, DecodeSettings())[0], np.repeat(shapes, 3, 2))


def test_the_twins_of_grays_and_colours_differ():
    """The test above can fail."""
    assert float(twin(True)[1] @ twin(False)[1]) < MIN_COSINE
