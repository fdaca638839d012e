"""The true architectures with random weights: for measuring where no weights can be had.

Such an encoder costs what the real one costs, and its vectors mean nothing. Its space's revision is
`RANDOM`; nothing may be indexed with it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from imgsearch.bench.measurement import TEXT
from imgsearch.encoders.devices import choose_device, limit_threads
from imgsearch.encoders.gme.encoder import GmeEncoder
from imgsearch.encoders.gme.folder import COLOURS, choose_weights_dtype
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
    "gme-cut": {  # the 2b in its true width, two layers of each tower: for a processor
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


def random_weights(
    architecture: str, options: EncoderOptions | None = None, tokens: VisualTokens | None = None
) -> GmeEncoder:
    """An encoder of a true architecture whose weights are random.

    Parameters
    ----------
    architecture : {"gme-qwen2-vl-2b", "gme-qwen2-vl-7b", "gme-cut", "gme-tiny"}

    Raises
    ------
    EncoderError
        An unknown architecture or a device that is not there.
    """
    options = options or EncoderOptions()
    limit_threads(options.threads)
    device = choose_device(options.device)
    dtype, autocast = choose_weights_dtype(options.precision, device)
    model = random_model(architecture, device, dtype)
    module = GmeModule(model, _stand_in_tokenizer(), COLOURS, tokens=tokens)
    card = ModelCard(
        f"{architecture}-random",
        "random weights: for measuring speed and memory only, its vectors mean nothing",
    )
    return GmeEncoder(
        module, card, RANDOM, batch_size=options.batch_size, autocast=autocast, device=device
    )


def random_model(architecture: str, device: torch.device, dtype: torch.dtype) -> Any:
    """`Qwen2VLModel` of that architecture, made on the device; on "meta" it takes no memory.

    Weights are normal with deviation 0.02, biases 0, norms 1, as before a training; the same on
    each run and, but for rounding, in each dtype.
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
    """Random weights in place, one tensor of float32 at a time; see `random_model`."""
    numbers = torch.Generator(device).manual_seed(0)
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            drawn = torch.randn(weight.shape, generator=numbers, device=device)
            weight.copy_(drawn.mul_(0.02))
        else:
            weight.fill_(not name.endswith("bias"))


@lru_cache(maxsize=1)
def _stand_in_tokenizer() -> Any:
    """A small byte-level BPE that keeps the words of the prompts and of `measure.sample_texts`
    whole, as the true one does."""
    from transformers import Qwen2Tokenizer

    words = f"system user assistant {DOCUMENT_INSTRUCTION} {SEARCH_INSTRUCTION} {TEXT}"
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator([words, f" {words}", "system\nuser\nassistant\n"] * 2, trainer)
    model = json.loads(trained.to_str())["model"]
    merges: Any = [tuple(pair) for pair in model["merges"]]
    tokenizer = Qwen2Tokenizer(vocab=model["vocab"], merges=merges)
    controls = ["im_start", "im_end", "vision_start", "vision_end", "image_pad"]
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [f"<|{control}|>" for control in controls]}
    )
    return tokenizer
