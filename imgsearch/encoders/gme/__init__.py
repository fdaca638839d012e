"""gme-Qwen2-VL (Alibaba-NLP, Apache-2.0) without the code that is published with its weights.

Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch.records import EncoderOptions, ModelCard

if TYPE_CHECKING:
    from imgsearch.encoders.gme.encoder import GmeEncoder

__all__ = ["CARDS", "SCHEME", "load", "revision"]

SCHEME = "gme://"
"""Before the path of a folder: it holds the published files of a gme-Qwen2-VL."""

CARDS = tuple(
    ModelCard(
        name=f"gme-qwen2-vl-{size}",
        summary=f"A multimodal language model trained for retrieval: {parameters} parameters,"
        f" {dimension}-d, wants a GPU.",
        languages="English and Chinese; others of Qwen2-VL with less certainty",
        limits="On a processor it takes seconds for each picture.",
        licence="Apache-2.0",
    )
    for size, parameters, dimension in (("2b", "2.2 billion", 1536), ("7b", "7.7 billion", 3584))
)


def revision(name: str) -> str:
    """The revision of a model's space, without loading it; `EncoderError` if it is not here."""
    from imgsearch.encoders.gme.folder import find_folder

    return find_folder(name)[1]


def load(name: str, options: EncoderOptions | None = None) -> GmeEncoder:
    """The encoder of that name; see `imgsearch.encoders.gme.folder.load`."""
    from imgsearch.encoders.gme.folder import load as load_weights

    return load_weights(name, options)
