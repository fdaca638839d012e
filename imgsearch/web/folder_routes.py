"""Routes that care for a library: its folders, and the files that could not be indexed.

They have the rules of the routes that index: on loopback, or with the token. New folders must lie
below the setting `folder_places`.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from imgsearch.serving.gallery import Gallery
from imgsearch.serving.places import Places
from imgsearch.web import answers
from imgsearch.web.answers import (
    FoldersAnswer,
    ForgottenAnswer,
    RecentAnswer,
    RootsAnswer,
    SkippedAnswer,
)
from imgsearch.web.index_routes import Indexer
from imgsearch.web.parameters import MAX_TEXT_CHARACTERS, RootParameters, SkippedParameters
from imgsearch.web.problems import PROBLEMS
from imgsearch.web.search_routes import prefix_of, while_connected

FolderPath = Annotated[
    str, Query(max_length=MAX_TEXT_CHARACTERS, description="An absolute path; by default the top.")
]
RootPath = Annotated[
    str, Query(max_length=MAX_TEXT_CHARACTERS, description="The path of the folder, as listed.")
]


def routes(gallery: Gallery, indexer: Indexer) -> APIRouter:
    """The routes over a library and its indexer."""
    router = APIRouter(tags=["folders"], responses=PROBLEMS)
    places = Places(gallery.settings.folder_places)

    @router.get("/roots")
    async def list_roots() -> RootsAnswer:
        """The folders of the library."""
        found = await asyncio.wrap_future(gallery.roots())
        return await asyncio.to_thread(answers.roots, found)

    @router.post("/roots", status_code=202)
    async def add_root(parameters: RootParameters) -> dict[str, Any]:
        """Add a folder and index it, as `POST /index` does; 409 during a run."""
        path = await asyncio.to_thread(places.require, parameters.path)
        await indexer.add(path, parameters)
        return indexer.state

    @router.delete("/roots")
    async def forget_root(path: RootPath) -> ForgottenAnswer:
        """Take a folder out of the library; no picture is touched. 409 during a run."""
        indexer.require_idle()
        return ForgottenAnswer(path=path, images=await asyncio.to_thread(gallery.forget, path))

    @router.get("/folders")
    async def list_folders(path: FolderPath = "") -> FoldersAnswer:
        """The folders in a folder, to choose one to add. Links are not followed."""
        return answers.folders(await asyncio.to_thread(places.listing, path))

    @router.get("/skipped")
    async def list_skipped(
        client: Request, parameters: Annotated[SkippedParameters, Query()]
    ) -> SkippedAnswer:
        """Files that could not be indexed, with reasons; or pictures that were read in part."""
        found = await while_connected(client, gallery.skipped(parameters.kind))
        return answers.skipped(found, parameters.start, parameters.limit)

    @router.get("/recent")
    async def list_recent(
        client: Request, limit: Annotated[int, Query(ge=1, le=60)] = 12
    ) -> RecentAnswer:
        """Pictures that came into the library last."""
        found = await while_connected(client, gallery.recent(limit))
        return answers.recent(found, prefix_of(client))

    return router
