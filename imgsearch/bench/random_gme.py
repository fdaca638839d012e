"""gme-Qwen2-VL with random weights, to measure it without its weights.

Such an encoder takes the time and memory of the real one, but its vectors are meaningless. The
revision of its space is `RANDOM`; nothing may be indexed with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from imgsearch.bench.measurement import TEXT
from imgsearch.encoders.devices import choose_device, limit_threads
from imgsearch.encoders.gme.encoder import GmeEncoder
from imgsearch.encoders.gme.folder import COLOURS, choose_tokens, choose_weights_dtype
from imgsearch.encoders.gme.module import GmeModule
from imgsearch.encoders.gme.prompt import DOCUMENT_INSTRUCTION, SEARCH_INSTRUCTION
from imgsearch.encoders.gme.resize import VisualTokens
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions, ModelCard
from imgsearch.vectors import RANDOM

_TEXT: dict[str, Any] = {
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 1000000.0,
        "mrope_section": [16, 24, 24],
    },
    "max_position_embeddings": 32768,
    "num_hidden_layers": 28,
    "bos_token_id": None,
    "eos_token_id": None,
}
_VISION = {"depth": 32, "embed_dim": 1280, "num_heads": 16, "mlp_ratio": 4, "patch_size": 14}
_SIZES: dict[str, dict[str, Any]] = {
    "gme-qwen2-vl-2b": {
        "text": {
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
            "vocab_size": 151936,
        },
        "vision": {"hidden_size": 1536},
    },
    "gme-qwen2-vl-7b": {
        "text": {
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "vocab_size": 152064,
        },
        "vision": {"hidden_size": 3584},
    },
    "gme-cut": {  # the 2b model in full width with two layers per tower, for processors
        "text": {
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_hidden_layers": 2,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
            "vocab_size": 1024,
        },
        "vision": {"hidden_size": 1536, "depth": 2},
    },
    "gme-tiny": {
        "text": {
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": 1024,
            "rope_parameters": {**_TEXT["rope_parameters"], "mrope_section": [4, 6, 6]},
        },
        "vision": {"hidden_size": 64, "depth": 2, "embed_dim": 32, "num_heads": 2},
    },
}
ARCHITECTURES = tuple(_SIZES)
VOCABULARY = 900
"""Size of the vocabulary of tokenizers that stand in for the real ones."""


def random_weights(
    architecture: str, options: EncoderOptions | None = None, tokens: VisualTokens | None = None
) -> GmeEncoder:
    """An encoder of a real architecture with random weights.

    Parameters
    ----------
    architecture : {"gme-qwen2-vl-2b", "gme-qwen2-vl-7b", "gme-cut", "gme-tiny"}

    Raises
    ------
    EncoderError
        The architecture is unknown, or this machine has no such device.
    """
    options = options or EncoderOptions()
    limit_threads(options.threads)
    device = choose_device(options.device)
    dtype, autocast = choose_weights_dtype(options.precision, device)
    model = random_model(architecture, device, dtype)
    tokens = tokens or choose_tokens(options.visual_tokens)
    module = GmeModule(model, stand_in_tokenizer(), COLOURS, tokens=tokens)
    card = ModelCard(
        f"{architecture}-random",
        "random weights: only for measuring speed and memory, its vectors are meaningless",
    )
    return GmeEncoder(
        module, card, RANDOM, batch_size=options.batch_size, autocast=autocast, device=device
    )


def random_model(architecture: str, device: torch.device, dtype: torch.dtype) -> Any:
    """A `Qwen2VLModel` of that architecture, created on the device; on "meta" without memory.

    Weights are normal with deviation 0.02, biases 0, norms 1, as before training. They are the same
    in each run and, except for rounding, in each dtype.
    """
    from transformers import Qwen2VLConfig, Qwen2VLModel

    if architecture not in _SIZES:
        raise EncoderError(
            f"unknown architecture {architecture!r}", f"Choose one of {', '.join(_SIZES)}."
        )
    sizes = _SIZES[architecture]
    config = Qwen2VLConfig(
        text_config={**_TEXT, **sizes["text"]}, vision_config={**_VISION, **sizes["vision"]}
    )
    with torch.device(device):
        model = Qwen2VLModel._from_config(  # type: ignore[no-untyped-call]
            config, dtype=dtype, attn_implementation="sdpa"
        )
    if device.type != "meta":
        fill(model, device)
    return model.eval()


@torch.no_grad()
def fill(model: torch.nn.Module, device: torch.device) -> None:
    """Fill the weights in place, one float32 tensor at a time; see `random_model`."""
    numbers = torch.Generator(device).manual_seed(0)
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            values = torch.randn(weight.shape, generator=numbers, device=device)
            weight.copy_(values.mul_(0.02))
        else:
            weight.fill_(not name.endswith("bias"))


@lru_cache(maxsize=1)
def stand_in_tokenizer() -> Any:
    """A small byte-level BPE that, like the real one, keeps the words of the prompts and of
    `measurement.sample_texts` whole."""
    from transformers import Qwen2Tokenizer

    words = f"system user assistant {DOCUMENT_INSTRUCTION} {SEARCH_INSTRUCTION} {TEXT}"
    bpe = train_bpe([words, f" {words}", "system\nuser\nassistant\n"] * 2)
    model = json.loads(bpe.to_str())["model"]
    merges: Any = [tuple(pair) for pair in model["merges"]]
    tokenizer = Qwen2Tokenizer(vocab=model["vocab"], merges=merges)
    controls = ["im_start", "im_end", "vision_start", "vision_end", "image_pad"]
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [f"<|{control}|>" for control in controls]}
    )
    return tokenizer


def train_bpe(texts: Sequence[str], specials: Sequence[str] = ()) -> Tokenizer:
    """A byte-level BPE of `VOCABULARY` tokens, trained on some texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
