"""Reads XMP packets (ISO 16684-1), embedded in images or in sidecar files. Nothing here raises.

A property may be written as an attribute or as an element; its value as text, as a list, with
qualifiers around it, or as a structure in three notations. All are brought to one form first: the
fields of a node, each a list of texts and elements. A tree deeper than any real packet is cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from defusedxml import ElementTree

from imgsearch.sources.caption_text import MAX_KEYWORDS, first_line, unique_lines
from imgsearch.sources.dates import is_unknown, read_moment
from imgsearch.sources.positions import read_degrees, valid_position
from imgsearch.sources.ratings import from_percent, from_stars
from imgsearch.sources.statement import XMP, Moment, Statement, first_stated

MAX_CAMERA_CHARACTERS = 100
MAX_BYTES = 16 << 20
"""Larger packets are not read. Editing histories fill megabytes."""

_MAX_DEPTH = 12
_MAX_ITEMS = 4 * MAX_KEYWORDS
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_LISTS = (f"{_RDF}Alt", f"{_RDF}Bag", f"{_RDF}Seq")
_SYNTAX = (_RDF, "{http://www.w3.org/XML/1998/namespace}")

_ACDSEE = "{http://ns.acdsee.com/iptc/1.0/}"
_ACDSEE_REGIONS = "{http://ns.acdsee.com/regions/}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_DIGIKAM = "{http://www.digikam.org/ns/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_EXIF_EXTENSION = "{http://cipa.jp/exif/1.0/}"
_EXTENSION = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_HIERARCHY = "{http://www.metadataworkinggroup.com/schemas/keywords/}"
_LIGHTROOM = "{http://ns.adobe.com/lightroom/1.0/}"
_MEDIAPRO = "{http://ns.iview-multimedia.com/mediapro/1.0/}"
_MICROSOFT = "{http://ns.microsoft.com/photo/1.0/}"
_MICROSOFT_PEOPLE = "{http://ns.microsoft.com/photo/1.2/}"
_MICROSOFT_INFO = "{http://ns.microsoft.com/photo/1.2/t/RegionInfo#}"
_MICROSOFT_REGION = "{http://ns.microsoft.com/photo/1.2/t/Region#}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_REGIONS = "{http://www.metadataworkinggroup.com/schemas/regions/}"
_TIFF = "{http://ns.adobe.com/tiff/1.0/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"

_TREES = {
    f"{_LIGHTROOM}hierarchicalSubject": "|",
    f"{_DIGIKAM}TagsList": "/",
    f"{_MICROSOFT}LastKeywordXMP": "/",
    f"{_MEDIAPRO}CatalogSets": "|",
}
"""Properties that hold keywords with those above them, and what separates these."""

_INTERNAL = "_Digikam_Internal_Tags_"

Fields = dict[str, list[Any]]
"""Qualified name of a property -> its values: texts (attributes) and elements."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARATION = re.compile(r"<\?xml\s[^>]*\?>")


def read_xmp(packet: bytes) -> Statement:
    """The statements of a packet; empty if it cannot be parsed or is too large."""
    try:
        return _statement(_properties(packet))
    except Exception:  # broken metadata makes the parser raise nearly anything
        return Statement(XMP)


def _properties(packet: bytes) -> Fields:
    """The properties of the image itself, not those of what it was made from."""
    if len(packet) > MAX_BYTES:
        return {}
    root = ElementTree.fromstring(_document(packet))
    node = root if root.tag == f"{_RDF}RDF" else root.find(f".//{_RDF}RDF")
    if node is None:
        return {}
    return _fields(node.findall("*"))


def _document(packet: bytes) -> str:
    """The packet as text, from its first tag to its last, without what XML does not allow."""
    text = _NOT_XML.sub("", _DECLARATION.sub("", packet.decode(_encoding(packet), "replace")))
    end = text.find(">", text.rfind("</"))  # what follows the last tag is padding, or damaged
    return text[max(text.find("<"), 0) : end + 1 or len(text)]


def _encoding(packet: bytes) -> str:
    """UTF-8, -16 or -32, from the byte order mark or from the zeros around the first "<"."""
    head = packet[:4]
    for mark, name in (
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
        (b"<\0\0\0", "utf-32-le"),
        (b"\0\0\0<", "utf-32-be"),
        (b"<\0", "utf-16-le"),
        (b"\0<", "utf-16-be"),
    ):
        if head.startswith(mark):
            return name
    return "utf-8-sig"


def _statement(fields: Fields) -> Statement:
    def texts(*names: str) -> list[str]:
        return [text for name in names for text in _texts(fields.get(name, ()))]

    title, headline = (first_line(texts(name)) for name in (f"{_DC}title", f"{_PHOTOSHOP}Headline"))
    descriptions = texts(f"{_DC}description", f"{_TIFF}ImageDescription", f"{_EXIF}UserComment")
    original = texts(f"{_EXIF}DateTimeOriginal", f"{_PHOTOSHOP}DateCreated")
    people, pets = _people(fields)
    return Statement(
        source=XMP,
        taken=_moment(original, texts(*_offsets("OffsetTimeOriginal"))),
        taken_unknown=any(map(is_unknown, original)),
        digitized=_moment(
            texts(f"{_XMP}CreateDate", f"{_EXIF}DateTimeDigitized"),
            texts(*_offsets("OffsetTimeDigitized")),
        ),
        position=_position(fields),
        camera_make=first_line(texts(f"{_TIFF}Make"))[:MAX_CAMERA_CHARACTERS],
        camera_model=first_line(texts(f"{_TIFF}Model"))[:MAX_CAMERA_CHARACTERS],
        title=title or headline,
        description=first_line([*descriptions, *texts(f"{_ACDSEE}caption"), title and headline]),
        keywords=unique_lines(chain(_keywords(fields), pets)),
        people=unique_lines(people),
        city=_place(fields, "City"),
        state=_place(fields, "State", "ProvinceState"),
        country=_place(fields, "Country", "CountryName"),
        rating=_rating(fields),
    )


# RDF


def _fields(nodes: Iterable[Any]) -> Fields:
    """The fields of nodes, which may be structures in any notation."""
    fields: Fields = {}
    for node in nodes:
        for part in (node, *node.findall(f"{_RDF}Description")):
            values = chain(part.attrib.items(), ((child.tag, child) for child in part))
            for name, value in values:
                if isinstance(name, str) and not name.startswith(_SYNTAX):
                    fields.setdefault(name, []).append(value)
    return fields


def _texts(values: Iterable[Any]) -> list[str]:
    """The texts of values, limited, because hostile lists may be long and nested."""
    return list(islice(chain.from_iterable(_leaves(value, 0) for value in values), _MAX_ITEMS))


def _leaves(value: Any, depth: int) -> Iterator[str]:
    """The texts of a value: its own, those of its items, or the one that qualifiers surround."""
    if isinstance(value, str):
        yield value
        return
    inner = [*_items(value), *value.findall(f"{_RDF}Description"), *value.findall(f"{_RDF}value")]
    attributes = [value.get(f"{_RDF}resource"), value.get(f"{_RDF}value")]
    yield from filter(None, attributes)
    if not inner:
        yield value.text or ""
    elif depth < _MAX_DEPTH:
        for each in inner:
            yield from _leaves(each, depth + 1)


def _items(value: Any) -> list[Any]:
    """The items of the lists in an element; of alternatives, the default language first."""
    lists = [child for child in value if child.tag in _LISTS]
    items = [item for each in lists for item in islice(each, _MAX_ITEMS)]
    return sorted(items, key=lambda item: item.get(_LANG) != "x-default")


def _structures(fields: Fields, name: str) -> list[Fields]:
    """The structures that are the value of a field, or the items of its lists."""
    elements = [value for value in fields.get(name, ()) if not isinstance(value, str)]
    return [_fields([each]) for element in elements for each in _items(element) or [element]]


# The properties


def _keywords(fields: Fields) -> Iterator[str]:
    yield from _texts(fields.get(f"{_DC}subject", ()))
    yield from _texts(fields.get(f"{_ACDSEE}keywords", ()))
    for name, separator in _TREES.items():
        for path in _texts(fields.get(name, ())):
            if not path.startswith(_INTERNAL):
                yield from reversed(path.split(separator))
    for root in _structures(fields, f"{_HIERARCHY}Keywords"):
        yield from _branches(root, f"{_HIERARCHY}Hierarchy", 0)


def _branches(fields: Fields, name: str, depth: int) -> Iterator[str]:
    for branch in _structures(fields, name):
        yield from _texts(branch.get(f"{_HIERARCHY}Keyword", ()))
        if depth < _MAX_DEPTH:
            yield from _branches(branch, f"{_HIERARCHY}Children", depth + 1)


def _people(fields: Fields) -> tuple[list[str], list[str]]:
    """Names of people, and of pets, in the image and its regions."""
    people, pets = _texts(fields.get(f"{_EXTENSION}PersonInImage", ())), list[str]()
    for person in _structures(fields, f"{_EXTENSION}PersonInImageWDetails"):
        people += _texts(person.get(f"{_EXTENSION}PersonName", ()))
    for region in _structures(fields, f"{_EXTENSION}ImageRegion"):
        people += _texts(region.get(f"{_EXTENSION}PersonInImage", ()))
    for info in _structures(fields, f"{_MICROSOFT_PEOPLE}RegionInfo"):
        for region in _structures(info, f"{_MICROSOFT_INFO}Regions"):
            people += _texts(region.get(f"{_MICROSOFT_REGION}PersonDisplayName", ()))
    for space in (_REGIONS, _ACDSEE_REGIONS):
        for info in _structures(fields, f"{space}Regions"):
            for region in _structures(info, f"{space}RegionList"):
                kind = first_line(_texts(region.get(f"{space}Type", ()))).lower()
                if kind in ("", "face", "pet"):
                    (pets if kind == "pet" else people).extend(
                        _texts(region.get(f"{space}Name", ()))
                    )
    return people, pets


def _place(fields: Fields, photoshop: str, extension: str = "") -> str:
    texts = _texts(fields.get(f"{_PHOTOSHOP}{photoshop}", ()))
    for name in ("LocationCreated", "LocationShown"):
        for place in _structures(fields, f"{_EXTENSION}{name}"):
            texts += _texts(place.get(f"{_EXTENSION}{extension or photoshop}", ()))
    return first_line(texts)


def _moment(texts: Iterable[str], offsets: Iterable[str]) -> Moment | None:
    """The first date, with its own time zone or that of the property for it."""
    offset = first_line(offsets)
    return first_stated([*filter(None, (read_moment(text, offset) for text in texts))])


def _offsets(name: str) -> tuple[str, str]:
    """A time zone in XMP for Exif 2.32 (CIPA DC-010), and as programs wrote it before that."""
    return f"{_EXIF_EXTENSION}{name}", f"{_EXIF}{name}"


def _position(fields: Fields) -> tuple[float, float] | None:
    latitude, longitude = f"{_EXIF}GPSLatitude", f"{_EXIF}GPSLongitude"
    return valid_position(_degrees(fields, latitude), _degrees(fields, longitude))


def _degrees(fields: Fields, name: str) -> float | None:
    reference = first_line(_texts(fields.get(f"{name}Ref", ())))
    return read_degrees(first_line(_texts(fields.get(name, ()))), reference)


def _rating(fields: Fields) -> int | None:
    stars, percent = (
        _number(first_line(_texts(fields.get(f"{space}Rating", ()))))
        for space in (_XMP, _MICROSOFT)
    )
    rating = None if stars is None else from_stars(stars)
    return rating if rating or percent is None else from_percent(percent)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
