"""Published models: chooses how to load one by the files of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch.encoders import embedding_gemma2, gme, presets, qwen3_vl
from imgsearch.encoders.model_folder import find_model, locate, model_type, only_pools
from imgsearch.model_card import EncoderOptions

if TYPE_CHECKING:
    from imgsearch.ports import Encoder

CARDS = (*presets.SENTENCE, presets.EMBEDDING_GEMMA2, *presets.QWEN3_VL)


def load(name: str, options: EncoderOptions | None = None) -> Encoder:
    """The model of that name, from this machine only.

    Parameters
    ----------
    name : str
        A preset, the id of a model downloaded from the hub, or the path of a folder.

    Raises
    ------
    EncoderError
        The model is not on this machine or cannot be used.
    """
    options = options or EncoderOptions()
    if _text_hub(name):
        from imgsearch.encoders import two_towers

        return two_towers.load(name, options)
    folder = locate(name, options.source).path
    kind = model_type(folder)
    if kind == gme.ARCHITECTURE:
        return gme.load(name, options)
    if kind == embedding_gemma2.ARCHITECTURE and only_pools(folder, "mean", "mean_tokens"):
        return embedding_gemma2.load(name, options)
    if kind == qwen3_vl.ARCHITECTURE and only_pools(folder, "lasttoken"):
        return qwen3_vl.load(name, options)
    from imgsearch.encoders import generic

    return generic.load(name, options)


def revision(name: str, source: str = "", text_source: str = "") -> str:
    """The revision of a model's space, without loading it.

    That of a two-part model names both: "PICTURES+TEXTS".

    Raises
    ------
    EncoderError
        The model is not on this machine.
    """
    text_hub = _text_hub(name)
    if text_hub:
        parts = find_model(name, source), find_model(text_hub, text_source)
        return "+".join(part.revision for part in parts)
    if _is_gme(name, source):
        return gme.revision(name, source)
    return find_model(name, source).revision


def _text_hub(name: str) -> str:
    card = presets.preset(name)
    return card.text_hub if card else ""


def _is_gme(name: str, source: str) -> bool:
    """True for weights that sentence-transformers could load only with their published code."""
    return model_type(locate(name, source).path) == gme.ARCHITECTURE
