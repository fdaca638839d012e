"""Questions and answers as bytes: a length, then JSON. NumPy is imported for arrays only.

A frame is four bytes, big-endian, that say how long it is, and so many bytes of JSON in ASCII.
Paths keep their surrogate escapes, which JSON has a notation for. Vectors are base64 of
little-endian float32; whoever only passes them on keeps them as `Packed`.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, get_args

from imgsearch.errors import ImgSearchError
from imgsearch.filters.tree import And, Filter, Not, Or
from imgsearch.model_card import ModelCard
from imgsearch.records import Hit, ImageFile, ImageMetadata, ImageRecord, Query, Term

MOST_BYTES = 64 << 20
"""Of a frame, either way: a picture from stdin, or ten thousand hits, take a tenth of it."""
_LENGTH = struct.Struct(">I")


class BadFrame(ImgSearchError):
    """What came is no frame of ours, or too long, or not all of it came in time."""


class Packed(bytes):
    """A vector that is only passed on: little-endian float32."""


# Frames


def send(connection: socket.socket, message: Any) -> None:
    """Send one frame; `BadFrame` if it would be too long, `OSError` if nobody takes it in time."""
    data = json.dumps(message, separators=(",", ":")).encode("ascii")
    if len(data) > MOST_BYTES:
        raise BadFrame("a message of the daemon is too long")
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket, seconds: float) -> Any:
    """The next frame, which has to be there whole after so many seconds.

    Raises
    ------
    BadFrame
        It is none, or too long.
    EOFError
        The other side has closed the connection.
    OSError
        The connection is broken, or time is up.
    """
    until = time.monotonic() + seconds
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, until))
    if length > MOST_BYTES:
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


# Vectors and terms


def packed(vector: Any) -> Packed:
    """A vector of shape (dimension,), an array or packed already, as bytes."""
    return vector if isinstance(vector, Packed) else Packed(vector.astype("<f4").tobytes())


def unpacked(term: Term) -> Term:
    """The term with its vector as an array."""
    held: Any = term.vector
    if not isinstance(held, Packed):
        return term
    import numpy as np

    return replace(term, vector=np.frombuffer(held, "<f4").astype(np.float32))


def term_to_plain(term: Term) -> dict[str, Any]:
    """A term without pixels as values for JSON."""
    assert term.image is None
    values = {each.name: getattr(term, each.name) for each in fields(Term)}
    if term.vector is not None:
        values["vector"] = b64encode(packed(term.vector)).decode()
    return values


def term_from_plain(found: Any) -> Term:
    """The term that `term_to_plain` took apart, its vector packed."""
    values = dict(found)
    if not isinstance(values["text"], str | None):
        raise ValueError("no text")
    if values["vector"] is not None:
        values["vector"] = Packed(b64decode(values["vector"], validate=True))
    return Term(**values)


# Filters


def filter_to_plain(where: Filter | None) -> Any:
    """A filter as values for JSON: its kind, then its parts."""
    if where is None:
        return None
    kind = type(where).__name__
    if isinstance(where, And | Or):
        return [kind, *map(filter_to_plain, where.parts)]
    if isinstance(where, Not):
        return [kind, filter_to_plain(where.part)]
    return [kind, *(_value_to_plain(getattr(where, each.name)) for each in fields(where))]


def _value_to_plain(value: Any) -> Any:
    return {"time": value.isoformat()} if isinstance(value, datetime) else value


def filter_from_plain(found: Any) -> Filter | None:
    """The filter that `filter_to_plain` took apart."""
    if found is None:
        return None
    kind, values = _FILTERS[found[0]], found[1:]
    if kind in (And, Or):
        where = kind(tuple(filter_from_plain(part) for part in values))
    else:
        where = kind(*map(filter_from_plain if kind is Not else _value_from_plain, values))
    made: Filter = where
    return made


def _value_from_plain(value: Any) -> Any:
    return datetime.fromisoformat(value["time"]) if isinstance(value, dict) else value


_FILTERS: dict[str, Any] = {each.__name__: each for each in get_args(Filter)}


# Queries and hits


def query_to_plain(query: Query) -> dict[str, Any]:
    """A query whose terms have no pixels as values for JSON."""
    values = {each.name: getattr(query, each.name) for each in fields(Query)}
    values["terms"] = [term_to_plain(term) for term in query.terms]
    values["where"] = filter_to_plain(query.where)
    return values


def unpacked_query(query: Query) -> Query:
    """The query with its vectors as arrays."""
    return replace(query, terms=[unpacked(term) for term in query.terms])


def query_from_plain(found: Any) -> Query:
    """The query, its vectors as arrays."""
    values = dict(found)
    values["terms"] = [term_from_plain(each) for each in values["terms"]]
    values["where"] = filter_from_plain(values["where"])
    return unpacked_query(Query(**values))


def hit_to_plain(hit: Hit) -> dict[str, Any]:
    """A hit as values for JSON."""
    values = {each.name: getattr(hit, each.name) for each in fields(Hit)}
    values["image"] = _record_to_plain(hit.image)
    if hit.strength is not None:
        values["strength"] = float(hit.strength)
    if hit.duplicates is not None:
        values["duplicates"] = [_record_to_plain(each) for each in hit.duplicates]
    return values


def hit_from_plain(found: Any) -> Hit:
    """The hit that `hit_to_plain` took apart."""
    values = dict(found)
    values["image"] = _record_from_plain(values["image"])
    if values["duplicates"] is not None:
        values["duplicates"] = tuple(_record_from_plain(each) for each in values["duplicates"])
    return Hit(**values)


def _record_to_plain(image: ImageRecord) -> dict[str, Any]:
    file, metadata = image.file, image.metadata
    values = {each.name: getattr(image, each.name) for each in fields(ImageRecord)}
    values["file"] = [file.root, file.path, file.size, file.mtime_ns]
    values["metadata"] = {each.name: getattr(metadata, each.name) for each in fields(ImageMetadata)}
    if metadata.taken_at is not None:
        values["metadata"]["taken_at"] = metadata.taken_at.isoformat()
    return values


def _record_from_plain(found: Any) -> ImageRecord:
    values, metadata = dict(found), dict(found["metadata"])
    metadata["keywords"] = tuple(metadata["keywords"])
    if metadata["taken_at"] is not None:
        metadata["taken_at"] = datetime.fromisoformat(metadata["taken_at"])
    values |= {"file": ImageFile(*values["file"]), "metadata": ImageMetadata(**metadata)}
    return ImageRecord(**values)


def card_to_plain(card: ModelCard) -> dict[str, Any]:
    """A model's card as values for JSON."""
    return {each.name: _listed(getattr(card, each.name)) for each in fields(ModelCard)}


def card_from_plain(found: Any) -> ModelCard:
    """The card that `card_to_plain` took apart."""
    values: Any = {n: tuple(v) if isinstance(v, list) else v for n, v in dict(found).items()}
    return ModelCard(**values)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
