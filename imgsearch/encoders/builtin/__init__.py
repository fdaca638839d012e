"""The built-in model: works offline, from files in packages that imgsearch depends on.

An image classifier (EfficientNet-lite2) and a sentence model (all-MiniLM-L6-v2) share a space of
WordNet concepts; docs/adr/0003-built-in-model.md explains how and why. Importing this package does
not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsearch.encoders import presets
from imgsearch.encoders.builtin.english import SCRIPTS
from imgsearch.encoders.capabilities import (
    choose_dimension,
    refuse_document_instruction,
    refuse_visual_tokens,
)
from imgsearch.encoders.devices import (
    choose_device,
    choose_weights_dtype,
    limit_threads,
)
from imgsearch.encoders.memory import fitting_batch
from imgsearch.model_card import EncoderOptions, InputSize, ModelCard
from imgsearch.vectors import EmbeddingSpace

if TYPE_CHECKING:
    from imgsearch.ports import Encoder

NAME = "builtin"
MULTILINGUAL = "google/siglip2-base-patch16-256"
"""A model for queries in languages that the built-in one cannot read."""

LANGUAGES = (
    "English; less well Arabic, Chinese, Dutch, French, German, Italian, Japanese, Korean, Polish,"
    " Portuguese, Russian, Spanish, Thai, Turkish"
)
CELL_PIXELS = 32
"""Side of the square that becomes one cell of the vision network's last feature map."""
CELLS = 121
"""Approximate number of cells of a picture, in its own shape."""

SPACE = EmbeddingSpace(NAME, "4", f"about {CELLS} cells of {CELL_PIXELS}", 800)
CARD = ModelCard(
    name=NAME,
    summary="Small, offline, fast on a processor; about 1000 kinds of objects.",
    languages=LANGUAGES,
    scripts=SCRIPTS,
    limits=(
        "Reads English best, and of 14 other languages nouns and little more; knows about 1000"
        " kinds of objects (animals, vehicles, tools, food, furniture) and their categories, eleven"
        " colours, whether there are people, and light and ground (night, sunset, snow, black and"
        " white). Whether a person is a woman, a man, a child or old is a guess from the face. It"
        " does not understand actions, relations, exact numbers, names of people and places, or"
        " text in a picture. For more languages and finer questions use a larger model, such as"
        f" {MULTILINGUAL}."
    ),
    licence="Apache-2.0, MIT and WordNet 3.0 (NOTICE.md)",
    alternative=MULTILINGUAL,
    parameters=32_482_541,
    dimension=SPACE.dimension,
    speed=presets.INSTANT,
)
CARDS = (CARD,)
INPUT_SIZE = InputSize(area=CELLS * CELL_PIXELS**2)
BYTES_PER_IMAGE = 3 * 4 * 96 * CELLS * CELL_PIXELS**2 // 4
"""Approximate memory of one picture in the network: three times its widest layer, in float32."""


def revision(name: str = NAME, source: str = "") -> str:
    """The revision of the model's space.

    Raises
    ------
    EncoderError
        A package that the model needs is not installed.
    """
    _require_packages()
    return SPACE.revision


def load(name: str = NAME, options: EncoderOptions | None = None) -> Encoder:
    """The encoder of the built-in model; its networks are loaded when first needed.

    Parameters
    ----------
    name : str
        Always "builtin".

    Raises
    ------
    EncoderError
        A package that the model needs is not installed, or the options cannot be met. An altered
        package is reported when its weights are first needed.
    """
    from imgsearch.encoders.builtin.encoder import ConceptEncoder, Towers

    options = options or EncoderOptions()
    choose_dimension(CARD, options.dimension, SPACE.dimension)
    refuse_document_instruction(CARD, options.instruction)
    refuse_visual_tokens(CARD, options.visual_tokens)
    _require_packages()
    limit_threads(options.threads)
    device = choose_device(options.device)
    dtype, autocast = choose_weights_dtype(options.precision, device)
    towers = Towers(dtype, autocast).to(device)
    return ConceptEncoder(towers, options.batch_size or fitting_batch(device, BYTES_PER_IMAGE))


def _require_packages() -> None:
    from imgsearch.encoders.builtin import weights

    for package in (
        weights.VISION_PACKAGE,
        weights.TEXT_PACKAGE,
        weights.MULTILINGUAL_PACKAGE,
    ):
        weights.package_folder(package)
