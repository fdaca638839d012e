"""Frames of the daemon, and results in them. Requests are those of `request_to_plain`.

A frame is its length in four bytes, big-endian, and that many bytes of JSON in ASCII. Paths keep
their surrogate escapes, which JSON can express.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

from imgsearch.errors import ImgSearchError
from imgsearch.searching.hits import SearchResult, hit_from_plain, hit_to_plain
from imgsearch.searching.trace import Trace

MAX_FRAME_BYTES = 64 << 20
"""In both directions. A picture from stdin, or ten thousand hits, take a tenth of it."""
_LENGTH = struct.Struct(">I")


class BadFrame(ImgSearchError):
    """Not a frame of ours, or too long, or not complete in time."""


# Frames


def send(connection: socket.socket, message: Any) -> None:
    """Send one frame; `BadFrame` if it would be too long, `OSError` if it is not taken in time."""
    data = json.dumps(message, separators=(",", ":")).encode("ascii")
    if len(data) > MAX_FRAME_BYTES:
        raise BadFrame("a message of the daemon is too long")
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket, seconds: float) -> Any:
    """The next frame, which must be complete within this many seconds.

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


# Results


def result_to_plain(result: SearchResult) -> dict[str, Any]:
    """A result as values for JSON, without the vectors of its trace."""
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
