"""What a user may ask of a space: its dimension, and what the model is told about pictures."""

from __future__ import annotations

from collections.abc import Sequence

from imgsearch.errors import EncoderError
from imgsearch.model_card import ModelCard


def choose_dimension(card: ModelCard, asked: int, full: int) -> int:
    """How many numbers of a vector are kept.

    The beginning of a vector, brought back to unit length, stands for the whole only where the
    model was trained for that (Kusupati et al., "Matryoshka Representation Learning", 2022).

    Parameters
    ----------
    asked : int
        0 for all of them.
    full : int
        How many the model gives.

    Raises
    ------
    EncoderError
        The model was not trained for vectors of that length, or cannot give them.
    """
    if asked in (0, full) or (asked < full and asked in card.dimensions):
        return asked or full
    shorter = [length for length in card.dimensions if length < full]
    if not shorter:
        raise EncoderError(
            f"{card.name} gives vectors of {full} numbers, and nothing says that it was trained"
            f" to have them cut to {asked}",
            "Leave out the dimension, or choose a model that can; 'imgsearch models' tells. A"
            ' folder says it in its config.json: "matryoshka_dims": [128, 256].',
        )
    raise EncoderError(
        f"{card.name} has no vectors of {asked} numbers",
        f"Choose {describe_dimensions([*shorter, full])}.",
    )


def describe_dimensions(dimensions: Sequence[int]) -> str:
    """In words: "64 to 2048" for a range, "128, 256" for a list."""
    if len(dimensions) > 2 and dimensions[-1] - dimensions[0] == len(dimensions) - 1:
        return f"{dimensions[0]} to {dimensions[-1]}"
    return ", ".join(map(str, dimensions))


def refuse_document_instruction(card: ModelCard, instruction: str) -> None:
    """Raise `EncoderError` if there is an instruction, for a model that cannot be told anything
    about pictures."""
    if instruction:
        raise EncoderError(
            f"{card.name} takes no instruction for pictures",
            "Leave out the document instruction, or choose a model that takes one, such as"
            " gme-qwen2-vl-2b.",
        )
