"""Reads XMP packets (ISO 16684-1), embedded in images or in sidecar files."""

from __future__ import annotations

from itertools import islice
from typing import Any

from defusedxml import ElementTree

from imgsearch.sources.caption_text import MAX_KEYWORDS, first_line, unique_lines
from imgsearch.sources.statement import Statement

_MAX_BYTES = 1_000_000
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"


def read_xmp(packet: bytes) -> Statement:
    """The statements of a packet; empty if it cannot be parsed or is too large."""
    data = packet.strip(b"\0 \r\n\t\xef\xbb\xbf")
    if not data or len(data) > _MAX_BYTES:
        return Statement()
    try:
        return _statement(ElementTree.fromstring(data))
    except Exception:  # broken metadata makes the parser raise nearly anything
        return Statement()


def _statement(tree: Any) -> Statement:
    headline = (each.get(f"{_PHOTOSHOP}Headline") for each in tree.iter(f"{_RDF}Description"))
    return Statement(
        title=first_line([*_items(tree, f"{_DC}title"), *filter(None, headline)]),
        description=first_line(_items(tree, f"{_DC}description")),
        keywords=unique_lines(_items(tree, f"{_DC}subject")),
    )


def _items(tree: Any, name: str) -> list[str]:
    """The texts of the lists with this name; limited, because hostile lists may be nested."""
    texts = (item.text or "" for each in tree.iter(name) for item in each.iter(f"{_RDF}li"))
    return list(islice(texts, 2 * MAX_KEYWORDS))
