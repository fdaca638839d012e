"""Routes that start, stop and watch the indexer, which runs in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from imgsearch.errors import ImgSearchError, LibraryBusy, QueryError
from imgsearch.indexing.plan import NEW_FOLDER, IndexRequest
from imgsearch.serving.gallery import Gallery
from imgsearch.serving.indexer_process import DownloadRequest, Event, IndexProcess
from imgsearch.serving.models import require_download, require_switch
from imgsearch.settings import Settings
from imgsearch.web.parameters import IndexParameters, RootParameters
from imgsearch.web.problems import PROBLEMS, problem
from imgsearch.web.proxies import client_of

MAX_WATCHERS, MAX_WATCHERS_PER_CLIENT = 64, 16
"""Event streams at the same time. One person's tabs leave room for others; behind a proxy that is
not trusted, all clients are one."""
KEEP_ALIVE_SECONDS = 15.0
"""Interval of keep-alive comments in an event stream."""
POLL_SECONDS = 2.0
"""Interval in which the revision of the library is read for an event stream."""


class Indexer:
    """At most one run or download at a time, and its watchers. Used in the event loop only.

    The state names the `task` ("index", "switch" or "download") and, of the last two, the `model`.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._process: IndexProcess | None = None
        self._changed = asyncio.Condition()
        self._number = 0
        self._runs = 0
        self._leaving = False
        self._facts: Event = {}
        self.state: Event = {"state": "idle", "run": 0, "task": "index"}
        self.watchers: Counter[str] = Counter()

    @property
    def running(self) -> bool:
        """True during a run or a download."""
        return self.state["state"] in ("starting", "running")

    async def start(self, parameters: IndexParameters) -> None:
        """Start a run over a folder of the library, or over all of them.

        Raises
        ------
        LibraryBusy
            One runs already.
        QueryError
            The folder is not in the library.
        """
        with self._starting():
            request = IndexRequest(
                await self._paths(parameters.path),
                parameters.exclude,
                ocr=parameters.ocr,
                add=False,
                no_exclude=parameters.no_exclude,
            )
            self._launch(request)

    async def add(self, path: str, parameters: RootParameters) -> None:
        """Start a run over a folder that may be new; raises `LibraryBusy` during a run."""
        with self._starting():
            self._launch(IndexRequest([path], parameters.exclude, parameters.hidden))

    async def switch(self, model: str) -> None:
        """Start to encode all pictures with a model, which searches use afterwards.

        Raises
        ------
        LibraryBusy
            A run or a download is going on.
        UnknownModel, ModelUnusable, LibraryMissing
            See `require_switch`.
        """
        with self._starting(task="switch", model=model):
            settings = self._gallery.settings
            await asyncio.to_thread(require_switch, settings, model)
            self._launch(IndexRequest(), replace(settings, model=model))

    async def download(self, model: str) -> None:
        """Start to download a model; raises as `switch` does, and see `require_download`."""
        with self._starting(task="download", model=model):
            await asyncio.to_thread(require_download, self._gallery.settings, model)
            self._launch(DownloadRequest(model))

    def require_idle(self) -> None:
        """Raise `LibraryBusy` during a run or a download."""
        if self.running:
            model = self.state.get("model")
            raise LibraryBusy(
                f"the model {model} is being downloaded"
                if self.state["task"] == "download"
                else f"pictures are being indexed with {model}"
                if model
                else "pictures are being indexed already",
                "Wait for it, or stop it.",
            )

    async def follow(self, folders: Sequence[str]) -> bool:
        """Index these folders of the library when no other run is going; False if that failed."""
        await self._until_idle()
        if self._leaving:
            return True
        with self._starting():
            self._launch(IndexRequest(folders, add=False))
        await self._until_idle()
        return bool(self.state["state"] != "failed")

    def follow_from_thread(self, loop: asyncio.AbstractEventLoop, folders: Sequence[str]) -> str:
        """As `follow`; the reason of a failure, "" without one."""
        try:
            future = asyncio.run_coroutine_threadsafe(self.follow(folders), loop)
            return "" if future.result() else self.error
        except (RuntimeError, CancelledError):  # the loop has ended
            return ""

    @contextmanager
    def _starting(self, task: str = "index", **facts: str) -> Iterator[None]:
        """A context in which the process of a run is started; if that fails, the state is as it
        was."""
        self.require_idle()
        self._process = None  # that of an earlier run cannot be stopped any more
        self._runs += 1
        self._facts = {"run": self._runs, "task": task, **facts}
        before, self.state = self.state, {"state": "starting", **self._facts}
        try:
            yield
        except BaseException:
            self.state = before
            raise

    def _launch(
        self, request: IndexRequest | DownloadRequest, settings: Settings | None = None
    ) -> None:
        """Start the process of a run, whose events update the state."""
        loop, facts = asyncio.get_running_loop(), self._facts

        def on_event(event: Event) -> None:
            loop.call_soon_threadsafe(self._note, event | facts)

        self._process = IndexProcess(settings or self._gallery.settings, request, on_event)
        stage = "download" if isinstance(request, DownloadRequest) else "scan"
        self._note({"state": "running", "stage": stage, "done": 0, "total": None} | facts)

    async def _until_idle(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._leaving or not self.running)

    @property
    def error(self) -> str:
        """Why the last run failed; "" if it did not."""
        return str(self.state.get("error", ""))

    def stop(self) -> bool:
        """Stop the run after the batch in hand, or the download; False if there is none."""
        if not self.running or self._process is None:
            return False
        self._process.stop()
        return True

    def leave(self) -> None:
        """Stop the run and end the event streams, so that the server can shut down."""
        self._leaving = True
        self.stop()
        self._rouse()

    async def close(self, timeout_s: float) -> None:
        """Stop the run and wait for it; a kill after that time loses the batch in hand."""
        if self._process is not None:
            await asyncio.to_thread(self._process.close, timeout_s)

    async def _paths(self, path: str | None) -> list[str]:
        """The folders to index: only those of the library, whatever the page sends."""
        status = await asyncio.wrap_future(self._gallery.status())
        roots = [each["path"] for each in status["folders"]]
        if not roots:
            raise QueryError(
                "this library has no folders yet", "In a terminal: imgsearch index FOLDER"
            )
        if path is None:
            return []
        if "\0" in path or not await asyncio.to_thread(_is_in, path, roots):
            raise QueryError("that is not in a folder of this library", NEW_FOLDER)
        return [os.path.normpath(path)]

    def _note(self, event: Event) -> None:
        self._number += 1
        self.state = event
        self._rouse()

    def _rouse(self) -> None:
        task = asyncio.ensure_future(self._wake())
        task.add_done_callback(lambda done: done.exception())

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def events(self) -> AsyncIterator[bytes]:
        """Server-sent events: the present state, then each change; slow readers get the latest."""
        seen = -1
        while not self._leaving:
            if seen != self._number:
                seen = self._number
                yield f"event: progress\ndata: {json.dumps(self.state)}\n\n".encode()
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS), self._changed:
                    await self._changed.wait_for(lambda: self._leaving or self._number != seen)  # noqa: B023
            except TimeoutError:
                yield b": still here\n\n"

    async def library_events(self) -> AsyncIterator[bytes]:
        """Server-sent events: the revision of the library, then each change by any process. The
        catalog is polled every `POLL_SECONDS`."""
        seen, silent_s = -1, 0.0
        while not self._leaving:
            with suppress(ImgSearchError):  # a busy or replaced library answers the next time
                revision = await asyncio.wrap_future(self._gallery.revision())
                if revision != seen:
                    seen, silent_s = revision, 0.0
                    data = json.dumps({"revision": revision})
                    yield f"event: library\ndata: {data}\n\n".encode()
            if silent_s >= KEEP_ALIVE_SECONDS:
                silent_s = 0.0
                yield b": still here\n\n"
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS), self._changed:
                    await self._changed.wait_for(lambda: self._leaving)
            silent_s += POLL_SECONDS


class EventStream(StreamingResponse):
    """Events, for as long as the client reads them.

    Parameters
    ----------
    indexer : Indexer
        Counts the streams.
    """

    def __init__(self, indexer: Indexer, events: AsyncIterator[bytes]) -> None:
        headers = {"x-accel-buffering": "no"}  # nginx would keep events back
        super().__init__(events, headers=headers, media_type="text/event-stream")
        self._indexer = indexer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, or refuse if there are too many watchers: counted and compared here,
        with nothing awaited in between, so that a burst cannot pass the bounds."""
        client, watchers = client_of(scope), self._indexer.watchers
        if watchers.total() >= MAX_WATCHERS:
            await problem(503, "too many watch already", "Close a page.")(scope, receive, send)
            return
        if watchers[client] >= MAX_WATCHERS_PER_CLIENT:
            await problem(429, "you watch too often already", "Close a page.")(scope, receive, send)
            return
        watchers[client] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            watchers[client] -= 1
            if not watchers[client]:
                del watchers[client]


def _is_in(path: str, roots: Sequence[str]) -> bool:
    """True for a root and for a path below one, both as named and with links resolved; the indexer
    checks again (`IndexRequest.add`)."""
    plain, real = os.path.normpath(path), os.path.realpath(path)
    return any(_holds(root, plain) and _holds(os.path.realpath(root), real) for root in roots)


def _holds(root: str, path: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "Events named `progress`."}
}

_CHANGES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "Events named `library`."}
}


def routes(indexer: Indexer) -> APIRouter:
    """The routes over an indexer."""
    router = APIRouter(tags=["index"], responses=PROBLEMS)

    @router.post("/index", status_code=202)
    async def start_indexing(parameters: IndexParameters) -> dict[str, Any]:
        """Bring folders of the library up to date; 409 during a run."""
        await indexer.start(parameters)
        return indexer.state

    @router.delete("/index", status_code=202)
    async def stop_indexing() -> Response:
        """Stop after the batch in hand, or stop the download; finished work is kept."""
        if not indexer.stop():
            return problem(409, "nothing is being indexed", "Start it with POST.")
        return JSONResponse({"state": "stopping"}, 202)

    @router.get("/index/events", response_class=StreamingResponse, responses=_STREAM)
    async def index_events() -> Response:
        """Progress of the run or download, as it goes."""
        return EventStream(indexer, indexer.events())

    @router.get("/events", response_class=StreamingResponse, responses=_CHANGES)
    async def library_events() -> Response:
        """The revision of the library, then each change: pictures that were added, changed or
        removed, by this server or another process."""
        return EventStream(indexer, indexer.library_events())

    return router
