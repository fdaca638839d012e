"""Errors as answers: a message, a hint and a status, never a traceback (RFC 9457)."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from imgsearch.errors import (
    ImgSearchError,
    LibraryBusy,
    LibraryMissing,
    QueryError,
    SourceError,
    TooManyFiles,
    is_too_many_files,
)
from imgsearch.searching.saved_searches import NameTaken, NoSuchSearch
from imgsearch.serving.gallery import NoSuchPicture
from imgsearch.serving.models import ModelUnusable, UnknownModel
from imgsearch.serving.rankings import CursorLost
from imgsearch.serving.resident import Closed, Overloaded
from imgsearch.serving.validation import sentence
from imgsearch.web.answers import Problem
from imgsearch.web.proxies import route_path

logger = logging.getLogger("imgsearch.web")

JSON_TYPE = "application/problem+json"


CLIENT_LEFT = 499
"""Status in the metrics of a request whose client has closed the connection; nobody receives it."""


class ClientLeft(ImgSearchError):
    """The client closed its connection before the answer was there."""

    def __init__(self) -> None:
        super().__init__("the client has closed the connection")


class NoSuchModel(QueryError):
    """A client names a model that the library does not use."""

    def __init__(self, name: str, model: str) -> None:
        super().__init__(
            f"there is no model {name[:80]!r} here", f"This library uses {model}: name that one."
        )


STATUS: tuple[tuple[type[ImgSearchError], int], ...] = (
    (CursorLost, 410),
    (NoSuchSearch, 404),
    (NoSuchModel, 404),
    (UnknownModel, 404),
    (ModelUnusable, 409),
    (NameTaken, 409),
    (QueryError, 400),
    (SourceError, 400),
    (NoSuchPicture, 404),
    (LibraryMissing, 409),
    (LibraryBusy, 409),
    (Overloaded, 503),
    (Closed, 503),
    (ClientLeft, CLIENT_LEFT),
    (TooManyFiles, 503),
)
"""The first match applies; 500 for all other errors."""

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request is not valid."},
    401: {"model": Problem, "description": "The token is missing."},
    403: {"model": Problem, "description": "The origin or host name is not allowed."},
    404: {"model": Problem, "description": "The picture, saved search or model does not exist."},
    405: {"model": Problem, "description": "The URL does not support this method."},
    408: {"model": Problem, "description": "The request took too long to arrive."},
    409: {
        "model": Problem,
        "description": "No library yet, or it is busy, a name is taken, or a model cannot be used.",
    },
    410: {"model": Problem, "description": "The cursor has expired."},
    413: {"model": Problem, "description": "The request is too large."},
    414: {"model": Problem, "description": "The URL is too long."},
    429: {"model": Problem, "description": "Too many requests."},
    500: {"model": Problem, "description": "Internal server error."},
    503: {"model": Problem, "description": "Too many searches are waiting."},
}


def handle_problems(app: FastAPI) -> None:
    """Answer every error of the app with a `Problem`."""

    @app.exception_handler(ImgSearchError)
    async def on_ours(request: Request, error: ImgSearchError) -> Response:
        status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
        if status == CLIENT_LEFT:
            return Response(status_code=CLIENT_LEFT)
        if status == 500:
            logger.error("%s %s: %s", request.method, request.url.path, error)
        answer = problem(status, str(error), error.hint)
        if status == 503:
            answer.headers["retry-after"] = "1"
        return answer

    @app.exception_handler(OSError)
    async def on_system(request: Request, error: OSError) -> Response:
        if is_too_many_files(error):
            return await on_ours(request, TooManyFiles())
        raise error

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        fault = sentence(error.errors()[0], skip=("query", "body", "path"))
        return problem(400, fault, _HINT)

    @app.exception_handler(ClientDisconnect)
    async def on_client_left(request: Request, error: ClientDisconnect) -> Response:
        return await on_ours(request, ClientLeft())

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        answer = problem(error.status_code, str(error.detail), _HINT)
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def on_any(request: Request, error: Exception) -> Response:
        return internal_error()  # the guard also receives the error and logs it

    @app.exception_handler(TimeoutError)
    async def on_timeout(request: Request, error: TimeoutError) -> Response:
        return problem(503, "the search took too long", "Try again, or use a smaller model.")


class ProblemResponse(JSONResponse):
    """An error answer. Below /v1/ its `error` has OpenAI's shape, because the clients for that show
    nothing else."""

    media_type = JSON_TYPE

    def __init__(self, content: dict[str, Any], status: int) -> None:
        super().__init__(content, status)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if route_path(scope).startswith("/v1/"):
            message = f"{self._content['detail']}. {self._content['hint']}".strip()
            fault = {"message": message, "type": "invalid_request_error", "param": None,
                     "code": None}  # fmt: skip
            self.body = self.render(self._content | {"error": fault})
            self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def problem(status: int, error: str, hint: str = "") -> Response:
    """An error answer."""
    return ProblemResponse(problem_body(status, error, hint), status)


def problem_body(status: int, error: str, hint: str = "") -> dict[str, Any]:
    """The content of an error answer; escapes text that is not valid UTF-8."""
    error, hint = (text.encode("utf-8", "backslashreplace").decode() for text in (error, hint))
    title = HTTPStatus(status).phrase
    return {
        "type": "about:blank", "title": title, "status": status, "detail": error,
        "error": error, "hint": hint,
    }  # fmt: skip


def internal_error() -> Response:
    """The answer to an unexpected error; only the log has its details."""
    return problem(500, "Internal server error.", "See the log of the server.")


_HINT = "See /api/v1/openapi.json for the valid requests."
