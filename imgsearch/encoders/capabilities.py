"""Options that a model may refuse: the dimension of its vectors, its instruction, its tokens."""

from __future__ import annotations

from collections.abc import Sequence

from imgsearch.errors import EncoderError
from imgsearch.model_card import ModelCard

MIN_VISUAL_TOKENS = 64
"""The smallest maximum number of visual tokens of a picture."""


def choose_dimension(card: ModelCard, dimension: int, full: int) -> int:
    """The length to which vectors are cut.

    The beginning of a vector, normalised again, can replace the whole only if the model was
    trained for that (Kusupati et al., "Matryoshka Representation Learning", 2022).

    Parameters
    ----------
    dimension : int
        The requested length; 0 for the full one.
    full : int
        The length that the model returns.

    Raises
    ------
    EncoderError
        The model was not trained for vectors of that length, or its vectors are shorter.
    """
    if dimension in (0, full) or (dimension < full and dimension in card.dimensions):
        return dimension or full
    shorter = [length for length in card.dimensions if length < full]
    if not shorter:
        raise EncoderError(
            f"{card.name} has vectors of {full} dimensions, and is not known to be trained for"
            f" vectors that are cut to {dimension}",
            "Leave out the dimension, or choose a model whose vectors can be cut: imgsearch models."
            ' A folder lists dimensions in its config.json: "matryoshka_dims": [128, 256].',
        )
    raise EncoderError(
        f"{card.name} has no vectors of {dimension} dimensions",
        f"Choose {describe_dimensions([*shorter, full])}.",
    )


def describe_dimensions(dimensions: Sequence[int]) -> str:
    """The dimensions in words: "64 to 2048" for a range, "128, 256" for a list."""
    if len(dimensions) > 2 and dimensions[-1] - dimensions[0] == len(dimensions) - 1:
        return f"{dimensions[0]} to {dimensions[-1]}"
    return ", ".join(map(str, dimensions))


def refuse_document_instruction(card: ModelCard, instruction: str) -> None:
    """Raise `EncoderError` if an instruction is set for a model that takes none."""
    if instruction:
        raise EncoderError(
            f"{card.name} takes no instruction for pictures",
            "Leave out the document instruction, or choose a model that takes one, such as"
            " gme-qwen2-vl-2b.",
        )


def choose_visual_tokens(maximum: int, largest: int) -> int:
    """The requested maximum number of visual tokens of a picture, checked; 0 for the model's own.

    Parameters
    ----------
    largest : int
        The largest maximum with which a prompt still holds the instruction and a picture.

    Raises
    ------
    EncoderError
        The maximum is below `MIN_VISUAL_TOKENS` or above `largest`.
    """
    if maximum and not MIN_VISUAL_TOKENS <= maximum <= largest:
        raise EncoderError(
            f"a picture cannot have at most {maximum} visual tokens",
            f"Choose from {MIN_VISUAL_TOKENS} to {largest}: --visual-tokens, or visual_tokens in"
            " the settings.",
        )
    return maximum


def refuse_visual_tokens(card: ModelCard, tokens: int) -> None:
    """Raise `EncoderError` if visual tokens are set for a model whose pictures have one size."""
    if tokens:
        raise EncoderError(
            f"{card.name} has no number of visual tokens to choose",
            "Leave out the visual tokens, or choose a model that has them, such as"
            " gme-qwen2-vl-2b.",
        )
