"""Models with a short name, and where their weights are published.

Parameter counts of the gme models and of EmbeddingGemma 2 are from their model cards; the others
were counted on the architectures of transformers with the published configurations. Dimensions,
licences and languages are from the model cards and papers cited in docs/MODELS.md. Importing this
module imports no model library.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from imgsearch.errors import ImgSearchError
from imgsearch.model_card import ModelCard

GPU = "wants a GPU"
SLOW = "slow without a GPU"
FAST = "fast without a GPU"
INSTANT = "instant"
"""Speed classes, from the slowest to the fastest."""

GME_QUERY = "Find images that visually match this description:"
"""The default instruction of gme for queries."""
GME_DOCUMENT = "You are a helpful assistant."
"""The default instruction of gme for pictures: that of its model card, used in its training."""
QWEN3_QUERY = "Retrieve images or text relevant to the user's query."
"""The default instruction of Qwen3-VL-Embedding for queries: that of the example in its README."""
QWEN3_DOCUMENT = "Represent the user's input."
"""The default instruction of Qwen3-VL-Embedding for pictures: that of its published code."""
TEXT = "-text"
"""Suffix to the name of a two-part preset: its text tower, in the table `[models]`."""

_GME_LIMITS = "Without a GPU it takes seconds for each picture."
_QWEN3_LIMITS = f"Its published weights have not been run with imgsearch. {_GME_LIMITS}"
_QWEN3_LANGUAGES = "More than 30"
_ENGLISH_AND_CHINESE = "English and Chinese; other languages of Qwen2-VL with less certainty"

GME = (
    ModelCard(
        name="gme-qwen2-vl-2b",
        summary="A multimodal language model trained for retrieval; takes instructions.",
        languages=_ENGLISH_AND_CHINESE,
        limits=_GME_LIMITS,
        licence="Apache-2.0",
        hub="Alibaba-NLP/gme-Qwen2-VL-2B-Instruct",
        parameters=2_210_000_000,
        dimension=1536,
        instructions=True,
        query_instruction=GME_QUERY,
        document_instruction=GME_DOCUMENT,
        visual_tokens=1280,
        speed=GPU,
    ),
    ModelCard(
        name="gme-qwen2-vl-7b",
        summary="The larger version of gme-qwen2-vl-2b.",
        languages=_ENGLISH_AND_CHINESE,
        limits=_GME_LIMITS,
        licence="Apache-2.0",
        hub="Alibaba-NLP/gme-Qwen2-VL-7B-Instruct",
        parameters=8_290_000_000,
        dimension=3584,
        instructions=True,
        query_instruction=GME_QUERY,
        document_instruction=GME_DOCUMENT,
        visual_tokens=1280,
        speed=GPU,
    ),
)
SENTENCE = (
    ModelCard(
        name="clip-vit-b-32",
        summary="CLIP, trained on LAION-2B; the smallest model that understands sentences.",
        languages="English",
        limits="Sees 224 x 224 pixels from the middle of a picture, and 77 tokens of a text.",
        licence="MIT",
        hub="laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        parameters=151_277_313,
        dimension=512,
        speed=FAST,
    ),
    ModelCard(
        name="clip-vit-b-32-multilingual",
        summary="OpenAI's CLIP for pictures, and a text model that was aligned to it.",
        languages="More than 50",
        limits=(
            "Sees 224 x 224 pixels from the middle of a picture. The weights for pictures are not"
            " known to be published as safetensors: name a revision or a place that has them"
            " (docs/MODELS.md)."
        ),
        licence="MIT (pictures) and Apache-2.0 (texts)",
        hub="sentence-transformers/clip-ViT-B-32",
        text_hub="sentence-transformers/clip-ViT-B-32-multilingual-v1",
        parameters=286_404_609,
        dimension=512,
        speed=FAST,
    ),
    ModelCard(
        name="siglip2-base",
        summary="SigLIP 2, base: many languages, and pictures of 256 x 256 pixels.",
        languages="Many: trained on texts in 109 languages",
        limits="Squeezes a picture into a square; reads 64 tokens of a text.",
        licence="Apache-2.0",
        hub="google/siglip2-base-patch16-256",
        parameters=375_234_050,
        dimension=768,
        speed=FAST,
    ),
    ModelCard(
        name="siglip2-base-32",
        summary="SigLIP 2, base, in patches of 32 pixels: a quarter of siglip2-base's patches.",
        languages="Many: trained on texts in 109 languages",
        limits="Squeezes a picture into a square; misses smaller things than siglip2-base.",
        licence="Apache-2.0",
        hub="google/siglip2-base-patch32-256",
        parameters=376_856_066,
        dimension=768,
        speed=FAST,
    ),
    ModelCard(
        name="siglip2-so400m",
        summary="SigLIP 2, shape-optimised: as siglip2-base, with finer distinctions, 384 x 384.",
        languages="Many: trained on texts in 109 languages",
        limits="Squeezes a picture into a square; reads 64 tokens of a text.",
        licence="Apache-2.0",
        hub="google/siglip2-so400m-patch14-384",
        parameters=1_136_008_498,
        dimension=1152,
        speed=SLOW,
    ),
)
EMBEDDING_GEMMA2 = ModelCard(
    name="embeddinggemma-2",
    summary="A text encoder and a vision tower, trained together for retrieval.",
    languages="More than 100",
    limits=(
        "Its published weights have not been run with imgsearch. Computed in bfloat16 or float32"
        " only."
    ),
    licence="Apache-2.0",
    hub="google/embeddinggemma-2",
    parameters=740_000_000,
    dimension=768,
    dimensions=(128, 256, 512),
    instructions=True,
    query_instruction="task: search result | query: ",
    visual_tokens=280,
    speed=SLOW,
)
_QWEN3_VL_2B = ModelCard(
    name="qwen3-vl-embedding-2b",
    summary="A multimodal language model trained for retrieval; takes instructions.",
    languages=_QWEN3_LANGUAGES,
    limits=_QWEN3_LIMITS,
    licence="Apache-2.0",
    hub="Qwen/Qwen3-VL-Embedding-2B",
    parameters=2_127_532_032,
    dimension=2048,
    dimensions=range(64, 2049),
    instructions=True,
    query_instruction=QWEN3_QUERY,
    document_instruction=QWEN3_DOCUMENT,
    visual_tokens=1800,
    speed=GPU,
)
QWEN3_VL = (
    _QWEN3_VL_2B,
    replace(
        _QWEN3_VL_2B,
        name="qwen3-vl-embedding-8b",
        summary="The larger version of qwen3-vl-embedding-2b.",
        hub="Qwen/Qwen3-VL-Embedding-8B",
        parameters=8_144_793_840,
        dimension=4096,
        dimensions=range(64, 4097),
    ),
)
_CARDS = {card.name: card for card in (*GME, *SENTENCE, EMBEDDING_GEMMA2, *QWEN3_VL)}
# The image tower of a two-part model is also a model of its own, for English texts.
_OF_HUB = {card.hub.lower(): card.name for card in _CARDS.values() if not card.text_hub}
NAMES = tuple(_CARDS)
PLACES = (*NAMES, *(card.name + TEXT for card in _CARDS.values() if card.text_hub))
"""The names allowed in the table `[models]`."""


def preset(name: str) -> ModelCard | None:
    """The preset of that name, if there is one."""
    return _CARDS.get(name)


def hub_id(name: str) -> str:
    """The hub id of a preset's weights; any other name is returned unchanged."""
    card = preset(name)
    return card.hub if card else name


def short_name(name: str) -> str:
    """The preset that a hub id belongs to, so that two names of a model lead to one space.

    Any other name is returned unchanged.
    """
    return _OF_HUB.get(name.lower(), name)


def require_known(names: Iterable[str], where: str) -> None:
    """Raise `ImgSearchError` unless all names belong to presets or their text towers."""
    for name in names:
        if name not in PLACES:
            near = difflib.get_close_matches(name, PLACES, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(PLACES)}."
            raise ImgSearchError(f"{where} names an unknown model: {name}", hint)
