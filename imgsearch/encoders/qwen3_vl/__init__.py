"""Qwen3-VL-Embedding (Qwen, Apache-2.0), without torchvision.

Importing this package does not import torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsearch.encoders.model_folder import ModelFolder, model_type
from imgsearch.model_card import EncoderOptions

if TYPE_CHECKING:
    from imgsearch.encoders.qwen3_vl.encoder import Qwen3VLEncoder

ARCHITECTURE = "qwen3_vl"
"""The model_type in config.json of the folders that this package can load."""

_PARTS = {"Transformer", "Pooling", "Normalize"}


def fits(folder: ModelFolder) -> bool:
    """True for a Qwen3-VL whose vector is the state of the last token.

    A fine-tuned model may have further layers after it; sentence-transformers computes those.
    """
    if model_type(folder.path) != ARCHITECTURE:
        return False
    parts, pooling = (folder.path / name for name in ("modules.json", "1_Pooling/config.json"))
    kinds = {part["type"].rpartition(".")[2] for part in _read(parts)} if parts.is_file() else set()
    return kinds <= _PARTS and (not pooling.is_file() or _takes_last_token(_read(pooling)))


def load(name: str, options: EncoderOptions | None = None) -> Qwen3VLEncoder:
    """The encoder of a published model; see `imgsearch.encoders.qwen3_vl.folder.load`."""
    from imgsearch.encoders.qwen3_vl.folder import load as load_weights

    return load_weights(name, options)


def _takes_last_token(pooling: Any) -> bool:
    """True for a pooling configuration of sentence-transformers, in its new or its old form."""
    return bool(pooling.get("pooling_mode") == "lasttoken" or pooling.get("pooling_mode_lasttoken"))


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))
