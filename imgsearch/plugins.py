"""Find encoders and indexes by name, in entry-point groups; ours have no privileged way in."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from imgsearch.errors import ImgSearchError
from imgsearch.ports import EncoderModule

ENCODERS = "imgsearch.encoders"
INDEXES = "imgsearch.indexes"
GENERIC = "sentence-transformers"
"""The encoder for every model name that no entry point bears."""


def names(group: str) -> list[str]:
    """The names in a group, sorted."""
    return sorted({entry.name for entry in entry_points(group=group)})


def encoder_module(model: str) -> EncoderModule:
    """The module that serves a model: the entry point of its name or of its URL scheme, or
    sentence-transformers for anything else."""
    scheme = model.split("://", 1)[0] if "://" in model else model
    name = scheme if scheme in names(ENCODERS) else GENERIC
    return cast(EncoderModule, _load(ENCODERS, name))


def index_class(name: str) -> Any:
    """The class of an index: called with folder, library uuid and space."""
    return _load(INDEXES, name)


def _load(group: str, name: str) -> Any:
    for entry in entry_points(group=group):
        if entry.name == name:
            return _import(entry)
    near = difflib.get_close_matches(name, names(group), 1)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names(group))}."
    raise ImgSearchError(f"there is no {group.split('.')[1][:-1]} called {name}", hint)


def _import(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except ImportError as error:
        raise ImgSearchError(
            f"{entry.name} cannot be loaded: {error}",
            "Install imgsearch again as README says; 'imgsearch doctor' tells what is missing.",
        ) from error
