"""The application: routes over a gallery, behind the guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from imgsearch import __version__
from imgsearch.serving.follower import Follower
from imgsearch.serving.gallery import Gallery
from imgsearch.serving.rankings import MAX_KEPT_BYTES
from imgsearch.serving.upload_folder import remove_forgotten
from imgsearch.settings import Settings
from imgsearch.web import (
    embed_routes,
    folder_routes,
    image_routes,
    index_routes,
    library_routes,
    model_routes,
    saved_routes,
    search_routes,
    static_files,
    zip_routes,
)
from imgsearch.web.answers import API, HealthAnswer, StatusAnswer
from imgsearch.web.daemon_socket import DaemonSocket
from imgsearch.web.guard import Guard
from imgsearch.web.hosts import Hosts
from imgsearch.web.metrics import Metrics, Timed
from imgsearch.web.openapi import describe, operation_id
from imgsearch.web.parameters import SessionParameters
from imgsearch.web.problems import PROBLEMS, handle_problems, problem
from imgsearch.web.proxies import Proxies
from imgsearch.web.tokens import COOKIE, SESSION_SECONDS, Door

MAX_REQUESTS_PER_SECOND = 100.0
"""Searches per second and client; five times as many other requests."""
CLOSE_SECONDS = 0.5
"""Time for the indexer, the daemon socket and the lanes to end, after the last answer."""


def application(
    settings: Settings,
    hosts: Hosts,
    door: Door,
    per_second: float = MAX_REQUESTS_PER_SECOND,
    say: Callable[[str], None] = lambda note: None,
    proxies: Proxies | None = None,
    origins: Sequence[str] = (),
    watch: bool = False,
    embed: bool = False,
) -> Guard:
    """The ASGI application for a library; it opens the library when it starts.

    With `watch`, it indexes changes in the folders of the library; with `embed`, it encodes texts
    and pictures for other programs.
    """
    metrics = Metrics()
    gallery = Gallery(settings, say, metrics.watch)
    indexer = index_routes.Indexer(gallery)
    daemon_socket = DaemonSocket(gallery, say)
    metrics.gauge("queue", "Questions that wait.", lambda: gallery.resident.waiting)
    metrics.gauge(
        "rankings_bytes",
        f"Memory of the rankings kept for their next pages; at most {MAX_KEPT_BYTES}.",
        lambda: gallery.rankings.bytes,
    )
    metrics.gauge("renderings", "Pictures that wait to be shown.", lambda: gallery.renders.waiting)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(remove_forgotten)
        await daemon_socket.open()
        warming = gallery.resident.warm()
        # A library that cannot be searched yet is reported by the first search.
        warming.add_done_callback(lambda done: done.cancelled() or done.exception())
        index = partial(indexer.follow_from_thread, asyncio.get_running_loop())
        follower = Follower(settings, index, say) if watch else None
        try:
            yield
        finally:
            if follower is not None:
                await asyncio.to_thread(follower.close, CLOSE_SECONDS)
            await asyncio.gather(
                indexer.close(CLOSE_SECONDS),
                daemon_socket.close(CLOSE_SECONDS),
                asyncio.to_thread(gallery.close, CLOSE_SECONDS),
            )

    app = FastAPI(
        title="imgsearch",
        version=__version__,
        summary="Search the pictures of one library, by words and by example.",
        docs_url=None,  # it would fetch its scripts from elsewhere
        redoc_url=None,
        openapi_url=f"{API}/openapi.json",
        lifespan=life,
        generate_unique_id_function=operation_id,
    )
    app.add_middleware(Timed, metrics=metrics)
    handle_problems(app)
    for router in (
        search_routes.routes(gallery),
        image_routes.routes(gallery),
        zip_routes.routes(gallery),
        library_routes.routes(gallery),
        saved_routes.routes(gallery),
        index_routes.routes(indexer),
        folder_routes.routes(gallery, indexer),
        model_routes.routes(settings, indexer),
        _about(gallery, indexer, metrics, door),
    ):
        app.include_router(router, prefix=API)
    for router in embed_routes.routers(gallery, embed):
        app.include_router(router)
    app.include_router(static_files.routes())
    describe(app, door.locked)
    return Guard(app, hosts, door, per_second, indexer.leave, proxies, origins)


def _about(
    gallery: Gallery, indexer: index_routes.Indexer, metrics: Metrics, door: Door
) -> APIRouter:
    router = APIRouter(tags=["server"], responses=PROBLEMS)

    @router.get("/status")
    async def get_status() -> StatusAnswer:
        """The contents of the library, and whether it is being indexed."""
        summary = await asyncio.wrap_future(gallery.status())
        running = indexer.state if indexer.running else None
        return StatusAnswer(**summary, indexing=running, version=__version__, locked=door.locked)

    @router.get("/health")
    async def get_health() -> HealthAnswer:
        """The server is up; says nothing about the library, and needs no token."""
        return HealthAnswer()

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' format."}},
    )
    async def get_metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.post("/session", status_code=204, response_class=Response)
    async def sign_in(parameters: SessionParameters, request: Request) -> Response:
        """Sign in with the token; the answer sets a cookie for later requests."""
        if not door.fits(parameters.token):
            return problem(401, "that is not the token of this server", "It was printed once.")
        answer = Response(status_code=204)
        answer.set_cookie(
            COOKIE,
            door.open_session(),
            max_age=SESSION_SECONDS,
            path=f"{request.scope['root_path']}/",
            secure=request.scope["scheme"] == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    return router
