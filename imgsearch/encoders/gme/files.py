"""The published files of gme-Qwen2-VL: where they lie, whether all are there, which they are.

Importing this file does not import torch: a run that finds nothing to encode needs no model.
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
    """The folder of a model and which weights it holds.

    Parameters
    ----------
    name : str
        Path of a folder, preset, or id of the Hugging Face hub, with or without "gme://".
    source : str
        A folder or id to look at instead.

    Returns
    -------
    (folder, revision)
        The revision is the hub's commit, or a digest of a folder that did not come from there.
    """
    found = locate(name.removeprefix(SCHEME), source.removeprefix(SCHEME))
    folder = str(found.path)
    check_folder(folder)
    return folder, found.revision or _digest(folder)


def check_folder(folder: str) -> None:
    """Raise `EncoderError` unless the folder holds a whole Qwen2-VL."""
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
            "Fetch the missing files from where it came; 'imgsearch models download' goes on"
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
    """Twelve hex digits of the configuration, and of size, head and tail of each weights file.

    Head and tail are a mebibyte each: the header with all names and places is in the first, and
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
