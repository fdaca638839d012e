"""Routes that show one picture. Files are named by ids only, never by paths."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from io import FileIO
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from imgsearch.records import Skipped
from imgsearch.serving.gallery import (
    Gallery,
    Located,
    NoSuchPicture,
    Opened,
    cannot_show,
    open_original,
    open_video,
    video_name,
)
from imgsearch.serving.thumbnail_cache import snapped
from imgsearch.sources.formats import VIDEO_TYPES, extension
from imgsearch.web import answers
from imgsearch.web.answers import (
    BROWSER_TYPES,
    DetailsAnswer,
    EncodingFormat,
    MissingThumb,
    PictureVectorAnswer,
    Problem,
    ThumbAnswer,
    ThumbsAnswer,
    VectorsAnswer,
    shown,
)
from imgsearch.web.byte_ranges import NoSuchPart, is_named, part_of, tag_of
from imgsearch.web.parameters import Id
from imgsearch.web.problems import PROBLEMS, problem
from imgsearch.web.search_routes import PictureId, prefix_of, while_connected
from imgsearch.web.static_files import IMMUTABLE_CACHE_CONTROL

MAX_FULL_SIDE_PIXELS = 4096
"""Longer side, in pixels, of an original that is rendered."""
_CHUNK_BYTES = 1 << 18
INERT_POLICY = "default-src 'none'; sandbox"
"""Policy for a file as a document of its own: it may do nothing."""


MAX_VECTORS = 500
"""Pictures of a request for vectors."""
MAX_THUMBS = 100
"""Pictures of a request for small pictures."""
MAX_THUMBS_AT_ONCE = 16
"""Small pictures of such a request that are made at the same time, so that others get a turn."""

ThumbSize = Annotated[int, Query(ge=1, le=4096, description="256, 384, 512, 768 or 1024.")]
VectorFormat = Annotated[
    EncodingFormat,
    Query(alias="encoding_format", description="base64: of little-endian float32."),
]


def ids_query(most: int) -> Any:
    """A parameter for the ids of pictures, up to a number."""
    return Query(alias="id", min_length=1, max_length=most, description="Ids of pictures.")


VectorIds = Annotated[list[Id], ids_query(MAX_VECTORS)]
ThumbIds = Annotated[list[Id], ids_query(MAX_THUMBS)]


class As(StrEnum):
    """Form of an original."""

    FILE = "file"
    JPEG = "jpeg"
    VIDEO = "video"


Responses = dict[int | str, dict[str, Any]]

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_WEBP: Responses = {200: {"content": {"image/webp": _BINARY}, "description": "The small picture."}}
_BYTES: dict[str, Any] = {
    "image/*": _BINARY,
    "video/*": _BINARY,
    "application/octet-stream": _BINARY,
}
_FILE: Responses = {
    200: {"content": _BYTES, "description": "The file."},
    206: {"content": _BYTES, "description": "The part of it that `Range` names."},
    304: {"description": "It is as it was (`If-None-Match`)."},
    412: {"model": Problem, "description": "It is no longer as it was (`If-Match`)."},
    416: {"model": Problem, "description": "It has nothing where `Range` points."},
}


def routes(gallery: Gallery) -> APIRouter:
    """The routes over a library."""
    router = APIRouter(tags=["pictures"], responses=PROBLEMS)

    @router.get("/images/{image_id}")
    async def get_image(image_id: PictureId, request: Request) -> DetailsAnswer:
        """Everything in the catalog about a picture."""
        located = await asyncio.wrap_future(gallery.locate(image_id))
        parts = await asyncio.wrap_future(gallery.parts(image_id))
        video = await asyncio.to_thread(video_name, located)
        return answers.details(located.record, prefix_of(request), parts, video)

    @router.get("/images/{image_id}/vector")
    async def get_vector(
        image_id: PictureId, client: Request, form: VectorFormat = "float"
    ) -> PictureVectorAnswer:
        """The vector of a picture in the space that is searched."""
        found = await while_connected(client, gallery.vectors([image_id]))
        if image_id not in found.rows:
            raise NoSuchPicture(
                f"there is no picture {image_id} with a vector of {found.space.model}",
                "It may have left the library: search again.",
            )
        row = answers.vector(found.rows[image_id], form)
        space = found.space
        return PictureVectorAnswer(id=image_id, vector=row, model=space.model, space=space.key)

    @router.get("/vectors")
    async def get_vectors(
        ids: VectorIds, client: Request, form: VectorFormat = "float"
    ) -> VectorsAnswer:
        """The vectors of pictures; 'imgsearch export' writes those of a whole library."""
        return answers.vectors(await while_connected(client, gallery.vectors(ids)), ids, form)

    @router.get("/thumbs")
    async def get_thumbs(ids: ThumbIds, client: Request, size: ThumbSize = 256) -> ThumbsAnswer:
        """Small pictures, upright, in one answer."""
        unique = list(dict.fromkeys(ids))
        images = await while_connected(client, gallery.locate_all(unique))
        return await thumbs(gallery, unique, images, snapped(size))

    @router.head("/thumb/{image_id}", response_class=Response, responses=_WEBP)
    @router.get("/thumb/{image_id}", response_class=Response, responses=_WEBP)
    async def get_thumb(
        image_id: PictureId,
        size: ThumbSize = 256,
        v: Annotated[str, Query(max_length=64, description="The content it is of.")] = "",
    ) -> Response:
        """A small picture, upright. With `v`, the content hash, browsers may keep it."""
        located = await asyncio.wrap_future(gallery.locate(image_id))
        data, content_hash = await rendered(gallery, located, snapped(size), "WEBP")
        fresh = v and v == content_hash
        headers = {
            "cache-control": IMMUTABLE_CACHE_CONTROL if fresh else "no-cache",
            "content-security-policy": INERT_POLICY,
        }
        return Response(data, media_type="image/webp", headers=headers)

    @router.head("/original/{image_id}", response_class=Response, responses=_FILE)
    @router.get("/original/{image_id}", response_class=Response, responses=_FILE)
    async def get_original(
        image_id: PictureId, request: Request, form: Annotated[As, Query(alias="as")] = As.FILE
    ) -> Response:
        """The file, or a part of it (`Range`); a JPEG of it, for formats that browsers do not show;
        or the video of a Live Photo or Motion Photo."""
        located = await asyncio.wrap_future(gallery.locate(image_id))
        if form is As.JPEG:
            name = located.record.file.path
            data, _ = await rendered(gallery, located, MAX_FULL_SIDE_PIXELS, "JPEG")
            return Response(data, media_type="image/jpeg", headers=_headers(name, ".jpg"))
        video = form is As.VIDEO
        opened = await asyncio.to_thread(open_video if video else open_original, located)
        file = os.fdopen(opened.descriptor, "rb", buffering=0)
        kind = VIDEO_TYPES[extension(opened.path)] if video else _kind(located)
        try:
            answer = _file(opened, kind, file, request)
        except BaseException:
            file.close()
            raise
        if not isinstance(answer, StreamingResponse):
            file.close()
        return answer

    return router


async def thumbs(
    gallery: Gallery, ids: Sequence[int], images: Sequence[Located], side: int
) -> ThumbsAnswer:
    """Small pictures of some ids, and those that cannot be shown, with reasons."""
    known = {each.record.id for each in images}
    missing = [
        MissingThumb(id=each, reason="not in the library") for each in ids if each not in known
    ]
    gate = asyncio.Semaphore(MAX_THUMBS_AT_ONCE)

    async def one(image: Located) -> tuple[bytes, str]:
        async with gate:
            return await rendered(gallery, image, side, "WEBP")

    shown_images = []
    results = await asyncio.gather(*map(one, images), return_exceptions=True)
    for image, result in zip(images, results, strict=True):
        if isinstance(result, NoSuchPicture):
            missing.append(MissingThumb(id=image.record.id, reason=shown(str(result))))
        elif isinstance(result, BaseException):
            raise result
        else:
            data = base64.b64encode(result[0]).decode()
            shown_images.append(ThumbAnswer(id=image.record.id, data=data))
    return ThumbsAnswer(thumbs=shown_images, missing=missing)


async def rendered(gallery: Gallery, located: Located, side: int, form: str) -> tuple[bytes, str]:
    """The picture in that size, from the cache or rendered now, and the hash of its content.

    The hash differs from the catalog's if the file has changed. Raises `NoSuchPicture` with the
    reason if it cannot be shown.
    """
    kept = gallery.thumbnails
    content_hash = located.record.content_hash
    data = await asyncio.to_thread(kept.get, content_hash, side, form)
    if data is not None:
        return data, content_hash
    rendering = await asyncio.wrap_future(gallery.render(located, side, form))
    if isinstance(rendering, Skipped):
        raise cannot_show(rendering.reason)
    await asyncio.to_thread(kept.put, rendering, side, form)
    return rendering.data, rendering.content_hash


def _kind(located: Located) -> str | None:
    return BROWSER_TYPES.get(located.record.metadata.format)


def _file(opened: Opened, kind: str | None, file: FileIO, request: Request) -> Response:
    """The response for an open file; one that does not stream leaves it open."""
    status = os.fstat(file.fileno())
    everything = opened.part or range(status.st_size)
    conditions, size, tag = request.headers, len(everything), tag_of(status)
    headers = _headers(opened.path) | {"etag": tag, "accept-ranges": "bytes"}
    if "if-match" in conditions and not is_named(conditions["if-match"], tag, weakly=False):
        return problem(412, "the file is no longer as it was", "Ask for all of it.")
    if is_named(conditions.get("if-none-match", ""), tag, weakly=True):
        return Response(status_code=304, headers=headers)
    if kind is None:
        kind, disposition = "application/octet-stream", headers["content-disposition"]
        headers["content-disposition"] = disposition.replace("inline", "attachment", 1)
    if request.method == "HEAD":  # HEAD has no parts
        return Response(media_type=kind, headers=headers | {"content-length": str(size)})
    try:
        part = part_of(conditions, size, tag)
    except NoSuchPart:
        answer = problem(416, "the file has nothing there", f"It has {size} bytes.")
        answer.headers["content-range"] = f"bytes */{size}"
        return answer
    start, length = part or (0, size)
    headers["content-length"] = str(length)
    if part is not None:
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{size}"
    pieces = _pieces(file, everything.start + start, length)
    return StreamingResponse(pieces, 206 if part else 200, headers, kind)


async def _pieces(file: FileIO, start: int, size: int) -> AsyncIterator[bytes]:
    """The file in pieces, up to the size it had; fails if it shrinks meanwhile."""
    with file:
        file.seek(start)
        while size:
            piece = await asyncio.to_thread(file.read, min(_CHUNK_BYTES, size))
            if not piece:
                raise ConnectionAbortedError("the file became shorter")
            size -= len(piece)
            yield piece


def _headers(path: str, ending: str = "") -> dict[str, str]:
    """Headers of a file; its name is percent-encoded (RFC 6266), so it cannot end a header."""
    name = shown(os.path.basename(path)) + ending
    return {
        "content-disposition": f"inline; filename*=UTF-8''{quote(name, safe='')}",
        "content-security-policy": INERT_POLICY,
        "cache-control": "no-cache",
    }
