"""Routes that find pictures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from imgsearch.serving.gallery import Gallery
from imgsearch.serving.request import Asked
from imgsearch.web import answers
from imgsearch.web.answers import FacetsAnswer, SearchAnswer
from imgsearch.web.parameters import (
    LARGEST_ID,
    FilterParameters,
    SearchParameters,
    Upload,
    posted,
)
from imgsearch.web.problems import PROBLEMS

ANSWER_SECONDS = 120.0
"""A search that takes longer is given up; a large model on a slow machine takes seconds."""

PictureId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


def routes(gallery: Gallery) -> APIRouter:
    """The routes over a library."""
    router = APIRouter(tags=["search"], responses=PROBLEMS)

    @router.get("/search")
    async def search(wanted: Annotated[SearchParameters, Query()]) -> SearchAnswer:
        """Find pictures by words, by pictures of the library, by filters, or list them by date."""
        return await found(gallery, wanted, wanted.asked())

    @router.post("/search", openapi_extra={"requestBody": _BODY})
    async def search_with_pictures(request: Request) -> SearchAnswer:
        """Find pictures by example pictures, too. The fields are those of `GET /search`."""
        wanted, uploads = await posted(request)
        return await found(gallery, wanted, wanted.asked(), uploads)

    @router.get("/similar/{image_id}")
    async def similar(
        image_id: PictureId, wanted: Annotated[SearchParameters, Query()]
    ) -> SearchAnswer:
        """Find pictures that look like one of the library, which comes first itself."""
        return await found(gallery, wanted, wanted.asked(image_id))

    @router.get("/facets")
    async def facets(wanted: Annotated[FilterParameters, Query()]) -> FacetsAnswer:
        """How the pictures that pass the filters are spread over years, folders and so on."""
        return answers.facets(await asyncio.wrap_future(gallery.facets(wanted.filters())))

    return router


async def found(
    gallery: Gallery, wanted: SearchParameters, asked: Asked, uploads: Sequence[Upload] = ()
) -> SearchAnswer:
    """A page of a search, new or begun before."""
    started = time.perf_counter()
    digest = asked.digest([upload.data for upload in uploads])
    if wanted.cursor is not None:
        ranking, place = gallery.rankings.at(wanted.cursor, digest)
        ids = ranking.page_ids(place, wanted.limit)
        records = await asyncio.wrap_future(gallery.records(ids))
    else:
        pictures = [
            await asyncio.wrap_future(gallery.decode(upload.data, upload.name))
            for upload in uploads
        ]
        future = asyncio.wrap_future(gallery.search(asked, digest, wanted.limit, pictures))
        async with asyncio.timeout(ANSWER_SECONDS):
            ranking, records = await future
        place = 0
        ids = ranking.page_ids(place, wanted.limit)
        if len(ranking.ids) > wanted.limit:
            gallery.rankings.keep(ranking)
    folded = {each: len((ranking.folded or {}).get(each, ())) for each in ids}
    return SearchAnswer(
        hits=answers.hits(ranking.hits(place, records, wanted.limit), folded),
        total=ranking.total,
        next=ranking.cursor(place + wanted.limit),
        no_match=not len(ranking.ids) and not ranking.by_date,
        by_date=ranking.by_date,
        revision=ranking.revision,
        seconds=round(time.perf_counter() - started, 4),
        note=ranking.note,
    )


def _body() -> dict[str, Any]:
    fields = SearchParameters.model_json_schema()
    form = {
        **fields,
        "properties": {
            **fields["properties"],
            "image": {
                "type": "array",
                "maxItems": 8,
                "items": {"type": "string", "format": "binary"},
                "description": "Example pictures: JPEG, PNG, HEIC, RAW and so on.",
            },
        },
    }
    example = {"q": "a dog", "not": ["people"], "after": ["2023"], "limit": 20}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form},
            "application/json": {"schema": fields, "example": example},
        },
    }


_BODY = _body()
