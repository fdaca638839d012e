"""Qwen3-VL-Embedding with random weights, to measure it without its weights.

Such an encoder takes the time and memory of the real one, but its vectors are meaningless. The
revision of its space is `RANDOM`; nothing may be indexed with it.
"""

from __future__ import annotations

from typing import Any

import torch

from imgsearch.bench.random_gme import fill, stand_in_tokenizer
from imgsearch.encoders.devices import choose_device, choose_weights_dtype, limit_threads
from imgsearch.encoders.gme.prompt import PICTURE
from imgsearch.encoders.presets import QWEN3_DOCUMENT, QWEN3_QUERY
from imgsearch.encoders.qwen3_vl.encoder import Qwen3VLEncoder, Reader
from imgsearch.encoders.qwen3_vl.folder import choose_tokens, describe
from imgsearch.model_card import EncoderOptions, ModelCard
from imgsearch.vectors import RANDOM, EmbeddingSpace

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{% if part.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
_HALVES = (0.5, 0.5, 0.5)
_TEXT: dict[str, Any] = {
    "head_dim": 128,
    "num_key_value_heads": 8,
    "vocab_size": 151936,
    "max_position_embeddings": 262144,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 5000000.0,
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    },
}
_SIZES: dict[str, dict[str, Any]] = {
    "qwen3-vl-embedding-2b": {
        "text": {
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
        },
        "vision": {
            "depth": 24,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "out_hidden_size": 2048,
            "deepstack_visual_indexes": [5, 11, 17],
        },
    },
    "qwen3-vl-embedding-8b": {
        "text": {
            "hidden_size": 4096,
            "intermediate_size": 12288,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
        },
        "vision": {
            "depth": 27,
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "out_hidden_size": 4096,
            "deepstack_visual_indexes": [8, 16, 24],
        },
    },
    "qwen3-vl-tiny": {
        "text": {
            "head_dim": 16,
            "num_key_value_heads": 1,
            "vocab_size": 1024,
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "rope_parameters": {**_TEXT["rope_parameters"], "mrope_section": [4, 2, 2]},
        },
        "vision": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "deepstack_visual_indexes": [0],
        },
    },
}
ARCHITECTURES = tuple(_SIZES)


def random_weights(architecture: str, options: EncoderOptions | None = None) -> Qwen3VLEncoder:
    """An encoder of a real architecture with random weights.

    Parameters
    ----------
    architecture : {"qwen3-vl-embedding-2b", "qwen3-vl-embedding-8b", "qwen3-vl-tiny"}

    Raises
    ------
    EncoderError
        This machine has no such device, or the visual tokens are too few or too many.
    """
    options = options or EncoderOptions()
    limit_threads(options.threads)
    device = choose_device(options.device)
    dtype, autocast = choose_weights_dtype(options.precision, device)
    tokens = choose_tokens(options.visual_tokens)
    model = random_model(architecture, device, dtype)
    name = f"{architecture}-random"
    return Qwen3VLEncoder(
        model,
        Reader(stand_in_tokenizer(), _TEMPLATE, _HALVES, _HALVES),
        ModelCard(
            name,
            "random weights: only for measuring speed and memory, its vectors are meaningless",
            query_instruction=QWEN3_QUERY,
        ),
        EmbeddingSpace(
            name, RANDOM, describe(tokens), model.config.text_config.hidden_size, QWEN3_DOCUMENT
        ),
        tokens=tokens,
        batch_size=options.batch_size,
        autocast=autocast,
    )


def random_model(architecture: str, device: torch.device, dtype: torch.dtype) -> Any:
    """A `Qwen3VLModel` of that architecture, created on the device; on "meta" without memory.

    Weights as in `random_gme.random_model`. The shapes are those of the published config.json
    files.
    """
    from transformers import Qwen3VLConfig, Qwen3VLModel

    sizes = _SIZES[architecture]
    config = Qwen3VLConfig(
        text_config={**_TEXT, **sizes["text"]},
        vision_config=dict(sizes["vision"]),
        image_token_id=stand_in_tokenizer().convert_tokens_to_ids(PICTURE),
    )
    with torch.device(device):
        model = Qwen3VLModel._from_config(  # type: ignore[no-untyped-call]
            config, dtype=dtype, attn_implementation="sdpa"
        )
    if device.type != "meta":
        fill(model, device)
    return model.eval()
