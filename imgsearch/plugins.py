"""Finds encoders, model servers, pools and indexes by name in entry-point groups."""

from __future__ import annotations

import difflib
import os
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from imgsearch.errors import EncoderError, ImgSearchError, require_free_descriptor
from imgsearch.ports import EncoderModule, VectorIndex
from imgsearch.vectors import EmbeddingSpace

ENCODERS = "imgsearch.encoders"
INDEXES = "imgsearch.indexes"
MODEL_SERVERS = "imgsearch.model_servers"
"""Modules as in `ENCODERS`, by the scheme of the URL of a server that runs a model."""
POOLS = "imgsearch.encoder_pools"
_KINDS = {
    ENCODERS: "encoder",
    INDEXES: "index",
    MODEL_SERVERS: "model server",
    POOLS: "encoder pool",
}
GENERIC = "sentence-transformers"
"""The encoder for folders and hub ids that are not names of entry points."""


def names(group: str) -> list[str]:
    """The names in a group, sorted."""
    found = sorted({entry.name for entry in _entries(group)})
    if not found:  # ours are always there, unless their folder cannot be opened
        require_free_descriptor()
    return found


def encoder_module(model: str) -> EncoderModule:
    """The module that loads a model.

    It is the entry point with the model's name or URL scheme, or sentence-transformers for a folder
    or a hub id.

    Raises
    ------
    EncoderError
        No entry point has this name.
    """
    name = model.split("://", 1)[0] if "://" in model else model
    if name not in names(ENCODERS):
        if "/" not in model and not os.path.isdir(model):
            raise _unknown(model)
        name = GENERIC
    return cast(EncoderModule, _load(ENCODERS, name))


def model_server(url: str) -> EncoderModule:
    """The module that reaches the model server of a URL, which it gets as `source`."""
    return cast(EncoderModule, _load(MODEL_SERVERS, url.split("://", 1)[0]))


def is_url(kind: str) -> bool:
    """True if a kind of index, or the place of a model, is the URL of a server."""
    return "://" in kind


def index_class(kind: str) -> type[VectorIndex]:
    """The class of an index: the entry point with the name of its kind, or its URL's scheme."""
    return cast("type[VectorIndex]", _load(INDEXES, kind.split("://", 1)[0]))


def index_place(kind: str, folder: str) -> str:
    """Where an index is stored: the URL if its kind is one, else the folder of the indexes."""
    return kind if is_url(kind) else folder


def open_index(kind: str, folder: str, library: str, space: EmbeddingSpace) -> VectorIndex:
    """The stored index of a library and a space; empty if there is none."""
    return index_class(kind)(index_place(kind, folder), library, space)


def encoder_pool(where: str) -> Any:
    """The class of an `EncoderPool` elsewhere: the entry point with its name or URL's scheme.

    It is made from `Settings`, the `EmbeddingSpace`, an `EncoderPool` of this machine, and a
    function that gets notes for the user. A class method `survey` checks its machines for
    `imgsearch doctor`, like that of `RayPool`.
    """
    return _load(POOLS, where.split("?", 1)[0].split("://", 1)[0])


def _entries(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group, whose packages are read once for each search path of Python."""
    found = _read_entries(group, tuple(sys.path))
    if not found:  # their folder may be readable the next time
        _read_entries.cache_clear()
    return found


@cache
def _read_entries(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def _load(group: str, name: str) -> Any:
    for entry in _entries(group):
        if entry.name == name:
            return _import(entry)
    shown = name.split(":", 1)[0]  # the rest of a URL with a typing error may have a password
    near = difflib.get_close_matches(shown, names(group), 1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names(group))}."
    if shown != name:
        hint = f"Write a URL with two slashes: {shown}://host. {hint}"
    raise ImgSearchError(f"there is no {_KINDS[group]} called {shown}", hint)


def _unknown(model: str) -> EncoderError:
    near = difflib.get_close_matches(model, [n for n in names(ENCODERS) if n != GENERIC], 1)
    question = f"Did you mean {near[0]}? " if near else ""
    return EncoderError(
        f"there is no model called {model}, and no such folder",
        f"{question}'imgsearch models' lists the names; a folder or OWNER/NAME on the Hugging Face"
        " hub works as well.",
    )


def load_failures(group: str) -> list[tuple[str, str]]:
    """The names in a group that cannot be loaded, each with the reason."""
    failures = []
    for name in names(group):
        try:
            _load(group, name)
        except ImgSearchError as error:
            failures.append((name, str(error)))
    return failures


def _import(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except ImgSearchError:  # `MissingExtra`, with its own hint
        raise
    except Exception as error:  # importing a plug-in may raise anything
        raise ImgSearchError(
            f"{entry.name} cannot be loaded: {error}",
            "Install imgsearch again, see the README; 'imgsearch doctor' shows what is missing.",
        ) from error
