"""A library as tools of the Model Context Protocol, over stdin and stdout. They only read.

Pictures are named by ids, and a file is read only where it lies below a folder of the library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from imgsearch import __version__
from imgsearch.errors import ImgSearchError
from imgsearch.records import Hit, ImageRecord, Skipped
from imgsearch.serving.gallery import Gallery, cannot_show
from imgsearch.serving.request import MOST_TERMS, Asked, Filters
from imgsearch.settings import Settings

MOST_HITS = 50
MOST_SIDE = 1024
"""Pixels of the longer side of a picture that is given."""

P = ParamSpec("P")
T = TypeVar("T")
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Words = Annotated[str, Field(max_length=10_000, description="What to look for, in words.")]
Texts = Annotated[list[str], Field(max_length=MOST_TERMS)]
Count = Annotated[int, Field(ge=1, le=MOST_HITS, description="At most so many pictures.")]
Id = Annotated[int, Field(ge=1, le=2**63 - 1, description="The id of a picture.")]
Where = Annotated[
    str,
    Field(
        max_length=10_000,
        description="Which pictures may be found, such as 'taken >= 2023 and camera ~ canon and "
        'format in (jpeg, heic) and near(48.86, 2.35, 5) and in "/home/me/Pictures/2023"\'.',
    ),
]


def server(gallery: Gallery) -> MCPServer[Any]:
    """The tools over a library."""
    found: MCPServer[Any] = MCPServer(
        "imgsearch",
        title="imgsearch",
        version=__version__,
        instructions="Finds pictures in the user's own library by words or by example.",
        log_level="ERROR",
    )

    @found.tool(annotations=_READS)
    @_told
    async def search_images(
        query: Words = "",
        without: Texts = [],  # noqa: B006 - only read
        where: Where = "",
        limit: Count = 10,
        weak: bool = False,
    ) -> dict[str, Any]:
        """Find pictures by words; without words, list those that pass `where`, newest first.

        `without` says what is not wanted; `weak` gives poor matches, too. Each picture comes with
        its id, its path and a strength from 0 to 1.
        """
        filters = Filters(where=[where] if where.strip() else [])
        asked = Asked(query, minus=without, filters=filters, min_strength=0.0 if weak else None)
        return await _found(gallery, asked, limit)

    @found.tool(annotations=_READS)
    @_told
    async def similar_images(
        id: Id,
        limit: Count = 10,
        weak: bool = False,
    ) -> dict[str, Any]:
        """Find pictures that look like one of the library, which comes first itself."""
        asked = Asked(like=[id], min_strength=0.0 if weak else None)
        return await _found(gallery, asked, limit)

    @found.tool(annotations=_READS, structured_output=False)
    @_told
    async def get_image(
        id: Id,
        side: Annotated[int, Field(ge=64, le=MOST_SIDE, description="Pixels at most.")] = 768,
    ) -> list[Any]:
        """Look at a picture of the library, scaled down, with what is known of it."""
        located = await asyncio.wrap_future(gallery.locate(id))
        made = await asyncio.wrap_future(gallery.render(located, side, "JPEG"))
        if isinstance(made, Skipped):
            raise cannot_show(made.reason)
        return [Image(data=made.data, format="jpeg"), _facts(located.record)]

    @found.tool(annotations=_READS)
    @_told
    async def library_status() -> dict[str, Any]:
        """Say what is in the library: how many pictures, of which folders, with which model."""
        return _plain(await asyncio.wrap_future(gallery.status()))

    return found


def run(settings: Settings) -> None:
    """Serve over stdin and stdout until stdin is closed."""
    gallery = Gallery(settings)
    try:
        server(gallery).run("stdio")
    finally:
        gallery.close()


def _told(tool: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """The tool with its errors as sentences for whoever called it."""

    @wraps(tool)
    async def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await tool(*args, **kwargs)
        except ImgSearchError as error:
            raise ToolError(_text(f"{error}. {error.hint}".strip())) from error

    return told


async def _found(gallery: Gallery, asked: Asked, limit: int) -> dict[str, Any]:
    ranking, records = await asyncio.wrap_future(gallery.search(asked, "", limit))
    hits = ranking.hits(0, records, limit)
    return {"total": ranking.total, "note": ranking.note, "hits": [_hit(each) for each in hits]}


def _hit(hit: Hit) -> dict[str, Any]:
    strength = None if hit.strength is None else round(hit.strength, 3)
    return {"rank": hit.rank, "strength": strength, "named": hit.named, **_facts(hit.image)}


def _facts(record: ImageRecord) -> dict[str, Any]:
    data = record.metadata
    facts = {
        "id": record.id,
        "path": record.file.absolute,
        "width": data.width,
        "height": data.height,
        "type": data.format,
        "taken_at": data.taken_at.isoformat() if data.taken_at else None,
        "camera": " ".join(filter(None, (data.camera_make, data.camera_model))) or None,
        "latitude": data.latitude,
        "longitude": data.longitude,
        "title": data.title,
        "description": data.description,
        "keywords": list(data.keywords),
    }
    return _plain({name: value for name, value in facts.items() if value not in (None, [])})


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The same with texts that JSON can carry: names may have bytes that are not UTF-8."""
    return {
        name: _text(value) if isinstance(value, str) else value for name, value in values.items()
    }


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
