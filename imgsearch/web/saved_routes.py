"""Routes of saved searches."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from imgsearch.errors import QueryError
from imgsearch.serving.gallery import Gallery
from imgsearch.web import answers
from imgsearch.web.answers import SavedAnswer, SavedListAnswer
from imgsearch.web.parameters import MAX_ID, RenameParameters, SavedParameters
from imgsearch.web.problems import PROBLEMS
from imgsearch.web.search_routes import while_connected, whole

SavedId = Annotated[int, Path(ge=1, le=MAX_ID)]


def routes(gallery: Gallery) -> APIRouter:
    """The routes over a library."""
    router = APIRouter(tags=["saved searches"], responses=PROBLEMS)

    @router.get("/saved")
    async def list_saved(client: Request) -> SavedListAnswer:
        """The saved searches; `GET /search?saved=NAME` runs one."""
        found = await while_connected(client, gallery.saved_searches())
        return SavedListAnswer(saved=[answers.saved(each) for each in found])

    @router.post("/saved", status_code=201)
    async def save_search(parameters: SavedParameters, client: Request) -> SavedAnswer:
        """Save a search under a name; 409 if there is one of that name."""
        if parameters.search.region:
            raise QueryError(
                "a search in a region of the map cannot be saved, because --refit moves pictures",
                "Save it without the region, or with a cluster.",
            )
        request = await whole(gallery, parameters.search, parameters.search.request(), client)
        saving = gallery.save(parameters.name, request, parameters.replace)
        return answers.saved(await asyncio.wrap_future(saving))

    @router.post("/saved/{saved_id}")
    async def rename_saved(saved_id: SavedId, parameters: RenameParameters) -> SavedAnswer:
        """Give a saved search another name; 409 if there is one of that name."""
        renaming = gallery.rename_saved(saved_id, parameters.name)
        return answers.saved(await asyncio.wrap_future(renaming))

    @router.delete("/saved/{saved_id}", status_code=204, response_class=Response)
    async def remove_saved(saved_id: SavedId) -> Response:
        """Delete a saved search; no picture is touched."""
        await asyncio.wrap_future(gallery.remove_saved(saved_id))
        return Response(status_code=204)

    return router
