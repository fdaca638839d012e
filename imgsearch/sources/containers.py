"""Finds metadata in the containers of images: EXIF, XMP and IPTC blocks, texts and comments.

Pillow finds some of them in some formats. The places of the others: XMP specification, part 3
(Adobe, 2020) and the formats' own. Nothing here raises, and each walk ends with the data.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD

from imgsearch.sources.exif import tags
from imgsearch.sources.heif import boxes
from imgsearch.sources.iptc import EXIF_RESOURCE, IPTC_RESOURCE, XMP_RESOURCE, resources
from imgsearch.sources.xmp import MAX_BYTES

_XMP_TAG, _IPTC_TAG, _PHOTOSHOP_TAG = 700, 33723, 34377

_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC_UUID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_EXIF_UUID = b"JpgTiffExif->JP2"
_CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")

_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENDED_HEADER = struct.Struct(">32sII")  # digest of the whole, its size, offset of the part
_GIF_XMP = re.compile(rb"!\xff\x0bXMP DataXMP(.*?)\x01\xff\xfe\xfd", re.DOTALL)
_XMP_START, _MAX_XMP_HEADER_BYTES = b"http://ns.adobe.com/xap/1.0/\0", 64
_PHOTOSHOP_START, _PROFILE_KEY = b"Photoshop 3.0\0", "raw profile type "
_PNG_START = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TIFF_LIKE = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0")  # Olympus and Panasonic
_FUJI = b"FUJIFILMCCD-RAW"
_FUJI_PREVIEW = struct.Struct(">II")
_FUJI_PREVIEW_OFFSET_BYTES = 84


@dataclass(slots=True)
class Blocks:
    """The metadata blocks of a file, undecoded.

    Attributes
    ----------
    xmp, iptc : list of bytes
    exif : bytes
        A TIFF structure that Pillow does not find; b"" without one.
    texts : dict of str to str
        Key and text, as in PNG.
    comments : list of bytes
        Texts without a key, in an unknown encoding.
    changed : (int, ...) or None
        Year, month, day, hour, minute and second of the last change, UTC.
    """

    xmp: list[bytes] = field(default_factory=list)
    iptc: list[bytes] = field(default_factory=list)
    exif: bytes = b""
    texts: dict[str, str] = field(default_factory=dict)
    comments: list[bytes] = field(default_factory=list)
    changed: tuple[int, ...] | None = None


def image_blocks(image: Image.Image, exif: Image.Exif, data: bytes) -> Blocks:
    """The blocks of an image that Pillow has opened."""
    blocks = Blocks()
    _add(blocks.xmp, image.info.get("xmp"))
    _add(blocks.comments, image.info.get("comment"))
    read = _READERS.get(image.format or "")
    with suppress(Exception):  # broken containers make readers raise nearly anything
        _tiff(blocks, exif)
    with suppress(Exception):
        if read is not None:
            read(blocks, image, data)
    return blocks


def raw_blocks(exif: Image.Exif, data: bytes) -> Blocks:
    """The blocks of a RAW file."""
    blocks = Blocks()
    with suppress(Exception):
        _tiff(blocks, exif)
    with suppress(Exception):
        if data[4:8] == b"ftyp":
            _boxes(blocks, data)
    with suppress(Exception):
        preview = _fuji_preview(data)
        if preview:
            with Image.open(io.BytesIO(preview), formats=("JPEG",)) as image:
                return image_blocks(image, image.getexif(), preview)
    return blocks


def raw_exif(data: bytes) -> Image.Exif:
    """EXIF of a RAW file, from the place that its maker uses; empty if it is not found."""
    exif = Image.Exif()
    with suppress(Exception):
        if data.startswith(_TIFF_LIKE):
            exif.load(b"Exif\0\0" + data[:2] + (b"*\0" if data[:1] == b"I" else b"\0*") + data[4:])
        elif data.startswith(_TIFF):
            exif.load(b"Exif\0\0" + data)
        elif data[4:11] == b"ftypcrx":
            return _canon_exif(data)
        elif data.startswith(_FUJI):
            with Image.open(io.BytesIO(_fuji_preview(data)), formats=("JPEG",)) as image:
                return image.getexif()
    return exif


def exif_from(block: bytes) -> Image.Exif:
    """EXIF from a TIFF structure; empty if it cannot be read."""
    exif = Image.Exif()
    with suppress(Exception):
        exif.load(block if block.startswith(b"Exif\0\0") else b"Exif\0\0" + block)
    return exif


def _add(blocks: list[bytes], block: Any) -> None:
    if isinstance(block, str):
        block = block.encode("utf-8", "replace")
    if isinstance(block, bytes) and block:
        blocks.append(block)


def _tiff(blocks: Blocks, exif: Image.Exif) -> None:
    main = tags(exif)
    if not blocks.xmp:
        _add(blocks.xmp, _raw_tag(main.get(_XMP_TAG), exif))
    _add(blocks.iptc, _raw_tag(main.get(_IPTC_TAG), exif))
    if not blocks.iptc:
        _photoshop(blocks, _raw_tag(main.get(_PHOTOSHOP_TAG), exif))


def _raw_tag(value: Any, exif: Image.Exif) -> bytes:
    """The bytes of a tag; some programs store them as 32-bit numbers, and some swap these."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, tuple) or not all(isinstance(each, int) for each in value):
        return b""
    if all(each < 256 for each in value):
        return bytes(value)
    order = exif.endian or "<"
    data = struct.pack(f"{order}{len(value)}I", *value)
    if data[:1] != b"\x1c" and data[3:4] == b"\x1c":
        data = struct.pack(f"{'>' if order == '<' else '<'}{len(value)}I", *value)
    return data


def _photoshop(blocks: Blocks, data: bytes) -> None:
    _resources(blocks, resources(data))


def _resources(blocks: Blocks, numbered: Iterator[tuple[int, bytes]]) -> None:
    for number, content in numbered:
        if number == IPTC_RESOURCE:
            _add(blocks.iptc, content)
        elif number == XMP_RESOURCE and not blocks.xmp:
            _add(blocks.xmp, content)
        elif number == EXIF_RESOURCE and not blocks.exif:
            blocks.exif = content


def _jpeg(blocks: Blocks, image: Image.Image, data: bytes) -> None:
    parts: dict[bytes, dict[int, bytes]] = {}
    segments: list[tuple[str, bytes]] = getattr(image, "applist", [])
    blocks.comments = [content for name, content in segments if name == "COM"] or blocks.comments
    for name, content in segments:
        if name == "APP1" and content.startswith(_EXTENDED_XMP):
            body = content[len(_EXTENDED_XMP) :]
            digest, _, offset = _EXTENDED_HEADER.unpack_from(body)
            parts.setdefault(digest, {})[offset] = body[_EXTENDED_HEADER.size :]
    for each in parts.values():
        _add(blocks.xmp, b"".join(each[offset] for offset in sorted(each))[: MAX_BYTES + 1])
    photoshop: dict[int, Any] = image.info.get("photoshop") or {}
    _resources(blocks, ((n, c) for n, c in photoshop.items() if isinstance(c, bytes)))


def _png(blocks: Blocks, image: Image.Image, data: bytes) -> None:
    texts: dict[Any, Any] = getattr(image, "text", {})
    for key, text in texts.items():
        name = str(key).lower()
        if name.startswith(_PROFILE_KEY):
            _profile(blocks, str(text))
        elif name == "xml:com.adobe.xmp" and not blocks.xmp:
            _add(blocks.xmp, str(text))
        else:
            blocks.texts.setdefault(name, str(text))
    for kind, content in _png_chunks(data):
        if kind == b"tIME":
            blocks.changed = struct.unpack(">HBBBBB", content)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG_START)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 64:  # only small ones are wanted
            yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


def _profile(blocks: Blocks, text: str) -> None:
    """Add a block that ImageMagick wrote as text: its name, its size, and its bytes in hex.

    The names (exif, APP1, iptc, 8bim, xmp) say little: APP1 may be EXIF or XMP, and iptc is mostly
    a list of Photoshop resources. So the start of the block decides.
    """
    words = text.split(maxsplit=2)
    with suppress(ValueError):  # not hexadecimal: the other profiles may be
        content = bytes.fromhex("".join(words[2].split())) if len(words) == 3 else b""
        content = content.removeprefix(_PHOTOSHOP_START)
        if content.startswith((b"Exif\0\0", *_TIFF)):
            blocks.exif = blocks.exif or content
        elif content.startswith(b"8BIM"):
            _photoshop(blocks, content)
        elif content.startswith(b"\x1c"):
            _add(blocks.iptc, content)
        elif b"<" in content[:_MAX_XMP_HEADER_BYTES]:
            _add(blocks.xmp, content.removeprefix(_XMP_START))


def _gif(blocks: Blocks, image: Image.Image, data: bytes) -> None:
    match = _GIF_XMP.search(data)
    _add(blocks.xmp, match[1] if match else b"")


def _psd(blocks: Blocks, image: Image.Image, data: bytes) -> None:
    listed: list[tuple[int, bytes, bytes]] = getattr(image, "resources", [])
    _resources(blocks, ((number, content) for number, _, content in listed))


def _jpeg2000(blocks: Blocks, image: Image.Image, data: bytes) -> None:
    _boxes(blocks, data)


def _boxes(blocks: Blocks, data: bytes) -> None:
    for kind, content in boxes(memoryview(data)):
        uuid = bytes(content[:16]) if kind == b"uuid" else b""
        if uuid == _XMP_UUID:
            _add(blocks.xmp, bytes(content[16:]))
        elif uuid == _IPTC_UUID:
            _add(blocks.iptc, bytes(content[16:]))
        elif uuid == _EXIF_UUID:
            blocks.exif = bytes(content[16:])


def _canon_exif(data: bytes) -> Image.Exif:
    """EXIF of a CR3, which has a TIFF structure for each directory."""
    movie = dict(boxes(memoryview(data)))[b"moov"]
    canon = next(c for kind, c in boxes(movie) if kind == b"uuid" and c[:16] == _CANON_UUID)
    parts = {kind: bytes(content) for kind, content in boxes(canon[16:])}
    exif = exif_from(parts.get(b"CMT1", b""))
    for kind, ifd in ((b"CMT2", IFD.Exif), (b"CMT4", IFD.GPSInfo)):
        exif.get_ifd(ifd).update(tags(exif_from(parts.get(kind, b""))))
    return exif


def _fuji_preview(data: bytes) -> bytes:
    if not data.startswith(_FUJI):
        return b""
    start, size = _FUJI_PREVIEW.unpack_from(data, _FUJI_PREVIEW_OFFSET_BYTES)
    return data[start : start + size]


_READERS = {
    "JPEG": _jpeg,
    "MPO": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "PSD": _psd,
    "JPEG2000": _jpeg2000,
}
