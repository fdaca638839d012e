"""gme-Qwen2-VL (Alibaba-NLP, Apache-2.0), without the code published with its weights.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch.encoders import presets
from imgsearch.model_card import EncoderOptions

if TYPE_CHECKING:
    from imgsearch.encoders.gme.encoder import GmeEncoder

__all__ = ["ARCHITECTURE", "CARDS", "FORMER_STEPS", "SCHEME", "load", "revision"]

ARCHITECTURE = "qwen2_vl"
"""The model_type in config.json of the folders that this package can load."""

SCHEME = "gme://"
"""Optional prefix of a model's name; config.json alone decides how it is loaded."""

FORMER_STEPS = ("two bicubic resizes to visual tokens, last token, 1-d positions",)
"""`EmbeddingSpace.steps` of earlier versions. The next run encodes pictures of such a space again
(docs/adr/0035-prepared-in-the-decoder.md)."""

CARDS = presets.GME


def revision(name: str, source: str = "") -> str:
    """The revision of a model's space, without loading it.

    Raises
    ------
    EncoderError
        The model is not on this machine.
    """
    from imgsearch.encoders.gme.files import find_folder

    return find_folder(name, source)[1]


def load(name: str, options: EncoderOptions | None = None) -> GmeEncoder:
    """The encoder of a published model; see `imgsearch.encoders.gme.folder.load`."""
    from imgsearch.encoders.gme.folder import load as load_weights

    return load_weights(name, options)
