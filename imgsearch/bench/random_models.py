"""The presets' architectures with random weights, to measure them without their weights.

Such an encoder takes the time and memory of the real one, but its vectors are meaningless; the
revision of its space is `RANDOM`. The shapes are copied from the published config.json files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import decoders, processors

from imgsearch.bench import random_embedding_gemma2 as gemma
from imgsearch.bench import random_gme as gme
from imgsearch.bench import random_qwen3_vl as qwen3_vl
from imgsearch.bench.measurement import TEXT
from imgsearch.encoders import generic
from imgsearch.encoders.devices import choose_weights_dtype
from imgsearch.encoders.generic import SentenceEncoder
from imgsearch.encoders.transformers_logging import no_warnings
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions, ModelCard
from imgsearch.ports import Encoder
from imgsearch.settings import Settings
from imgsearch.vectors import RANDOM, EmbeddingSpace

Shape = dict[str, Any]


def _layers(width: int, inner: int, layers: int, heads: int) -> Shape:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


_BASE = _layers(768, 3072, 12, 12)
_SO400M = _layers(1152, 4304, 27, 16)
_CLIP_TEXT = _layers(512, 2048, 12, 8)
_CLIP_VISION = {**_BASE, "image_size": 224, "patch_size": 32}
_TINY = _layers(32, 64, 1, 2)


def random_encoder(name: str, options: EncoderOptions | None = None) -> Encoder:
    """An encoder of a preset's architecture with random weights.

    Weights are drawn on the device, tensor by tensor; they are the same in each precision, except
    for rounding.

    Parameters
    ----------
    name : str
        One of `ARCHITECTURES`; "gme-cut" is gme-qwen2-vl-2b in full width with two layers per tower
        and a small vocabulary.

    Raises
    ------
    EncoderError
        The architecture is unknown, or the device or the precision is not available.
    """
    if name not in ARCHITECTURES:
        raise EncoderError(
            f"unknown architecture {name!r} for random weights",
            f"Available with random weights: {', '.join(ARCHITECTURES)}.",
        )
    return ARCHITECTURES[name](options or EncoderOptions())


def random_of(settings: Settings, name: str) -> Encoder:
    """An encoder with random weights, as the settings have it."""
    options = EncoderOptions(
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads or None,
        batch_size=settings.batch_size,
        visual_tokens=settings.visual_tokens,
    )
    return random_encoder(name, options)


def clip_config(text: Shape, vision: Shape, dimension: int, tokenizer: Any = None) -> Any:
    """CLIP (Radford et al. 2021, arXiv:2103.00020) with GELU, as trained by LAION."""
    from transformers import CLIPConfig

    common = {"hidden_act": "gelu"}
    tokens = {"max_position_embeddings": 77, "vocab_size": 49408, **_ends(tokenizer)}
    return CLIPConfig(
        text_config=common | tokens | text,
        vision_config=common | vision,
        projection_dim=dimension,
    )


def siglip_config(text: Shape, vision: Shape, dimension: int, tokenizer: Any = None) -> Any:
    """SigLIP 2 of fixed size (Tschannen et al. 2025, arXiv:2502.14786), computed like SigLIP."""
    from transformers import SiglipConfig

    tokens = {"max_position_embeddings": 64, "vocab_size": 256000, **_ends(tokenizer)}
    projection = {"projection_size": dimension}
    return SiglipConfig(text_config=tokens | text | projection, vision_config=vision)


def _ends(tokenizer: Any) -> Shape:
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {name: getattr(tokenizer, name) for name in names} if tokenizer else {}


def _clip(options: EncoderOptions, name: str, text: Shape, vision: Shape, dimension: int) -> Any:
    from transformers import CLIPModel, CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    edge = vision["image_size"]
    pictures: Any = CLIPImageProcessorPil(
        size={"shortest_edge": edge}, crop_size={"height": edge, "width": edge}
    )
    tokenizer = _tokenizer("<|startoftext|>", "<|endoftext|>", "<|endoftext|>", 77)
    processor = CLIPProcessor(  # type: ignore[no-untyped-call]
        image_processor=pictures, tokenizer=tokenizer
    )
    config = partial(clip_config, dimension=dimension, tokenizer=tokenizer)
    return _random_encoder(name, options, processor, CLIPModel, config, text, vision)


def _siglip(options: EncoderOptions, name: str, shape: Shape, edge: int, patch: int) -> Any:
    from transformers import SiglipModel, SiglipProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    pictures: Any = SiglipImageProcessorPil(size={"height": edge, "width": edge})
    tokenizer = _tokenizer("<bos>", "<eos>", "<pad>", 64)
    processor = SiglipProcessor(  # type: ignore[no-untyped-call]
        image_processor=pictures, tokenizer=tokenizer
    )
    vision = {**shape, "image_size": edge, "patch_size": patch}
    config = partial(siglip_config, dimension=shape["hidden_size"], tokenizer=tokenizer)
    return _random_encoder(name, options, processor, SiglipModel, config, shape, vision)


def _random_encoder(
    name: str,
    options: EncoderOptions,
    processor: Any,
    kind: Any,
    config: Callable[..., Any],
    text: Shape,
    vision: Shape,
) -> SentenceEncoder:
    """The encoder that `generic.load` returns for a folder, with its network replaced.

    sentence-transformers loads only folders. So it loads one with the real processor and a network
    of the same class with tiny layers, which is then replaced by the real one on the same device
    and in the same dtype. Nothing large is written or created twice.
    """
    with tempfile.TemporaryDirectory(prefix="imgsearch-") as folder, no_warnings():
        small = {**text, **_TINY, "vocab_size": gme.VOCABULARY}
        kind(config(small, {**vision, **_TINY})).save_pretrained(folder)
        processor.save_pretrained(folder)
        encoder = generic.load(str(Path(folder)), options)
    reader: Any = encoder.model[0]
    like = next(reader.model.parameters())
    with torch.device(like.device):
        network = kind._from_config(
            config(text, vision), dtype=like.dtype, attn_implementation="sdpa"
        )
    gme.fill(network, like.device)
    reader.model = network.eval()
    _, autocast = choose_weights_dtype(options.precision, like.device)
    dimension = generic.dimension_of(encoder.model)
    return SentenceEncoder(
        encoder.model,
        EmbeddingSpace(name, RANDOM, encoder.space.preprocessing, dimension),
        ModelCard(f"{name}-random", "random weights: only for measuring speed and memory"),
        encoder.input_size,
        encoder.batch_size,
        autocast,
        bool(encoder.input_size.short),
    )


def _tokenizer(begin: str, end: str, pad: str, max_tokens: int) -> Any:
    """A byte-level BPE that keeps the words of `measurement.sample_texts` whole, as the real one
    keeps common words."""
    from transformers import PreTrainedTokenizerFast

    specials = list(dict.fromkeys((pad, begin, end)))
    tokenizer = gme.train_bpe([f" {TEXT}"] * 4, specials)
    tokenizer.decoder = decoders.ByteLevel()
    template = f"{begin} $A {end}" if begin != "<bos>" else f"$A {end}"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template,
        special_tokens=[(each, tokenizer.token_to_id(each)) for each in specials],
    )
    inputs = ["input_ids"] if begin == "<bos>" else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=begin,
        eos_token=end,
        unk_token=end,
        pad_token=pad,
        model_max_length=max_tokens,
        model_input_names=inputs,
    )


ARCHITECTURES: dict[str, Callable[[EncoderOptions], Encoder]] = {
    **{name: partial(gme.random_weights, name) for name in gme.ARCHITECTURES},
    **{name: partial(gemma.random_weights, name) for name in gemma.ARCHITECTURES},
    **{name: partial(qwen3_vl.random_weights, name) for name in qwen3_vl.ARCHITECTURES},
    "clip-vit-b-32": partial(
        _clip, name="clip-vit-b-32", text=_CLIP_TEXT, vision=_CLIP_VISION, dimension=512
    ),
    "siglip2-base": partial(_siglip, name="siglip2-base", shape=_BASE, edge=256, patch=16),
    "siglip2-base-32": partial(_siglip, name="siglip2-base-32", shape=_BASE, edge=256, patch=32),
    "siglip2-so400m": partial(_siglip, name="siglip2-so400m", shape=_SO400M, edge=384, patch=14),
}
