"""gme-Qwen2-VL (Alibaba-NLP, Apache-2.0) without the code that is published with its weights.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch.encoders import presets
from imgsearch.model_card import EncoderOptions

if TYPE_CHECKING:
    from imgsearch.encoders.gme.encoder import GmeEncoder

__all__ = ["ARCHITECTURE", "CARDS", "SCHEME", "load", "revision"]

ARCHITECTURE = "qwen2_vl"
"""The model_type in config.json of a folder that this module can load."""

SCHEME = "gme://"
"""May stand before the name of a model, and says no more than its config.json does."""

CARDS = presets.GME


def revision(name: str, source: str = "") -> str:
    """The revision of a model's space, without loading it; `EncoderError` if it is not here."""
    from imgsearch.encoders.gme.files import find_folder

    return find_folder(name, source)[1]


def load(name: str, options: EncoderOptions | None = None) -> GmeEncoder:
    """The encoder of that name; see `imgsearch.encoders.gme.folder.load`."""
    from imgsearch.encoders.gme.folder import load as load_weights

    return load_weights(name, options)
