"""The map of a library as bytes for a page, kept until the library changes."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imgsearch.curation.density import level_to_plain
from imgsearch.curation.map import COLOURS, PictureMap, map_state, region_to_plain
from imgsearch.filters.tree import Filter
from imgsearch.library import Library
from imgsearch.settings import Settings

MAX_MAP_IMAGES = 1_000_000
"""Pictures of one answer, of 14 bytes each; of more, some from all over the map are chosen."""
MAX_KEPT_FILES = 2


@dataclass(frozen=True, slots=True)
class MapFile:
    """A map as bytes, or None where the client has it, and a tag that names its content."""

    tag: str
    data: bytes | None


class Maps:
    """A library with its map; it belongs to one thread."""

    def __init__(self, settings: Settings) -> None:
        self._library = Library(settings)
        self._files: OrderedDict[str, bytes] = OrderedDict()

    def close(self) -> None:
        """Close the library."""
        self._library.close()

    def renew(self) -> None:
        """Open what lies in the library's folder by now."""
        if self._library.replaced:
            self._files.clear()
        self._library.renew()

    def region(self, corners: Sequence[tuple[float, float]]) -> Filter:
        """The filter for the pictures inside a polygon of the map."""
        return self._library.map_region(corners)

    def file(self, where: Filter | None, known: str = "") -> MapFile:
        """The map of the pictures that pass a filter; see `packed`.

        Raises
        ------
        QueryError
            Fewer than two pictures, or none passes the filter.
        """
        tag = self._tag(where)
        if tag == known:
            return MapFile(tag, None)
        data = self._files.pop(tag, None)
        if data is None:
            data = packed(self._library.map(where, clusters=False))
        self._files[tag] = data
        while len(self._files) > MAX_KEPT_FILES:
            self._files.popitem(last=False)
        return MapFile(tag, data)

    def _tag(self, where: Filter | None) -> str:
        """Names the map of a filter in one state of the library."""
        library = self._library
        kept = library.kept_map()
        state = map_state(kept, library.catalog.clusters(library.searcher.space))
        text = f"{library.catalog.uuid} {state} {library.catalog.head()} {where!r}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def packed(shown: PictureMap) -> bytes:
    """A map as `GET /api/v1/map` sends it; see `imgsearch.web.library_routes`."""
    chosen = shown.spread(MAX_MAP_IMAGES)
    numbers = {each.id: number for number, each in enumerate(shown.regions, start=1)}
    clusters, of_image = np.unique(shown.clusters[chosen], return_inverse=True)
    places = np.array([numbers.get(key, 0) for key in clusters.tolist()], np.uint16)[of_image]
    scaled = np.round((shown.positions[chosen].astype(np.float64) + 1) * 32767.5)
    colours = shown.colour_numbers()
    head = {
        "model": shown.model,
        "count": len(chosen),
        "total": len(shown.ids),
        "unindexed": shown.unindexed,
        "palette": COLOURS,
        "levels": [level_to_plain(each) for each in shown.levels()],
        "regions": [region_to_plain(each) | {"colour": colours[each.id]} for each in shown.regions],
    }
    text = json.dumps(head).encode()
    text += b" " * (-(len(text) + 4) % 8)
    parts = (shown.ids[chosen].astype("<i8"), scaled.astype("<u2"), places.astype("<u2"))
    body = b"".join(part.tobytes() + bytes(-part.nbytes % 8) for part in parts)
    return len(text).to_bytes(4, "little") + text + body
