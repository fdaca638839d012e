"""Loads gme-Qwen2-VL from its published folder."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import torch

from imgsearch.encoders.capabilities import choose_dimension, choose_visual_tokens
from imgsearch.encoders.devices import choose_device, choose_weights_dtype, limit_threads
from imgsearch.encoders.gme import CARDS, SCHEME
from imgsearch.encoders.gme.encoder import GmeEncoder
from imgsearch.encoders.gme.files import check_folder, find_folder, read
from imgsearch.encoders.gme.module import GmeModule
from imgsearch.encoders.gme.resize import VisualTokens
from imgsearch.encoders.network import load_network
from imgsearch.model_card import EncoderOptions, ModelCard

__all__ = ["COLOURS", "check_folder", "choose_weights_dtype", "find_folder", "load"]

MAX_VISUAL_TOKENS = 1600
"""The largest maximum number of visual tokens: a prompt of `MAX_TOKENS` holds instruction and
picture."""

COLOURS = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and deviation of the channels: those of CLIP, which Qwen2-VL adopted."""


def load(
    name: str, options: EncoderOptions | None = None, tokens: VisualTokens | None = None
) -> GmeEncoder:
    """The encoder of a published gme-Qwen2-VL, which must be on this machine.

    Parameters
    ----------
    name : str
        "gme-qwen2-vl-2b", "gme-qwen2-vl-7b", the id of a model downloaded from the hub, or the path
        of a folder with the published files, with or without "gme://". If `options.source` is set,
        the weights are loaded from there.

    Raises
    ------
    EncoderError
        Files are missing or belong to another model, the device is missing, or the visual tokens
        are too few or too many.
    """
    options = options or EncoderOptions()
    tokens = tokens or choose_tokens(options.visual_tokens)
    card = _card(name)
    limit_threads(options.threads)
    folder, revision = find_folder(name, options.source)
    device = choose_device(options.device)
    dtype, autocast = choose_weights_dtype(options.precision, device)
    resizers = ThreadPoolExecutor(options.threads or min(8, os.cpu_count() or 1), "gme-resize")
    module = _open(folder, dtype, tokens, resizers)
    choose_dimension(card, options.dimension, module.get_embedding_dimension())
    return GmeEncoder(
        module,
        card,
        revision,
        batch_size=options.batch_size,
        autocast=autocast,
        device=device,
        instruction=options.instruction,
    )


def choose_tokens(maximum: int) -> VisualTokens:
    """The range of visual tokens up to a maximum; 0 is the published one."""
    return VisualTokens.up_to(choose_visual_tokens(maximum, MAX_VISUAL_TOKENS))


def _open(
    folder: str, dtype: torch.dtype, tokens: VisualTokens | None, resizers: ThreadPoolExecutor
) -> GmeModule:
    from transformers import AutoTokenizer, Qwen2VLModel

    model = load_network(Qwen2VLModel, folder, dtype)
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    look = read(folder, "preprocessor_config.json")
    colours = look.get("image_mean", COLOURS[0]), look.get("image_std", COLOURS[1])
    return GmeModule(model, tokenizer, colours, tokens=tokens, resizers=resizers)


def _card(name: str) -> ModelCard:
    path = name.removeprefix(SCHEME)
    for card in CARDS:
        if path == card.name:
            return card
    full = os.path.abspath(path) if os.path.isdir(path) else path
    return ModelCard(
        name=full,
        summary="A gme-Qwen2-VL, loaded from its published files.",
        languages=CARDS[0].languages,
        limits=CARDS[0].limits,
        licence=CARDS[0].licence,
        instructions=True,
        query_instruction=CARDS[0].query_instruction,
        document_instruction=CARDS[0].document_instruction,
        visual_tokens=CARDS[0].visual_tokens,
    )
