"""Reasons why a file cannot be decoded, in words for users."""

from __future__ import annotations

import re
import struct

from PIL import Image, UnidentifiedImageError

from imgsearch.sources.guarded_files import Unusable

_MAGIC = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    b"8BPS": "Photoshop",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"heif")
_AVIF_BRANDS = (b"avif", b"avis")
_FOREIGN_MAGIC = {
    b"%PDF": "a PDF document",
    b"%!PS": "an EPS or PostScript document, which is not supported",
    b"\xff\x0a": "a JPEG XL picture, which is not supported",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture, which is not supported",
    b"v/1\x01": "an OpenEXR picture, which is not supported",
    b"gimp xcf": "a GIMP picture, which is not supported",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\x1f\x8b": "a gzip archive",
    b"\x1aE\xdf\xa3": "a film (Matroska or WebM)",
    b"\0\x05\x16\x07": "a macOS sidecar file",
}
_CUT_OFF_SIGNS = (
    "truncated",
    "cut off",
    "unexpected end",
    "not enough data",
    "end of file",
    "eof",
)
_PIXEL_COUNT = re.compile(r"\((\d+) pixels\)")


def explain(error: Exception, data: bytes, max_pixels: int) -> Unusable:
    """The meaning of a decoder's exception, judged by the bytes that it was decoding."""
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return too_many_pixels(_PIXEL_COUNT.search(str(error)), max_pixels)
    if isinstance(error, MemoryError):
        return Unusable("needs too much memory to be decoded")
    if isinstance(error, UnidentifiedImageError):
        return Unusable(unknown_content(data))
    name = known_format(data) or "picture"
    if is_cut_off(error):
        return Unusable(f"the {name} file is cut off: its end is missing")
    return Unusable(f"the {name} file is damaged, or of an unusual kind")


def is_cut_off(error: Exception) -> bool:
    """True if a decoder's exception says that the end of the file is missing."""
    return isinstance(error, EOFError) or any(sign in str(error).lower() for sign in _CUT_OFF_SIGNS)


def too_many_pixels(match: re.Match[str] | None, max_pixels: int) -> Unusable:
    """The error for an image with too many pixels; the match holds their number if it is known."""
    limit = f"the limit is {max_pixels / 1e6:.0f} megapixels"
    count = f": {int(match[1]) / 1e6:.0f} megapixels" if match else ""
    return Unusable(f"too many pixels{count}, {limit}")


def known_format(data: bytes) -> str | None:
    """The supported image format that the first bytes indicate, or None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return _container(data)
    return next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None)


def _container(data: bytes) -> str | None:
    brands = [data[at : at + 4] for at in (8, *range(16, min(_box_end(data), 64), 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "AVIF"
    return "HEIC" if any(brand in _HEIF_BRANDS for brand in brands) else None


def _box_end(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")


def unknown_content(data: bytes) -> str:
    """The reason why no decoder accepted the file."""
    if not data:
        return "the file is empty"
    if data.startswith(b"\xff\xd8"):
        return _unknown_jpeg(data)
    if data.startswith(b"8BPS"):
        return _unknown_photoshop(data)
    if name := known_format(data):
        return f"the {name} file is damaged or cut off"
    return f"not a picture: {_looks_like(data)}"


def _unknown_jpeg(data: bytes) -> str:
    precision = _jpeg_precision(data)
    if precision not in (None, 8):
        return f"{precision}-bit JPEG is not supported"
    return "the JPEG file is damaged or cut off"


def _unknown_photoshop(data: bytes) -> str:
    """A reason from the header; Pillow reads the files of 1 and 8 bits, in every colour mode."""
    depth = int.from_bytes(data[22:24], "big")
    if depth in (16, 32):
        return f"a {depth}-bit Photoshop file is not supported"
    return "the Photoshop file is damaged or cut off"


def _jpeg_precision(data: bytes) -> int | None:
    """Bits per sample from the frame header (ITU-T T.81, B.2.2); None if there is none."""
    at = 2
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker, length = struct.unpack_from(">xBH", data, at)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return data[at + 4]
        at += 2 + length
    return None


def _looks_like(data: bytes) -> str:
    for magic, name in _FOREIGN_MAGIC.items():
        if data.startswith(magic):
            return f"it is {name}"
    if data[4:8] == b"ftyp":
        return "it is a film"
    if not data.strip(b"\0"):
        return "it contains only zeros"
    return _text_kind(data[:4096])


def _text_kind(head: bytes) -> str:
    try:
        text = head[:-4].decode("utf-8") if len(head) == 4096 else head.decode("utf-8")
    except UnicodeDecodeError:
        return "its content is of an unknown kind"
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<body")):
        return "it is a web page"
    if start.startswith("<svg") or (start.startswith("<?xml") and "<svg" in start):
        return "it is an SVG drawing, which is not supported"
    readable = all(c.isprintable() or c in "\t\r\n\f" for c in text)
    return (
        "it is a text file" if readable and len(text) > 1 else "its content is of an unknown kind"
    )
