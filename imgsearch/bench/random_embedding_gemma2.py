"""EmbeddingGemma 2 with random weights, to measure it without its weights.

Such an encoder takes the time and memory of the real one, but its vectors are meaningless. The
revision of its space is `RANDOM`; nothing may be indexed with it.
"""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import decoders, processors

from imgsearch.bench.measurement import TEXT
from imgsearch.bench.random_gme import fill, train_bpe
from imgsearch.encoders.devices import choose_device, limit_threads
from imgsearch.encoders.embedding_gemma2.encoder import EmbeddingGemma2Encoder
from imgsearch.encoders.embedding_gemma2.folder import choose_dtypes, choose_tokens, describe
from imgsearch.encoders.presets import EMBEDDING_GEMMA2
from imgsearch.model_card import EncoderOptions, ModelCard
from imgsearch.vectors import RANDOM, EmbeddingSpace

ARCHITECTURES = (EMBEDDING_GEMMA2.name,)

_ENDS = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
_CONTROLS = {"image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>"}
_TEMPLATE = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|image|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}"
)


def random_weights(architecture: str, options: EncoderOptions | None = None) -> Any:
    """An `EmbeddingGemma2Encoder` of the real architecture with random weights.

    Parameters
    ----------
    architecture : {"embeddinggemma-2"}

    Raises
    ------
    EncoderError
        This machine has no such device, or an option cannot be met.
    """
    options = options or EncoderOptions()
    limit_threads(options.threads)
    device = choose_device(options.device)
    dtype, autocast = choose_dtypes(EMBEDDING_GEMMA2, options.precision, device)
    tokens = choose_tokens(options.visual_tokens)
    tokenizer = stand_in_tokenizer()
    model = random_model(device, dtype, tokenizer.image_token_id)
    name = f"{architecture}-random"
    return EmbeddingGemma2Encoder(
        model,
        tokenizer,
        ModelCard(
            name,
            "random weights: only for measuring speed and memory, its vectors are meaningless",
            query_instruction=EMBEDDING_GEMMA2.query_instruction,
        ),
        EmbeddingSpace(name, RANDOM, describe(tokens), model.config.text_config.embedding_dim),
        tokens=tokens,
        batch_size=options.batch_size,
        autocast=autocast,
    )


def random_model(device: torch.device, dtype: torch.dtype, image_token: int = 0) -> Any:
    """An `EmbeddingGemma2Model` without its audio tower, created on the device.

    The shapes of the published config.json are the defaults of transformers. Weights as in
    `random_gme.random_model`.
    """
    from transformers import EmbeddingGemma2Config, EmbeddingGemma2Model

    config = EmbeddingGemma2Config(vision_config={"model_type": "gemma4_vision"})
    config.image_token_id = image_token
    with torch.device(device):
        model = EmbeddingGemma2Model._from_config(  # type: ignore[no-untyped-call]
            config, dtype=dtype, attn_implementation="sdpa"
        )
    if device.type != "meta":
        fill(model, device)
    return model.eval()


def stand_in_tokenizer() -> Any:
    """A small byte-level BPE that, like the real one, keeps common words whole."""
    from transformers import PreTrainedTokenizerFast

    words = f"{EMBEDDING_GEMMA2.query_instruction} {TEXT}"
    tokenizer = train_bpe([words, f" {words}"] * 2, [*_ENDS.values(), *_CONTROLS.values()])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in _ENDS.values()],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        **_ENDS,
        extra_special_tokens=_CONTROLS,
        chat_template=_TEMPLATE,
    )
