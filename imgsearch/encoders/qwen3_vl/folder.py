"""Loads Qwen3-VL-Embedding from its published folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imgsearch.encoders import presets
from imgsearch.encoders.capabilities import choose_dimension, choose_visual_tokens
from imgsearch.encoders.devices import choose_device, choose_weights_dtype, limit_threads
from imgsearch.encoders.gme.resize import VisualTokens
from imgsearch.encoders.model_folder import ModelFolder, find_model, matryoshka_dimensions
from imgsearch.encoders.network import incomplete, load_network, loading
from imgsearch.encoders.qwen3_vl.encoder import Qwen3VLEncoder, Reader
from imgsearch.encoders.qwen3_vl.resize import MAX_TOKENS, MIN_TOKENS
from imgsearch.model_card import EncoderOptions, ModelCard
from imgsearch.vectors import EmbeddingSpace

__all__ = ["load"]


def load(name: str, options: EncoderOptions | None = None) -> Qwen3VLEncoder:
    """The encoder of a published Qwen3-VL-Embedding, which must be on this machine.

    Parameters
    ----------
    name : str
        "qwen3-vl-embedding-2b", "qwen3-vl-embedding-8b", the id of a model downloaded from the hub,
        or the path of a folder with the published files. If `options.source` is set, the weights
        are loaded from there.

    Raises
    ------
    EncoderError
        Files are missing or damaged, the device is missing, the model was not trained for vectors
        of that length, or the visual tokens are too few or too many.
    """
    from transformers import Qwen3VLModel

    options = options or EncoderOptions()
    tokens = choose_tokens(options.visual_tokens)
    limit_threads(options.threads)
    folder = find_model(name, options.source)
    device = choose_device(options.device)
    dtype, autocast = choose_weights_dtype(options.precision, device)
    reader = open_reader(folder)
    network = load_network(Qwen3VLModel, str(folder.path), dtype)
    card = _card(folder)
    dimension = choose_dimension(card, options.dimension, network.config.text_config.hidden_size)
    instruction = options.instruction or card.document_instruction
    preprocessing = describe(tokens)
    return Qwen3VLEncoder(
        network.to(device),
        reader,
        card,
        EmbeddingSpace(folder.name, folder.revision, preprocessing, dimension, instruction),
        tokens=tokens,
        batch_size=options.batch_size,
        autocast=autocast,
    )


def choose_tokens(maximum: int) -> VisualTokens:
    """The range of visual tokens up to a maximum; 0 is the published one."""
    return VisualTokens(MIN_TOKENS, choose_visual_tokens(maximum, MAX_TOKENS) or MAX_TOKENS)


def describe(tokens: VisualTokens) -> str:
    """The preprocessing of a space."""
    return (
        f"bicubic to {tokens.minimum}-{tokens.maximum} visual tokens of"
        " 32 x 32, chat template, last token"
    )


def open_reader(folder: ModelFolder) -> Reader:
    """The tokenizer, the chat template and the scale of pixels in a folder."""
    from transformers import AutoTokenizer
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    path: Any = str(folder.path)
    offline: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with loading(folder):
        tokenizer = AutoTokenizer.from_pretrained(path, **offline)
        template = _chat_template(folder.path) or tokenizer.chat_template
        processor: Any = Qwen2VLImageProcessorPil.from_pretrained(path, **offline)
    if not template:
        raise incomplete(folder, "it has no chat template")
    return Reader(tokenizer, template, processor.image_mean, processor.image_std)


def _chat_template(folder: Path) -> str:
    """The template of the processor in its older form, which a tokenizer does not read; or ""."""
    file = folder / "chat_template.json"
    if not file.is_file():
        return ""
    return str(json.loads(file.read_text("utf-8"))["chat_template"])


def _card(folder: ModelFolder) -> ModelCard:
    preset = presets.preset(folder.name)
    if preset:
        return preset
    like = presets.QWEN3_VL[0]
    return ModelCard(
        name=folder.name,
        summary="A Qwen3-VL, loaded from its published files.",
        languages=like.languages,
        limits=like.limits,
        dimensions=matryoshka_dimensions(folder.path),
        instructions=True,
        query_instruction=like.query_instruction,
        document_instruction=like.document_instruction,
        visual_tokens=like.visual_tokens,
    )
