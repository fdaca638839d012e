"""Requests and results as bytes: a length, then JSON. NumPy is imported for arrays only.

A frame is four bytes, big-endian, that give its length, and that many bytes of JSON in ASCII.
Paths keep their surrogate escapes, which JSON has a notation for; pictures are base64, vectors
base64 of little-endian float32, filters the text of `--where` that reads back as the same filter.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from base64 import b64decode, b64encode
from dataclasses import fields
from typing import Any

from imgsearch.errors import ImgSearchError
from imgsearch.searching.hits import SearchResult, hit_from_plain, hit_to_plain
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.trace import Trace

MAX_FRAME_BYTES = 64 << 20
"""Either way: a picture from stdin, or ten thousand hits, take a tenth of it."""
_LENGTH = struct.Struct(">I")


class BadFrame(ImgSearchError):
    """Not a frame of ours, or too long, or not complete in time."""


# Frames


def send(connection: socket.socket, message: Any) -> None:
    """Send one frame; `BadFrame` if it would be too long, `OSError` if nobody takes it in time."""
    data = json.dumps(message, separators=(",", ":")).encode("ascii")
    if len(data) > MAX_FRAME_BYTES:
        raise BadFrame("a message of the daemon is too long")
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket, seconds: float) -> Any:
    """The next frame, which has to be complete after this many seconds.

    Raises
    ------
    BadFrame
        It is not a frame, or too long.
    EOFError
        The other side has closed the connection.
    OSError
        The connection is broken, or time is up.
    """
    until = time.monotonic() + seconds
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, until))
    if length > MAX_FRAME_BYTES:
        raise BadFrame("a message of the daemon is too long")
    try:
        return json.loads(_exactly(connection, length, until))
    except (ValueError, RecursionError):
        raise BadFrame("a message of the daemon makes no sense") from None


def _exactly(connection: socket.socket, count: int, until: float) -> bytes:
    parts: list[bytes] = []
    while count:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the other side is too slow")
        connection.settimeout(left)
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


# Requests


def request_to_plain(request: SearchRequest) -> dict[str, Any]:
    """A request without pixels as values for JSON."""
    values = {each.name: getattr(request, each.name) for each in fields(SearchRequest)}
    for name in ("terms", "good", "bad"):
        values[name] = [_term_to_plain(term) for term in values[name]]
    values["where"] = None if request.where is None else str(request.where)
    return values


def request_from_plain(plain: Any) -> SearchRequest:
    """The request that `request_to_plain` wrote."""
    values = dict(plain)
    for name in ("terms", "good", "bad"):
        values[name] = [_term_from_plain(term) for term in values[name]]
    if values["where"] is not None:
        from imgsearch.filters.parser import parse_whole

        values["where"] = parse_whole(values["where"])
    return SearchRequest(**values)


def _term_to_plain(term: Term) -> dict[str, Any]:
    assert term.image is None, "pixels do not travel"
    values = {each.name: getattr(term, each.name) for each in fields(Term)}
    if term.vector is not None:
        values["vector"] = b64encode(term.vector.astype("<f4").tobytes()).decode()
    if term.data is not None:
        values["data"] = b64encode(term.data).decode()
    return values


def _term_from_plain(plain: Any) -> Term:
    values = dict(plain)
    if not isinstance(values["text"], str | None):
        raise ValueError("the text of a term is not a text")
    if values["data"] is not None:
        values["data"] = b64decode(values["data"], validate=True)
    if values["vector"] is not None:
        import numpy as np

        row = np.frombuffer(b64decode(values["vector"], validate=True), "<f4")
        values["vector"] = row.astype(np.float32)
    return Term(**values)


# Results


def result_to_plain(result: SearchResult) -> dict[str, Any]:
    """A result as values for JSON, but for the vectors of its trace."""
    trace = result.trace
    return {
        "hits": [hit_to_plain(hit) | {"strength": hit.strength} for hit in result.hits],
        "notes": result.notes,
        "why_empty": result.why_empty,
        "text": result.text,
        "trace": [trace.passed, trace.total, trace.method, trace.seconds],
    }


def result_from_plain(plain: Any) -> SearchResult:
    """The result that `result_to_plain` wrote."""
    passed, total, method, seconds = plain["trace"]
    return SearchResult(
        [hit_from_plain(hit) for hit in plain["hits"]],
        [str(note) for note in plain["notes"]],
        str(plain["why_empty"]),
        str(plain["text"]),
        Trace(passed, total, method, dict(seconds)),
    )
