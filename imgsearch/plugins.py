"""Find encoders and indexes by name, in entry-point groups; ours have no privileged way in."""

from __future__ import annotations

import difflib
import os
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from imgsearch.errors import EncoderError, ImgSearchError
from imgsearch.ports import EncoderModule

ENCODERS = "imgsearch.encoders"
INDEXES = "imgsearch.indexes"
GENERIC = "sentence-transformers"
"""The encoder for every folder and every id of a hub that no entry point bears."""


def names(group: str) -> list[str]:
    """The names in a group, sorted."""
    return sorted({entry.name for entry in entry_points(group=group)})


def encoder_module(model: str) -> EncoderModule:
    """The module that serves a model: the entry point of its name or of its URL scheme, or
    sentence-transformers for a folder or an id of a hub.

    Raises
    ------
    EncoderError
        A plain name that nothing bears.
    """
    name = model.split("://", 1)[0] if "://" in model else model
    if name not in names(ENCODERS):
        if "/" not in model and not os.path.isdir(model):
            raise _unknown(model)
        name = GENERIC
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
    kind = {ENCODERS: "encoder", INDEXES: "index"}[group]
    raise ImgSearchError(f"there is no {kind} called {name}", hint)


def _unknown(model: str) -> EncoderError:
    near = difflib.get_close_matches(model, [n for n in names(ENCODERS) if n != GENERIC], 1)
    question = f"Did you mean {near[0]}? " if near else ""
    return EncoderError(
        f"there is no model called {model}, and no folder either",
        f"{question}'imgsearch models' lists the names; a folder or OWNER/NAME of the Hugging Face"
        " hub is taken, too.",
    )


def broken(group: str) -> list[tuple[str, str]]:
    """The names in a group that cannot be loaded, each with the reason."""
    found = []
    for name in names(group):
        try:
            _load(group, name)
        except ImgSearchError as error:
            found.append((name, str(error)))
    return found


def _import(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # a plug-in may do anything when it is imported
        raise ImgSearchError(
            f"{entry.name} cannot be loaded: {error}",
            "Install imgsearch again as README says; 'imgsearch doctor' tells what is missing.",
        ) from error
