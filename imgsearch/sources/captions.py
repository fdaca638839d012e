"""Title, description and keywords that people wrote into an image. Nothing here raises.

The sources, in this order: XMP (ISO 16684-1; dc:title, dc:description, dc:subject and
photoshop:Headline), IPTC-IIM (version 4; datasets 2:05, 2:105, 2:120, 2:25) and EXIF (Exif 2.32,
ImageDescription and UserComment, and the XP tags of Windows).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from PIL import Image, ImageFile, IptcImagePlugin
from PIL.ExifTags import IFD, Base

from imgsearch.sources.caption_text import first_line, unique_lines
from imgsearch.sources.xmp import read_xmp


@dataclass(frozen=True, slots=True)
class Captions:
    """The captions of an image; "" and () if there are none."""

    title: str = ""
    description: str = ""
    keywords: tuple[str, ...] = ()


def read_captions(image: Image.Image, exif: Image.Exif) -> Captions:
    """The captions of an open image, each kind from the first source that has any."""
    sources = list(_sources(image, exif))
    return Captions(
        next((each.title for each in sources if each.title), ""),
        next((each.description for each in sources if each.description), ""),
        next((each.keywords for each in sources if each.keywords), ()),
    )


def _sources(image: Image.Image, exif: Image.Exif) -> Iterator[Captions]:
    with suppress(Exception):  # broken metadata makes parsers raise nearly anything
        yield _xmp(image)
    with suppress(Exception):
        yield _iptc(image)
    with suppress(Exception):
        yield _exif(exif)


def _xmp(image: Image.Image) -> Captions:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    stated = read_xmp(packet.encode() if isinstance(packet, str) else bytes(packet))
    return Captions(stated.title, stated.description, stated.keywords)


def _iptc(image: Image.Image) -> Captions:
    records: Any = IptcImagePlugin.getiptcinfo(cast(ImageFile.ImageFile, image)) or {}
    utf8 = records.get((1, 90)) == b"\x1b%G"

    def texts(*datasets: int) -> list[str]:
        fields = (records.get((2, dataset)) for dataset in datasets)
        values = [v for each in fields for v in (each if isinstance(each, list) else [each]) if v]
        return [_decoded(value, utf8) for value in values]

    return _captions(texts(5, 105), texts(120), texts(25))


def _decoded(value: bytes, utf8: bool) -> str:
    """IIM text: UTF-8 if valid, as many programs write it undeclared, else as declared."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("utf-8" if utf8 else "latin-1", "replace")


def _exif(exif: Image.Exif) -> Captions:
    main = dict(exif)
    comment = exif.get_ifd(IFD.Exif).get(Base.UserComment)
    keywords = _utf16(main.get(Base.XPKeywords)).split(";")
    descriptions = [_plain(main.get(Base.ImageDescription)), _utf16(main.get(Base.XPSubject))]
    descriptions += [_utf16(main.get(Base.XPComment)), _user_comment(comment)]
    return _captions([_utf16(main.get(Base.XPTitle))], descriptions, keywords)


def _plain(value: Any) -> str:
    """An ASCII tag; many programs write UTF-8, which Pillow reads as Latin-1."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    text = str(value or "")
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _utf16(value: Any) -> str:
    data = bytes(value) if isinstance(value, (bytes, tuple)) else b""
    return data.decode("utf-16-le", "ignore").partition("\0")[0]


def _user_comment(value: Any) -> str:
    """A UserComment: eight bytes name the encoding, and padding often follows the text."""
    data = value if isinstance(value, bytes) else b""
    code, text = data[:8], data[8:]
    if code == b"UNICODE\0":
        big = len(text) > 1 and text[0] == 0
        return text.decode("utf-16-be" if big else "utf-16-le", "ignore")
    return text.decode("ascii", "ignore") if code == b"ASCII\0\0\0" else ""


def _captions(titles: Iterable[str], texts: Iterable[str], keywords: Iterable[str]) -> Captions:
    return Captions(first_line(titles), first_line(texts), unique_lines(keywords))
