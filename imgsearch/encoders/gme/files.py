"""The published files of gme-Qwen2-VL: their folder, completeness and revision.

Importing this module does not import torch: a run with nothing to encode needs no model.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from imgsearch.encoders.gme import ARCHITECTURE, SCHEME
from imgsearch.encoders.model_folder import locate
from imgsearch.errors import EncoderError

_NEEDED = ("config.json", "preprocessor_config.json", "tokenizer_config.json")
_INDEX = "model.safetensors.index.json"


def find_folder(name: str, source: str = "") -> tuple[str, str]:
    """The folder of a model, and the revision of its weights.

    Parameters
    ----------
    name : str
        Path of a folder, preset, or hub id, with or without "gme://".
    source : str
        A folder or hub id to use instead.

    Returns
    -------
    (folder, revision)
        The revision is the hub's commit, or a digest of a folder that did not come from there.
    """
    model = locate(name.removeprefix(SCHEME), source.removeprefix(SCHEME))
    folder = str(model.path)
    check_folder(folder)
    return folder, model.revision or _digest(folder)


def check_folder(folder: str) -> None:
    """Raise `EncoderError` unless the folder holds a complete Qwen2-VL."""
    kind = read(folder, "config.json").get("model_type") if _has(folder, "config.json") else None
    if kind not in (None, ARCHITECTURE):
        raise EncoderError(
            f"{folder} holds a model of type {kind}, not {ARCHITECTURE}",
            "Load it as a sentence-transformers model instead.",
        )
    missing = [name for name in (*_NEEDED, *_weights(folder)) if not _has(folder, name)]
    if missing:
        raise EncoderError(
            f"{folder} lacks {', '.join(missing)}",
            "Fetch the missing files from its source; 'imgsearch models download' continues"
            " where it stopped.",
        )


def read(folder: str, name: str) -> dict[str, Any]:
    """The object in a JSON file of the folder."""
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content


def _weights(folder: str) -> list[str]:
    if _has(folder, _INDEX):
        return sorted(set(read(folder, _INDEX)["weight_map"].values()))
    return ["model.safetensors"]


def _digest(folder: str) -> str:
    """Twelve hex digits of a SHA-256 of the configuration, and of each file's size, head and tail.

    Head and tail are one mebibyte each. The head holds the names and offsets of all tensors;
    reading 4 GB at each start would take longer than loading the model.
    """
    total = hashlib.sha256()
    for name in (*_NEEDED, *_weights(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            total.update(file.read(1 << 20))
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - (1 << 20)))
            total.update(file.read() + f"{name}:{size}".encode())
    return total.hexdigest()[:12]


def _has(folder: str, name: str) -> bool:
    return os.path.isfile(os.path.join(folder, name))
