"""EmbeddingGemma 2 (Google, Apache-2.0) for texts and pictures, without torchvision.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch.model_card import EncoderOptions

if TYPE_CHECKING:
    from imgsearch.encoders.embedding_gemma2.encoder import EmbeddingGemma2Encoder

ARCHITECTURE = "embedding_gemma2"
"""The model_type in config.json of the folders that this package can load."""


def load(name: str, options: EncoderOptions | None = None) -> EmbeddingGemma2Encoder:
    """The encoder of a published model; see `imgsearch.encoders.embedding_gemma2.folder.load`."""
    from imgsearch.encoders.embedding_gemma2.folder import load as load_weights

    return load_weights(name, options)
