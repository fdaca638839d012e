"""Routes for the contents of a library: the start page, clusters, duplicates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from imgsearch.records import ImageRecord
from imgsearch.serving.gallery import Gallery, NoSuchPicture
from imgsearch.web import answers
from imgsearch.web.answers import (
    ClustersAnswer,
    DuplicatesAnswer,
    PlacesAnswer,
    RecentAnswer,
    StartAnswer,
    TimelineAnswer,
)
from imgsearch.web.parameters import (
    DAY_PATTERN,
    DrawParameters,
    DuplicateParameters,
    FrameParameters,
    PlacesParameters,
    RandomParameters,
    RegionParameters,
)
from imgsearch.web.problems import PROBLEMS
from imgsearch.web.search_routes import prefix_of, while_connected, within

Day = Annotated[
    str | None,
    Query(
        pattern=DAY_PATTERN,
        description="Month and day, such as 11-29, or today, the default.",
    ),
]


_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_MAP: dict[int | str, dict[str, Any]] = {
    200: {"content": _BINARY, "description": "The map."},
    304: {"description": "It is as it was (`If-None-Match`)."},
}


def _month_and_day(day: str | None) -> str:
    return day if day and day != "today" else f"{datetime.now():%m-%d}"


async def draw(
    gallery: Gallery, parameters: DrawParameters, count: int, client: Request
) -> list[ImageRecord]:
    """Pictures drawn at random."""
    where = await within(gallery, parameters, parameters.where_filter(), client)
    day = _month_and_day(parameters.day) if parameters.day else ""
    return await while_connected(client, gallery.random(where, day, count))


def routes(gallery: Gallery) -> APIRouter:
    """The routes over a library."""
    router = APIRouter(tags=["library"], responses=PROBLEMS)

    @router.get("/start")
    async def get_start(client: Request, day: Day = None) -> StartAnswer:
        """Contents of the start page: pictures added last, periods, clusters, saved searches."""
        begin = gallery.start(_month_and_day(day))
        return answers.start(await while_connected(client, begin), prefix_of(client))

    @router.get("/on-this-day")
    async def list_of_day(
        client: Request,
        day: Day = None,
        limit: Annotated[int, Query(ge=1, le=500, description="Maximum number of pictures.")] = 60,
    ) -> RecentAnswer:
        """Pictures taken on a day of earlier years, the latest year first."""
        found = await while_connected(client, gallery.of_day(_month_and_day(day), limit))
        return answers.recent(found, prefix_of(client))

    @router.get("/random")
    async def list_random(
        parameters: Annotated[RandomParameters, Query()], client: Request
    ) -> RecentAnswer:
        """Pictures drawn at random from those that pass the filters, each once."""
        drawn = await draw(gallery, parameters, parameters.count, client)
        return answers.recent(drawn, prefix_of(client))

    @router.get("/random/picture", status_code=302, response_class=RedirectResponse)
    async def get_random(
        parameters: Annotated[FrameParameters, Query()], client: Request
    ) -> Response:
        """Redirect to a random picture, for photo frames. Each request draws again."""
        drawn = await draw(gallery, parameters, 1, client)
        if not drawn:
            raise NoSuchPicture("no picture passes these filters", "Use fewer of them.")
        return RedirectResponse(parameters.target(prefix_of(client), drawn[0].id), 302)

    @router.get("/timeline")
    async def get_timeline(
        client: Request, parameters: Annotated[RegionParameters, Query()]
    ) -> TimelineAnswer:
        """How many pictures that pass the filters are from each month."""
        where = await within(gallery, parameters, parameters.where_filter(), client)
        return answers.timeline(await while_connected(client, gallery.timeline(where)))

    @router.get("/clusters")
    async def get_clusters(client: Request) -> ClustersAnswer:
        """The clusters of the model in use, as 'imgsearch clusters' has made them."""
        found = await while_connected(client, gallery.clusters())
        return answers.clusters(found, prefix_of(client))

    @router.get("/dupes")
    async def get_duplicates(
        parameters: Annotated[DuplicateParameters, Query()], client: Request
    ) -> DuplicatesAnswer:
        """Groups of duplicates with the picture to keep. Nothing is ever deleted or moved; the
        first answer for a large library takes minutes."""
        where = await within(gallery, parameters, parameters.where_filter(), client)
        request = parameters.request(where)
        finding = gallery.duplicates(request, parameters.cursor, parameters.limit)
        return answers.duplicates(await while_connected(client, finding), prefix_of(client))

    @router.get("/map", response_class=Response, responses=_MAP)
    async def get_map(
        parameters: Annotated[RegionParameters, Query()], client: Request
    ) -> Response:
        """The pictures that pass the filters on a plane, similar ones together; the first answer
        for a large library takes minutes. Little-endian: the length of a header as uint32; the
        header, JSON with `count`, `total`, `palette`, `levels` (lines of equal density around
        shares of the pictures) and `regions`; then for `count` pictures the
        ids as int64, x and y as uint16 pairs (0 is -1, 65535 is 1, y upwards), and as uint16 the
        place from 1 of the cluster in `regions`, 0 for none. After the header's length, each part
        starts at a multiple of 8 bytes."""
        known = client.headers.get("if-none-match", "").strip().removeprefix("W/").strip('"')
        where = await within(gallery, parameters, parameters.where_filter(), client)
        found = await while_connected(client, gallery.map(where, known))
        headers = {"etag": f'"{found.tag}"', "cache-control": "private, no-cache"}
        if found.data is None:
            return Response(status_code=304, headers=headers)
        return Response(found.data, media_type="application/octet-stream", headers=headers)

    @router.get("/places")
    async def get_places(
        parameters: Annotated[PlacesParameters, Query()], client: Request
    ) -> PlacesAnswer:
        """The pictures that pass the filters on the map of the world, those close to each other as
        one: within 64 pixels of a web map whose tiles are 256 pixels wide. A page sends what it
        shows as a further `box`."""
        where = await within(gallery, parameters, parameters.where_filter(), client)
        found = await while_connected(client, gallery.world_map(where, parameters.zoom))
        return answers.places(found, prefix_of(client))

    return router
