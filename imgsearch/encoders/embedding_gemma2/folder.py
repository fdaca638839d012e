"""Loads EmbeddingGemma 2 from its published folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from imgsearch.encoders import presets
from imgsearch.encoders.capabilities import (
    choose_dimension,
    describe_dimensions,
)
from imgsearch.encoders.devices import choose_device, choose_weights_dtype, limit_threads
from imgsearch.encoders.embedding_gemma2.encoder import EmbeddingGemma2Encoder
from imgsearch.encoders.embedding_gemma2.resize import TOKENS
from imgsearch.encoders.model_folder import ModelFolder, find_model
from imgsearch.encoders.network import incomplete, load_network, loading
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions, ModelCard
from imgsearch.vectors import EmbeddingSpace

__all__ = ["load"]

TRAINED_TOKENS = (70, 140, TOKENS, 560, 1120)
"""Maximum numbers of visual tokens that the model was trained with."""


def load(name: str, options: EncoderOptions | None = None) -> EmbeddingGemma2Encoder:
    """The encoder of a published EmbeddingGemma 2, which must be on this machine.

    Its audio tower is not loaded.

    Parameters
    ----------
    name : str
        "embeddinggemma-2", the id of a model downloaded from the hub, or the path of a folder with
        the published files. If `options.source` is set, the weights are loaded from there.

    Raises
    ------
    EncoderError
        Files are missing or damaged, the device is missing, or an option cannot be met: float16, or
        a dimension or a number of visual tokens that the model was not trained for.
    """
    from transformers import AutoConfig, AutoTokenizer, EmbeddingGemma2Model

    options = options or EncoderOptions()
    tokens = choose_tokens(options.visual_tokens)
    limit_threads(options.threads)
    folder = find_model(name, options.source)
    device = choose_device(options.device)
    with loading(folder):
        config: Any = AutoConfig.from_pretrained(str(folder.path), local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(str(folder.path), local_files_only=True)
        config.audio_config = None
        prompts = _prompts(folder)
    card = _card(folder, prompts)
    dtype, autocast = choose_dtypes(card, options.precision, device)
    if not tokenizer.chat_template:
        raise incomplete(folder, "it has no chat template")
    network = load_network(EmbeddingGemma2Model, str(folder.path), dtype, config)
    dimension = choose_dimension(card, options.dimension, config.text_config.embedding_dim)
    instruction = options.instruction or prompts.get("document", "")
    preprocessing = describe(tokens)
    return EmbeddingGemma2Encoder(
        network.to(device),
        tokenizer,
        card,
        EmbeddingSpace(folder.name, folder.revision, preprocessing, dimension, instruction),
        tokens=tokens,
        batch_size=options.batch_size,
        autocast=autocast,
    )


def _prompts(folder: ModelFolder) -> dict[str, str]:
    """The prompts that sentence-transformers would use, by name."""
    file = folder.path / "config_sentence_transformers.json"
    if not file.is_file():
        return {}
    prompts: dict[str, str] = json.loads(file.read_text("utf-8")).get("prompts", {})
    return prompts


def choose_tokens(maximum: int) -> int:
    """The requested maximum number of visual tokens, or the published one."""
    if maximum and maximum not in TRAINED_TOKENS:
        raise EncoderError(
            f"a picture cannot have at most {maximum} visual tokens",
            f"Choose {describe_dimensions(TRAINED_TOKENS)}: --visual-tokens, or visual_tokens in"
            " the settings.",
        )
    return maximum or TOKENS


def describe(tokens: int) -> str:
    """The preprocessing of a space."""
    return f"bicubic to 1-{tokens} visual tokens of 48 x 48, chat template, mean of all tokens"


def choose_dtypes(
    card: ModelCard, precision: str, device: torch.device
) -> tuple[torch.dtype, torch.dtype | None]:
    """As `choose_weights_dtype`, without float16, whose range is too small for this model."""
    dtype, autocast = choose_weights_dtype(precision, device)
    if torch.float16 not in (dtype, autocast):
        return dtype, autocast
    if precision == "auto":
        return torch.float32, None
    raise EncoderError(
        f"{card.name} cannot be computed in float16", "Use --precision bf16, fp32 or auto."
    )


def _card(folder: ModelFolder, prompts: Mapping[str, str]) -> ModelCard:
    like = presets.EMBEDDING_GEMMA2
    if folder.name == like.name:
        return like
    return ModelCard(
        name=folder.name,
        summary="An EmbeddingGemma 2, loaded from its published files.",
        languages=like.languages,
        limits=like.limits,
        dimensions=like.dimensions,
        instructions=True,
        query_instruction=prompts.get("query", like.query_instruction),
        visual_tokens=like.visual_tokens,
    )
