"""Qwen3-VL-Embedding (Qwen, Apache-2.0), without torchvision.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch.model_card import EncoderOptions

if TYPE_CHECKING:
    from imgsearch.encoders.qwen3_vl.encoder import Qwen3VLEncoder

ARCHITECTURE = "qwen3_vl"
"""The model_type in config.json of the folders that this package can load."""


def load(name: str, options: EncoderOptions | None = None) -> Qwen3VLEncoder:
    """The encoder of a published model; see `imgsearch.encoders.qwen3_vl.folder.load`."""
    from imgsearch.encoders.qwen3_vl.folder import load as load_weights

    return load_weights(name, options)
