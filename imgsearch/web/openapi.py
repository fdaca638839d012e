"""The OpenAPI document: names of operations, how to sign in, and errors as they are sent."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from imgsearch.web.problems import JSON_TYPE
from imgsearch.web.tokens import COOKIE

SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token that `imgsearch serve --new-token` prints.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The cookie that `sign_in` sets.",
    },
}
OPEN_OPERATIONS = ("get_health", "sign_in")
"""Operations that never need a token."""


def operation_id(route: APIRoute) -> str:
    """The name of an operation, which generated clients use: that of its function."""
    if route.methods == {"HEAD"}:
        return route.name.replace("get_", "head_")
    return route.name


def describe(app: FastAPI, locked: bool) -> None:
    """Complete the OpenAPI document of an application.

    Parameters
    ----------
    locked : bool
        The server requires a token; otherwise it is accepted but not needed.
    """
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(generate(), locked)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def completed(document: dict[str, Any], locked: bool) -> dict[str, Any]:
    """The document with what FastAPI cannot know about our errors and our token."""
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    document["components"]["securitySchemes"] = SCHEMES
    document["security"] = [*([] if locked else [{}]), {"token": []}, {"session": []}]
    for path in document["paths"].values():
        for operation in path.values():
            _complete(operation)
    return document


def _complete(operation: dict[str, Any]) -> None:
    if operation["operationId"] in OPEN_OPERATIONS:
        operation["security"] = []
    operation["responses"].pop("422", None)  # FastAPI's; ours are answered with 400
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if int(status) >= 400 and "application/json" in content:
            content[JSON_TYPE] = content.pop("application/json")
