"""Colours of 16 bits per sample in PNG and PPM, of which Pillow keeps only the upper byte.

Pillow has no mode for them. Values that fill a small part of their 16 bits, such as those of a
12-bit scanner, would be nearly black, and a transparent colour (tRNS) is stated in 16 bits.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from imgsearch.sources.depth import eight_bits, fills_its_depth, opaque_value

Samples = NDArray[np.uint16]

_PNG_TYPE_AT = slice(24, 26)  # bits per sample, and the type of the colours
_GRAY, _RGB, _GRAY_WITH_ALPHA, _RGBA = b"\x10\0", b"\x10\2", b"\x10\4", b"\x10\6"
_LOWER_BYTES = {_RGB: ("RGB", "RGB;16L"), _RGBA: ("RGBA", "RGBA;16L")}
"""Pillow's mode, and the raw mode that reads the lower bytes of big-endian samples."""


def converted(image: Image.Image, data: bytes) -> Image.Image:
    """The loaded image, or one made of the whole samples where their upper bytes mislead.

    `data` are the bytes of the file. Animations are left as they are.
    """
    if image.format == "PNG" and not getattr(image, "is_animated", False):
        return _of_png(image, data) or image
    if image.format == "PPM" and image.mode == "RGB" and data.startswith(b"P6"):
        return _of_ppm(image, data) or image
    return image


def _of_png(image: Image.Image, data: bytes) -> Image.Image | None:
    kind = data[_PNG_TYPE_AT]
    transparent = image.info.get("transparency")
    if kind == _GRAY and isinstance(transparent, int):
        gray = np.asarray(image).astype(np.uint16)[:, :, None]
        return _picture(gray, _alpha(gray, transparent), no_data=transparent)
    if kind not in (_RGB, _RGBA, _GRAY_WITH_ALPHA):
        return None
    if not transparent and fills_its_depth(np.asarray(image)[:, :, :3]):
        return None
    if kind == _GRAY_WITH_ALPHA:
        samples = np.asarray(_unpacked(data, "RGBA", "RGBA")).view(">u2").astype(np.uint16)
        return _picture(samples[:, :, :1], samples[:, :, 1:])
    lower = np.asarray(_unpacked(data, *_LOWER_BYTES[kind]))
    samples = np.asarray(image).astype(np.uint16) << 8 | lower
    if kind == _RGBA:
        return _picture(samples[:, :, :3], samples[:, :, 3:])
    return _picture(samples, _alpha(samples, transparent) if transparent else None)


def _unpacked(data: bytes, mode: str, raw_mode: str) -> Image.Image:
    """A PNG file, its samples unpacked in another way."""
    image = PngImagePlugin.PngImageFile(io.BytesIO(data))
    image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
    image._mode = mode
    image.load()
    return image


def _of_ppm(image: Image.Image, data: bytes) -> Image.Image | None:
    """The picture of a binary PPM of 16 bits; Pillow scales by any other maximum itself."""
    with Image.open(io.BytesIO(data), formats=("PPM",)) as opened:
        coding, offset = opened.tile[0].args, opened.tile[0].offset
    deep = isinstance(coding, tuple) and len(coding) == 2 and coding[1] == 65535
    count = image.width * image.height * 3
    if not deep or len(data) < offset + 2 * count or fills_its_depth(np.asarray(image)):
        return None
    samples = np.frombuffer(data, ">u2", count, offset)
    return _picture(samples.astype(np.uint16).reshape(image.height, image.width, 3))


def _alpha(samples: Samples, transparent: int | tuple[int, ...]) -> Samples:
    """0 for samples of the transparent colour, and the limit for others; one channel."""
    shown = (samples != np.array(transparent)).any(2, keepdims=True)
    alpha: Samples = shown.astype(np.uint16) * np.uint16(65535)
    return alpha


def _picture(
    colours: Samples, alpha: Samples | None = None, no_data: int | None = None
) -> Image.Image:
    shown = eight_bits(colours, no_data=no_data)
    if alpha is not None:
        share = (alpha.astype(np.float32) / opaque_value(alpha, 16)).clip(0, 1)
        shown = np.concatenate((shown, (share * 255).round().astype(np.uint8)), axis=2)
    bands = [Image.fromarray(shown[:, :, band]) for band in range(shown.shape[2])]
    return Image.merge({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(bands)], bands)
