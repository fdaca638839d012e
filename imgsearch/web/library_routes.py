"""Routes for the contents of a library: the start page, clusters, duplicates."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request

from imgsearch.serving.gallery import Gallery
from imgsearch.web import answers
from imgsearch.web.answers import ClustersAnswer, DuplicatesAnswer, StartAnswer
from imgsearch.web.parameters import DuplicateParameters
from imgsearch.web.problems import PROBLEMS
from imgsearch.web.search_routes import prefix_of, while_connected

Day = Annotated[
    str | None,
    Query(
        pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        description="Month and day of `on_this_day`, such as 11-29; today by default.",
    ),
]


def routes(gallery: Gallery) -> APIRouter:
    """The routes over a library."""
    router = APIRouter(tags=["library"], responses=PROBLEMS)

    @router.get("/start")
    async def get_start(client: Request, day: Day = None) -> StartAnswer:
        """Contents of the start page: pictures added last, periods, clusters, saved searches."""
        begin = gallery.start(day or f"{datetime.now():%m-%d}")
        return answers.start(await asyncio.wrap_future(begin), prefix_of(client))

    @router.get("/clusters")
    async def get_clusters(client: Request) -> ClustersAnswer:
        """The clusters of the model in use, as made by 'imgsearch clusters'."""
        found = await asyncio.wrap_future(gallery.clusters())
        return answers.clusters(found, prefix_of(client))

    @router.get("/dupes")
    async def get_duplicates(
        parameters: Annotated[DuplicateParameters, Query()], client: Request
    ) -> DuplicatesAnswer:
        """Groups of duplicates with the picture to keep. Nothing is ever deleted or moved; the
        first answer for a large library takes minutes."""
        finding = gallery.duplicates(parameters.request(), parameters.cursor, parameters.limit)
        return answers.duplicates(await while_connected(client, finding), prefix_of(client))

    return router
