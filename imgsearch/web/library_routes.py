"""Routes for the contents of a library: the start page, clusters, duplicates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from imgsearch.serving.gallery import Gallery
from imgsearch.web import answers
from imgsearch.web.answers import ClustersAnswer, DuplicatesAnswer, StartAnswer, TimelineAnswer
from imgsearch.web.parameters import DuplicateParameters, RegionParameters
from imgsearch.web.problems import PROBLEMS
from imgsearch.web.search_routes import prefix_of, while_connected, within

Day = Annotated[
    str | None,
    Query(
        pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        description="Month and day of `on_this_day`, such as 11-29; today by default.",
    ),
]


_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_MAP: dict[int | str, dict[str, Any]] = {
    200: {"content": _BINARY, "description": "The map."},
    304: {"description": "It is as it was (`If-None-Match`)."},
}


def routes(gallery: Gallery) -> APIRouter:
    """The routes over a library."""
    router = APIRouter(tags=["library"], responses=PROBLEMS)

    @router.get("/start")
    async def get_start(client: Request, day: Day = None) -> StartAnswer:
        """Contents of the start page: pictures added last, periods, clusters, saved searches."""
        begin = gallery.start(day or f"{datetime.now():%m-%d}")
        return answers.start(await while_connected(client, begin), prefix_of(client))

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

    return router
