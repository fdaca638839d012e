"""A library as tools of the Model Context Protocol, over stdin and stdout. They only read.

Pictures are named by ids, and a file is read only where it lies below a folder of the library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field, create_model

from imgsearch import __version__
from imgsearch.errors import ImgSearchError
from imgsearch.filters.options import FILTERS, MAX_VALUES, filter_from
from imgsearch.filters.tree import Filter
from imgsearch.records import ImageRecord, Skipped
from imgsearch.searching.hits import Hit, hit_to_plain, record_to_plain
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.terms import build_terms
from imgsearch.serving.gallery import Gallery, cannot_show
from imgsearch.settings import Settings

MAX_HITS = 50
MAX_SIDE_PIXELS = 1024
"""Longer side of a picture that is returned."""

P = ParamSpec("P")
T = TypeVar("T")
_FACTS = (
    "id", "path", "width", "height", "type", "taken_at", "camera", "latitude", "longitude", "title",
    "description", "keywords",
)  # fmt: skip
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Words = Annotated[str, Field(max_length=10_000, description="What to look for, in words.")]
Texts = Annotated[list[str], Field(max_length=MAX_VALUES)]
Count = Annotated[int, Field(ge=1, le=MAX_HITS, description="Maximum number of pictures.")]
Id = Annotated[int, Field(ge=1, le=2**63 - 1, description="The id of a picture.")]
Side = Annotated[int, Field(ge=64, le=MAX_SIDE_PIXELS, description="Longer side in pixels.")]
Where = Annotated[
    str,
    Field(
        max_length=10_000,
        description="Which pictures may be found, such as 'taken >= 2023 and camera ~ canon and "
        'format in (jpeg, heic) and near(48.86, 2.35, 5) and in "/home/me/Pictures/2023"\'.',
    ),
]


if TYPE_CHECKING:
    FilterArguments = BaseModel
else:
    FilterArguments = create_model(
        "FilterArguments",
        __config__=ConfigDict(extra="forbid"),
        **{
            option.name: (
                Texts,
                Field(
                    default_factory=list,
                    description=f"{option.metavar}: {option.help}",
                    examples=[[option.example]],
                ),
            )
            for option in FILTERS
            if option.name != "where"
        },
    )


def server(gallery: Gallery) -> MCPServer[Any]:
    """The tools over a library."""
    tools: MCPServer[Any] = MCPServer(
        "imgsearch",
        title="imgsearch",
        version=__version__,
        instructions="Finds pictures in the user's own library by words or by example.",
        log_level="ERROR",
    )

    @tools.tool(annotations=_READS)
    @_with_sentences
    async def search_images(
        query: Words = "",
        without: Texts = [],  # noqa: B006 - only read
        where: Where = "",
        filters: Annotated[
            FilterArguments | None, Field(description="Which pictures may be found.")
        ] = None,
        limit: Count = 10,
        weak: bool = False,
    ) -> dict[str, Any]:
        """Find pictures by words; without words, list those that pass the filters, newest first.

        `without` excludes texts; `weak` includes poor matches. Near-identical pictures are shown
        as one, with the number of its duplicates. Each picture comes with its id, its path and a
        strength from 0 to 1.
        """
        values = {} if filters is None else filters.model_dump()
        values["where"] = [where] if where.strip() else []
        terms = build_terms(query, minus=without)
        return await _search(gallery, terms, filter_from(values), limit, weak)

    @tools.tool(annotations=_READS)
    @_with_sentences
    async def similar_images(
        id: Id,
        limit: Count = 10,
        weak: bool = False,
    ) -> dict[str, Any]:
        """Find pictures that look like one of the library, which itself comes first."""
        return await _search(gallery, [Term(image_id=id)], None, limit, weak)

    @tools.tool(annotations=_READS, structured_output=False)
    @_with_sentences
    async def get_image(
        id: Id,
        side: Annotated[
            int, Field(ge=64, le=MAX_SIDE_PIXELS, description="Longer side in pixels.")
        ] = 768,
    ) -> list[Any]:
        """Look at a picture of the library, scaled down, with what is known of it."""
        located = await asyncio.wrap_future(gallery.locate(id))
        rendering = await asyncio.wrap_future(gallery.render(located, side, "JPEG"))
        if isinstance(rendering, Skipped):
            raise cannot_show(rendering.reason)
        return [Image(data=rendering.data, format="jpeg"), _facts(located.record)]

    @tools.tool(annotations=_READS)
    @_with_sentences
    async def library_status() -> dict[str, Any]:
        """Say what is in the library: how many pictures, of which folders, with which model."""
        return _plain(await asyncio.wrap_future(gallery.status()))

    return tools


def run(settings: Settings) -> None:
    """Serve over stdin and stdout until stdin is closed."""
    gallery = Gallery(settings)
    try:
        server(gallery).run("stdio")
    finally:
        gallery.close()


def _with_sentences(tool: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """The tool with its errors as sentences for the client."""

    @wraps(tool)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await tool(*args, **kwargs)
        except ImgSearchError as error:
            raise ToolError(_text(f"{error}. {error.hint}".strip())) from error

    return call


async def _search(
    gallery: Gallery, terms: Sequence[Term], where: Filter | None, limit: int, weak: bool
) -> dict[str, Any]:
    request = SearchRequest(
        terms, limit, where=where, min_strength=0.0 if weak else None, unique=True
    )
    ranking, hits = await asyncio.wrap_future(gallery.rank(request))
    return {
        "total": ranking.total,
        "note": ranking.note,
        "hits": [_hit(hit, len(ranking.folded_ids(hit.image.id))) for hit in hits],
    }


def _hit(hit: Hit, duplicates: int) -> dict[str, Any]:
    plain = hit_to_plain(hit)
    place = {name: plain[name] for name in ("rank", "strength", "named", "matched")}
    if hit.named:
        place["strength"] = None  # of the model alone: it does not explain the rank of these
    return place | {"duplicates": duplicates} | _facts(hit.image)


def _facts(record: ImageRecord) -> dict[str, Any]:
    plain = record_to_plain(record)
    plain["type"] = plain["format"]
    return _plain({name: plain[name] for name in _FACTS if plain[name] not in (None, [])})


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The values with texts that JSON can carry: names may have bytes that are not UTF-8."""
    return {
        name: _text(value) if isinstance(value, str) else value for name, value in values.items()
    }


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
