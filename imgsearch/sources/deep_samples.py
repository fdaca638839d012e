"""Samples of more than 8 bits in colour files, of which Pillow keeps only the upper byte.

Pillow has no mode for them. Values that fill a small part of their 16 bits, such as those of a
12-bit scanner, would be nearly black, and a transparent colour (tRNS) is stated in 16 bits.
"""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, SgiImagePlugin
from pillow_heif import HeifFile

from imgsearch.sources import heif
from imgsearch.sources.colour import ColourSpace
from imgsearch.sources.depth import eight_bits, fills_its_depth, opaque_value

Samples = NDArray[np.uint16]

_SGI_HEADER_BYTES = 512
_SGI_SAMPLE_BYTES_AT = 3
_SIZ_BITS_AT = 42  # from the start of the codestream
_PNG_TYPE_AT = slice(24, 26)  # bits per sample, and the type of the colours
_GRAY, _RGB, _GRAY_WITH_ALPHA, _RGBA = b"\x10\0", b"\x10\2", b"\x10\4", b"\x10\6"
_LOWER_BYTES = {"L": "L;16", "RGB": "RGB;16L", "RGBA": "RGBA;16L"}
"""Pillow's mode to the raw mode that reads the lower bytes of big-endian samples."""


def converted(image: Image.Image, data: bytes, space: ColourSpace) -> Image.Image:
    """The loaded image, or one made of the whole samples where their upper bytes mislead.

    `data` are the bytes of the file, `space` is the colour space that it states: a dark HDR picture
    is dark. Of an animated PNG, only the first frame can be made of the whole samples.
    """
    reader = None if space.is_hdr else _READERS.get(image.format or "")
    return image if reader is None else reader(image, data) or image


def _of_png(image: Image.Image, data: bytes) -> Image.Image | None:
    later_frame = getattr(image, "is_animated", False) and image.tell()
    kind = b"" if later_frame else data[_PNG_TYPE_AT]
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
    mode = "RGBA" if kind == _RGBA else "RGB"
    lower = np.asarray(_unpacked(data, mode, _LOWER_BYTES[mode]))
    samples = np.asarray(image).astype(np.uint16) << 8 | lower
    if kind == _RGBA:
        return _with_alpha(samples)
    return _picture(samples, _alpha(samples, transparent) if transparent else None)


def _unpacked(data: bytes, mode: str, raw_mode: str) -> Image.Image:
    """A PNG file, its samples unpacked in another way."""
    image = PngImagePlugin.PngImageFile(io.BytesIO(data))
    image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
    image._mode = mode
    image.load()
    return image


def _of_ppm(image: Image.Image, data: bytes) -> Image.Image | None:
    """The picture of a PPM of 16 bits; Pillow scales by any other maximum itself."""
    if image.mode != "RGB":
        return None
    with Image.open(io.BytesIO(data), formats=("PPM",)) as opened:
        coding, offset = opened.tile[0].args, opened.tile[0].offset
    deep = isinstance(coding, tuple) and len(coding) == 2 and coding[1] == 65535
    if not deep or fills_its_depth(np.asarray(image)):
        return None
    count = image.width * image.height * 3
    if data.startswith(b"P3"):
        numbers = re.sub(rb"#[^\r\n]*", b"", data[offset:]).split()[:count]
        samples = np.array(numbers, np.float64).astype(np.uint16)
    else:
        samples = np.frombuffer(data[offset : offset + 2 * count], ">u2").astype(np.uint16)
    return (
        _picture(samples.reshape(image.height, image.width, 3)) if samples.size == count else None
    )


def _of_sgi(image: Image.Image, data: bytes) -> Image.Image | None:
    upper = np.atleast_3d(np.asarray(image))
    if data[_SGI_SAMPLE_BYTES_AT] != 2 or fills_its_depth(upper[:, :, :3]):
        return None
    opened = SgiImagePlugin.SgiImageFile(io.BytesIO(data))
    if opened.tile[0].codec_name == "SGI16":  # not compressed: planes, from the lowest row up
        shape = upper.shape[2], image.height, image.width
        planes = np.frombuffer(data, ">u2", upper.size, _SGI_HEADER_BYTES).reshape(shape)
        samples = np.moveaxis(planes[:, ::-1], 0, 2).astype(np.uint16)
    else:
        tile = opened.tile[0]
        _, *others = tile.args if isinstance(tile.args, tuple) else ("",)
        opened.tile = [tile._replace(args=(_LOWER_BYTES[opened.mode], *others))]
        samples = upper.astype(np.uint16) << 8 | np.atleast_3d(np.asarray(opened))
    return _with_alpha(samples)


def _of_heif(image: Image.Image, data: bytes) -> Image.Image | None:
    if heif.bits(data) <= 8 or not _is_dark(image):
        return None
    frame = HeifFile(io.BytesIO(data), convert_hdr_to_8bit=False)[image.tell()]  # type: ignore[no-untyped-call]
    whole = _with_alpha(np.asarray(frame))
    if whole.size != image.size:  # a thumbnail was decoded in its place
        return whole.resize(image.size, Image.Resampling.BOX)
    return whole


def _of_avif(image: Image.Image, data: bytes) -> Image.Image | None:
    return _stretched(image, heif.bits(data))


def _of_jpeg_2000(image: Image.Image, data: bytes) -> Image.Image | None:
    return _stretched(image, _jpeg_2000_bits(data))


def _stretched(image: Image.Image, bits: int) -> Image.Image | None:
    """The stretched upper bytes: no decoder here reads more of AVIF and colour JPEG 2000."""
    return _with_alpha(np.asarray(image)) if bits > 8 and _is_dark(image) else None


def _is_dark(image: Image.Image) -> bool:
    """True if a colour image fills a small part of its depth."""
    return image.mode in ("RGB", "RGBA") and not fills_its_depth(np.asarray(image)[:, :, :3])


def _jpeg_2000_bits(data: bytes) -> int:
    """Bits per sample, from the marker SIZ (ITU-T T.800, A.5.1); 0 without one."""
    at = data.find(b"\xff\x4f\xff\x51") + _SIZ_BITS_AT
    return (data[at] & 0x7F) + 1 if _SIZ_BITS_AT <= at < len(data) else 0


def _with_alpha(samples: NDArray[Any]) -> Image.Image:
    """The picture of samples in which a fourth channel is alpha."""
    alpha = samples[:, :, 3:] if samples.shape[2] == 4 else None
    return _picture(samples[:, :, :3], alpha)


def _alpha(samples: Samples, transparent: int | tuple[int, ...]) -> Samples:
    """0 for samples of the transparent colour, and the limit for others; one channel."""
    shown = (samples != np.array(transparent)).any(2, keepdims=True)
    alpha: Samples = shown.astype(np.uint16) * np.uint16(65535)
    return alpha


def _picture(
    colours: NDArray[Any],
    alpha: NDArray[Any] | None = None,
    no_data: int | None = None,
) -> Image.Image:
    shown = eight_bits(colours, no_data=no_data)
    if alpha is not None:
        share = (alpha.astype(np.float32) / opaque_value(alpha, 16)).clip(0, 1)
        shown = np.concatenate((shown, (share * 255).round().astype(np.uint8)), axis=2)
    bands = [Image.fromarray(shown[:, :, band]) for band in range(shown.shape[2])]
    return Image.merge({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(bands)], bands)


_READERS = {
    "PNG": _of_png,
    "PPM": _of_ppm,
    "SGI": _of_sgi,
    "HEIF": _of_heif,
    "AVIF": _of_avif,
    "JPEG2000": _of_jpeg_2000,
}
