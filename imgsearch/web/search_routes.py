"""Routes that find pictures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request

from imgsearch.errors import QueryError
from imgsearch.filters.tree import Filter, all_of
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.saved_searches import combined
from imgsearch.serving.gallery import Gallery, ranking_page
from imgsearch.serving.suggestions import MAX_SUGGESTIONS
from imgsearch.web import answers
from imgsearch.web.answers import (
    BatchAnswer,
    FacetsAnswer,
    QueryAnswer,
    SearchAnswer,
    SuggestionsAnswer,
)
from imgsearch.web.parameters import (
    MAX_BATCH_HITS,
    MAX_ID,
    MAX_TEXT_CHARACTERS,
    BatchParameters,
    PostedParameters,
    RegionParameters,
    SearchParameters,
    posted,
)
from imgsearch.web.problems import PROBLEMS, ClientLeft

SEARCH_TIMEOUT_SECONDS = 120.0
"""A search that takes longer is abandoned; a large model on a slow machine takes seconds."""

T = TypeVar("T")
PictureId = Annotated[int, Path(ge=1, le=MAX_ID)]
TypedText = Annotated[
    str, Query(max_length=MAX_TEXT_CHARACTERS, examples=["a dog camera:canon rating>=4"])
]


def routes(gallery: Gallery) -> APIRouter:
    """The routes over a library."""
    router = APIRouter(tags=["search"], responses=PROBLEMS)

    @router.get("/search")
    async def search(
        parameters: Annotated[SearchParameters, Query()], client: Request
    ) -> SearchAnswer:
        """Find pictures by words, by pictures of the library, by filters, or list them by date."""
        return await page(gallery, parameters, parameters.request(), client)

    @router.post("/search", openapi_extra={"requestBody": _BODY})
    async def search_with_pictures(request: Request) -> SearchAnswer:
        """Find pictures, also by uploaded examples. The fields are those of `GET /search`. Without
        pictures, they may also be sent as an object of `application/json`."""
        parameters, uploads = await posted(request)
        asked = parameters.request(uploads)
        return await page(gallery, parameters, asked, request, parameters.space)

    @router.post("/search/batch")
    async def search_batch(parameters: BatchParameters, client: Request) -> BatchAnswer:
        """Make several searches; texts of all of them are encoded together. Each has the fields of
        `POST /search`, without pictures. If one is not valid, there is no answer to any."""
        return BatchAnswer(answers=await pages(gallery, parameters.searches, client))

    @router.get("/similar/{image_id}")
    async def search_similar(
        image_id: PictureId, parameters: Annotated[SearchParameters, Query()], client: Request
    ) -> SearchAnswer:
        """Find pictures that look like one of the library, which itself comes first."""
        return await page(gallery, parameters, parameters.request(like=[image_id]), client)

    @router.get("/facets")
    async def get_facets(
        parameters: Annotated[RegionParameters, Query()], client: Request
    ) -> FacetsAnswer:
        """Counts of the pictures that pass the filters, by year, folder and so on."""
        where = await within(gallery, parameters, parameters.where_filter(), client)
        return answers.facets(await while_connected(client, gallery.facets(where)))

    @router.get("/query")
    async def read_query(client: Request, text: TypedText = "") -> QueryAnswer:
        """What a text with words, exclusions (`-people`) and filters (`camera:canon rating>=4`)
        asks for, as parameters of a search."""
        return answers.query(await while_connected(client, gallery.query(text)))

    @router.get("/suggest")
    async def suggest(
        client: Request,
        text: TypedText = "",
        limit: Annotated[int, Query(ge=1, le=MAX_SUGGESTIONS)] = 8,
    ) -> SuggestionsAnswer:
        """Ways to complete such a text: filters, cameras, people, keywords, places, folders,
        clusters, saved searches and names of files."""
        found = await while_connected(client, gallery.suggest(text, limit))
        return answers.suggestions(found)

    return router


def prefix_of(request: Request) -> str:
    """The path below which a proxy serves us; "" for none."""
    return str(request.scope["root_path"])


async def pages(
    gallery: Gallery, searches: Sequence[PostedParameters], client: Request
) -> list[SearchAnswer]:
    """A page of hits of each search; raises the error of the first that has one."""
    if sum(each.limit for each in searches) > MAX_BATCH_HITS:
        raise QueryError(
            f"the searches ask for more than {MAX_BATCH_HITS} hits together",
            "Give each a smaller `limit`.",
        )

    async def one(number: int, parameters: PostedParameters) -> SearchAnswer:
        try:
            request = parameters.request()
            return await page(gallery, parameters, request, client, parameters.space)
        except QueryError as error:
            if type(error) is not QueryError:  # its kind says more than its number
                raise
            raise QueryError(f"search {number}: {error}", error.hint) from error

    jobs = [one(number, each) for number, each in enumerate(searches, 1)]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    for each in results:
        if isinstance(each, BaseException):
            raise each
    return [each for each in results if isinstance(each, SearchAnswer)]


async def page(
    gallery: Gallery,
    parameters: SearchParameters,
    request: SearchRequest,
    client: Request,
    space: str = "",
) -> SearchAnswer:
    """A page of hits, the first of a search or a later one.

    Parameters
    ----------
    space : str
        The space that the client names for a vector; "" without one.
    """
    prefix = prefix_of(client)
    started = time.perf_counter()
    request = await whole(gallery, parameters, request, client)
    where = await within(gallery, parameters, request.where, client)
    request = replace(request, where=where)
    found = await ranking_page(
        gallery,
        request,
        parameters.cursor,
        partial(while_connected, client),
        partial(decoded, gallery, client),
        space,
    )
    ranking = found.ranking
    return SearchAnswer(
        hits=[
            answers.hit(each, len(ranking.folded_ids(each.image.id)), prefix) for each in found.hits
        ],
        total=ranking.total,
        next=found.next,
        no_match=not len(ranking) and not ranking.by_date,
        by_date=ranking.by_date,
        revision=ranking.revision,
        seconds=round(time.perf_counter() - started, 4),
        note=ranking.note or " ".join(ranking.notes),
    )


async def whole(
    gallery: Gallery, parameters: SearchParameters, request: SearchRequest, client: Request
) -> SearchRequest:
    """The request with the saved search that it starts from, if it names one."""
    if not parameters.saved:
        return request
    saved = await while_connected(client, gallery.saved_request(parameters.saved))
    return combined(saved, request)


async def within(
    gallery: Gallery, parameters: RegionParameters, where: Filter | None, client: Request
) -> Filter | None:
    """The filter, and the region of the map that the parameters name."""
    if not parameters.region:
        return where
    region = await while_connected(client, gallery.region(parameters.corners()))
    return all_of([region] if where is None else [where, region])


async def while_connected(client: Request, future: Future[T]) -> T:
    """The result of a job, which is cancelled when its client leaves or it takes too long.

    Raises
    ------
    ClientLeft
        There is nobody left to answer.
    TimeoutError
        It took longer than `SEARCH_TIMEOUT_SECONDS`.
    """
    answer = asyncio.wrap_future(future)
    leaving = asyncio.ensure_future(_left(client))
    try:
        done, _ = await asyncio.wait(
            (answer, leaving), timeout=SEARCH_TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if answer in done:
            return answer.result()
        raise ClientLeft if leaving in done else TimeoutError
    finally:
        leaving.cancel()
        answer.cancel()
        future.cancel()  # the line above does that, too, but only in the next turn of the loop


async def _left(client: Request) -> None:
    """Return when the client has closed its connection; its whole request has been read."""
    while (await client.receive())["type"] != "http.disconnect":
        pass


async def decoded(gallery: Gallery, client: Request, term: Term) -> Term:
    """An uploaded picture as pixels, decoded in a guarded process; other terms as they are."""
    if term.data is None:
        return term
    image = await while_connected(client, gallery.decode(term.data, term.name))
    return term.resolved(image=image.pixels)


def _body() -> dict[str, Any]:
    fields = PostedParameters.model_json_schema()
    form = {
        **fields,
        "title": "SearchForm",
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
    # One kind of content: generators make clients that do not run of an operation with several.
    return {"required": True, "content": {"multipart/form-data": {"schema": form}}}


_BODY = _body()
