"""Serves a library over the Model Context Protocol, on stdin and stdout: tools, resources, prompts.

All of them only read.

Pictures are named by ids, and a file is read only if it lies below a folder of the library.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import anyio
from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    CallToolResult,
    ErrorData,
    InputRequiredResult,
    JSONRPCError,
    ToolAnnotations,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from imgsearch import __version__
from imgsearch.errors import ImgSearchError
from imgsearch.filters.options import FILTERS, MAX_VALUES, filter_from
from imgsearch.records import ImageRecord, Skipped
from imgsearch.searching.hits import Hit, hit_to_plain, record_to_plain
from imgsearch.searching.request import SearchRequest, Sort, Term, read_strength
from imgsearch.searching.saved_searches import combined
from imgsearch.searching.terms import MAX_TEXT_CHARACTERS, build_terms
from imgsearch.serving.gallery import Gallery, NoSuchPicture, cannot_show, ranking_page
from imgsearch.serving.validation import sentence
from imgsearch.settings import Settings

MAX_HITS = 50
MAX_SENTENCES = 3
"""Notes about the arguments of one call."""
MAX_PROMPT_CHARACTERS = 500
"""Of an argument of a prompt."""
MAX_SIDE_PIXELS = 1024
"""Longer side of a picture that is returned."""

P = ParamSpec("P")
T = TypeVar("T")
_FACTS = (
    "id", "path", "width", "height", "type", "taken_at", "camera", "latitude", "longitude", "title",
    "description", "keywords", "taken", "people", "city", "state", "country", "rating",
)  # fmt: skip


def _reads(title: str) -> ToolAnnotations:
    return ToolAnnotations(
        title=title,
        read_only_hint=True,
        destructive_hint=False,
        idempotent_hint=True,
        open_world_hint=False,
    )


Words = Annotated[
    str, Field(max_length=MAX_TEXT_CHARACTERS, description="What to look for, in words.")
]
Texts = Annotated[list[str], Field(max_length=MAX_VALUES)]
Count = Annotated[int, Field(ge=1, le=MAX_HITS, description="Maximum number of pictures.")]
Id = Annotated[int, Field(ge=1, le=2**63 - 1, description="The id of a picture.")]
Side = Annotated[int, Field(ge=64, le=MAX_SIDE_PIXELS, description="Longer side in pixels.")]
Weak = Annotated[bool, Field(description="Include poor matches.")]
Strength = Annotated[
    str | float | None, Field(description="Leave out weaker matches: 30%, 30 or 0.3.")
]
Order = Annotated[
    Sort,
    Field(
        description="Order of all pictures found: date has the oldest first, -date the newest."
        " The default is the best first, or the newest without words."
    ),
]
Saved = Annotated[
    str,
    Field(
        max_length=200,
        description="Name of a saved search to start from; the other arguments narrow it.",
    ),
]
Cursor = Annotated[
    str,
    Field(max_length=200, description="`next` of the page before; the other arguments as before."),
]
Where = Annotated[
    str,
    Field(
        max_length=MAX_TEXT_CHARACTERS,
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


class StrictServer(MCPServer[Any]):
    """A server that refuses arguments its tools do not have, and says in sentences what is wrong.

    The SDK ignores unknown arguments, so that a misspelt filter would return everything, and
    reports bounds in the words of its validator.
    """

    def refuse_unknown(self) -> None:
        """Refuse unknown arguments of the tools registered so far."""
        for tool in self._tool_manager.list_tools():
            model = tool.fn_metadata.arg_model
            model.model_config["extra"] = "forbid"
            model.model_rebuild(force=True)
            tool.parameters = model.model_json_schema(by_alias=True)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Any = None
    ) -> CallToolResult | InputRequiredResult:
        """The result of a tool."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            tool = self._tool_manager.get_tool(name)
            assert tool is not None
            wrong = [sentence(each) for each in error.__cause__.errors()[:MAX_SENTENCES]]
            known = ", ".join(tool.fn_metadata.arg_model.model_fields)
            raise ToolError(
                _text(f"{'; '.join(wrong)}. The arguments of {name} are: {known or 'none'}.")
            ) from error


def server(gallery: Gallery) -> MCPServer[Any]:
    """The tools, resources and prompts over a library."""
    tools = StrictServer(
        "imgsearch",
        title="imgsearch",
        version=__version__,
        instructions="Finds pictures in the user's own library by words or by example.",
        log_level="ERROR",
    )

    @tools.tool(annotations=_reads("Find pictures"))
    @_with_sentences(ToolError)
    async def search_images(
        query: Words = "",
        without: Texts = [],  # noqa: B006 - only read
        where: Where = "",
        filters: Annotated[
            FilterArguments | None, Field(description="Which pictures may be found.")
        ] = None,
        limit: Count = 10,
        weak: Weak = False,
        min_strength: Strength = None,
        sort: Order = "",
        saved: Saved = "",
        cursor: Cursor = "",
    ) -> dict[str, Any]:
        """Find pictures by words; without words, list those that pass the filters, newest first.

        `without` excludes texts; `weak` includes poor matches. Near-identical pictures are shown
        as one, with the number of its duplicates. `next` is the cursor of the following page, or
        null. Each picture comes with its id, its path and
        `matched`: whether its name, a text (caption, text in the picture) or its meaning matched.
        One that words found comes first, the others have a strength from 0 to 1.
        """
        values = {} if filters is None else filters.model_dump()
        values["where"] = [where] if where.strip() else []
        terms = build_terms(query, minus=without)
        where_filter, cut_off = filter_from(values), _cut_off(weak, min_strength)
        request = SearchRequest(
            terms, limit, where=where_filter, min_strength=cut_off, unique=True, sort=sort
        )
        return await _search(gallery, request, cursor, saved)

    @tools.tool(annotations=_reads("Find similar pictures"))
    @_with_sentences(ToolError)
    async def similar_images(
        id: Id,
        limit: Count = 10,
        weak: Weak = False,
        min_strength: Strength = None,
        cursor: Cursor = "",
    ) -> dict[str, Any]:
        """Find pictures that look like one of the library, which itself comes first."""
        cut_off = _cut_off(weak, min_strength)
        request = SearchRequest([Term(image_id=id)], limit, min_strength=cut_off, unique=True)
        return await _search(gallery, request, cursor)

    @tools.tool(annotations=_reads("Look at a picture"), structured_output=False)
    @_with_sentences(ToolError)
    async def get_image(
        id: Id,
        side: Side = 768,
    ) -> list[Any]:
        """Look at a picture of the library, scaled down, with what is known of it."""
        data, facts = await _picture(gallery, id, side)
        return [Image(data=data, format="jpeg"), facts]

    @tools.tool(annotations=_reads("List the saved searches"))
    @_with_sentences(ToolError)
    async def saved_searches() -> dict[str, Any]:
        """List the searches that the user has saved; `saved` of search_images runs one by name."""
        return await _saved(gallery)

    @tools.tool(annotations=_reads("Status of the library"))
    @_with_sentences(ToolError)
    async def library_status() -> dict[str, Any]:
        """Say what is in the library: how many pictures, of which folders, with which model."""
        return _plain(await asyncio.wrap_future(gallery.status()))

    tools.refuse_unknown()
    _add_resources(tools, gallery)
    _add_prompts(tools)
    return tools


def _add_resources(tools: MCPServer[Any], gallery: Gallery) -> None:
    @tools.resource("imgsearch://library", title="The library", mime_type="application/json")
    @_with_sentences(ResourceError)
    async def library() -> str:
        """Contents of the library: number of pictures, folders, model, last run."""
        return _json(_plain(await asyncio.wrap_future(gallery.status())))

    @tools.resource("imgsearch://saved", title="Saved searches", mime_type="application/json")
    @_with_sentences(ResourceError)
    async def saved() -> str:
        """The searches that the user has saved; `saved` of search_images runs one by name."""
        return _json(await _saved(gallery))

    @tools.resource("imgsearch://on-this-day", title="On this day", mime_type="application/json")
    @_with_sentences(ResourceError)
    async def on_this_day() -> str:
        """Pictures taken on this day of earlier years, the latest year first."""
        day = f"{datetime.now():%m-%d}"
        found = await asyncio.wrap_future(gallery.of_day(day, MAX_HITS))
        return _json({"day": day, "pictures": [_facts(each) for each in found]})

    @tools.resource("imgsearch://pictures/{id}", title="A picture", mime_type="image/jpeg")
    @_with_sentences(ResourceError)
    async def picture(id: str) -> bytes:
        """A picture by its id, upright, scaled down to 1024 pixels."""
        return (await _picture(gallery, _image_id(id), MAX_SIDE_PIXELS))[0]

    @tools.resource("imgsearch://pictures/{id}/facts", title="Facts", mime_type="application/json")
    @_with_sentences(ResourceError)
    async def facts(id: str) -> str:
        """Facts about a picture: path, date, camera, place, people, keywords."""
        located = await asyncio.wrap_future(gallery.locate(_image_id(id)))
        return _json(_facts(located.record))


def _add_prompts(tools: MCPServer[Any]) -> None:
    @tools.prompt(title="Find photos")
    def find_photos(what: str, when: str = "", where: str = "") -> str:
        """Find the user's photos of something, from a time or a place if given."""
        details = [f"Show me my photos of: {what[:MAX_PROMPT_CHARACTERS]}."]
        details += [f"Time: {when[:MAX_PROMPT_CHARACTERS]}."] if when else []
        details += [f"Place: {where[:MAX_PROMPT_CHARACTERS]}."] if where else []
        return " ".join(details) + (
            " Search with search_images: a few words for what the picture shows, and filters for"
            " dates (after, before), places and people. Look at the best with get_image before"
            " choosing; try other words if nothing fits, and say so if the library has no such"
            " picture. Name each picture that you show by its path."
        )

    @tools.prompt(title="On this day")
    def on_this_day() -> str:
        """Describe what the user photographed on this day of earlier years."""
        return (
            "What did I photograph on this day in earlier years? Read imgsearch://on-this-day, look"
            " at a few of these pictures of each year with get_image, and describe them year by"
            " year with their dates and places. Say so if there are none."
        )


def run(settings: Settings) -> None:
    """Serve over stdin and stdout until stdin is closed."""
    gallery = Gallery(settings)
    try:
        anyio.run(_serve_stdio, server(gallery))
    finally:
        gallery.close()


async def _serve_stdio(tools: MCPServer[Any]) -> None:
    """Serve as `MCPServer.run("stdio")` does, which drops a line that is not a message."""
    lowlevel = tools._lowlevel_server
    options = lowlevel.create_initialization_options()
    async with stdio_server() as (incoming, outgoing), anyio.create_task_group() as tasks:
        valid, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        tasks.start_soon(_forward, incoming, valid, outgoing)
        await lowlevel.run(messages, outgoing, options)


async def _forward(incoming: Any, valid: Any, outgoing: Any) -> None:
    """Pass messages on, and answer invalid ones with an error of JSON-RPC."""
    async with valid:
        async for message in incoming:
            if isinstance(message, ValidationError):
                await outgoing.send(SessionMessage(_refusal(message)))
            else:
                await valid.send(message)


def _refusal(error: ValidationError) -> JSONRPCError:
    """The answer to a line that is not a message, with its id if that can be read."""
    faults = error.errors(include_url=False)
    if faults[0]["type"] == "json_invalid":
        inputs = [_loaded(str(faults[0]["input"]))]
        data = ErrorData(code=PARSE_ERROR, message="The message is not valid JSON in Unicode.")
    else:
        inputs = [fault["input"] for fault in faults]
        data = ErrorData(code=INVALID_REQUEST, message="The message is not a valid request.")
    ids = [each["id"] for each in inputs if isinstance(each, dict) and "id" in each]
    known = ids[0] if ids and type(ids[0]) in (int, str) else None
    return JSONRPCError(
        jsonrpc="2.0", id=_text(known) if isinstance(known, str) else known, error=data
    )


def _loaded(text: str) -> Any:
    """JSON in which halves of surrogate pairs are allowed; None if it is not even that."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _with_sentences(
    kind: type[ToolError | ResourceError],
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """A decorator for tools or resources: their errors become sentences for the client."""

    def decorated(work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @wraps(work)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return await work(*args, **kwargs)
            except ImgSearchError as error:
                raise kind(_text(f"{error}. {error.hint}".strip())) from error

        return call

    return decorated


def _cut_off(weak: bool, min_strength: str | float | None) -> float | None:
    if weak:
        return 0.0
    return None if min_strength is None else read_strength(min_strength)


async def _search(
    gallery: Gallery, request: SearchRequest, cursor: str, saved: str = ""
) -> dict[str, Any]:
    """A page of hits; later pages are of the ranking that was kept with the first."""
    if saved:
        request = combined(await asyncio.wrap_future(gallery.saved_request(saved)), request)
    found = await ranking_page(gallery, request, cursor or None, asyncio.wrap_future)
    ranking = found.ranking
    return {
        "total": ranking.total,
        "next": found.next,
        "note": ranking.note or " ".join(ranking.notes),
        "hits": [_hit(hit, len(ranking.folded_ids(hit.image.id))) for hit in found.hits],
    }


async def _picture(gallery: Gallery, image_id: int, side: int) -> tuple[bytes, dict[str, Any]]:
    """A picture as JPEG, scaled down, and what is known of it."""
    located = await asyncio.wrap_future(gallery.locate(image_id))
    rendering = await asyncio.wrap_future(gallery.render(located, side, "JPEG"))
    if isinstance(rendering, Skipped):
        raise cannot_show(rendering.reason)
    return rendering.data, _facts(located.record)


async def _saved(gallery: Gallery) -> dict[str, Any]:
    found = await asyncio.wrap_future(gallery.saved_searches())
    return {"saved": [{"name": each.name, "text": _text(each.text)} for each in found]}


def _image_id(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text):
        raise NoSuchPicture(f"there is no picture {text[:40]!r}", "Use the id of a hit.")
    return int(text)


def _json(values: dict[str, Any]) -> str:
    """JSON as valid Unicode: an unpaired surrogate becomes its escape."""
    return _text(json.dumps(values, ensure_ascii=False))


def _hit(hit: Hit, duplicates: int) -> dict[str, Any]:
    plain = hit_to_plain(hit)
    place = {name: plain[name] for name in ("rank", "strength", "named", "matched")}
    if hit.named:
        place["strength"] = None  # of the model alone: it does not explain the rank of these
    others = {"parts": [_text(each.file.absolute) for each in hit.parts]} if hit.parts else {}
    return place | {"duplicates": duplicates} | others | _facts(hit.image)


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
