"""What a user should know about a query and the model that reads it."""

from __future__ import annotations

from collections.abc import Sequence

from imgsearch.model_card import ModelCard
from imgsearch.searching.request import Term
from imgsearch.searching.terms import foreign_script


def script_note(card: ModelCard, terms: Sequence[Term]) -> str:
    """For a query in a script that the model cannot read; "" for others."""
    text = " ".join(term.text for term in terms if term.text)
    script = foreign_script(text, card.scripts)
    if not script:
        return ""
    return (
        f"imgsearch: the model {card.name} reads only {card.languages}; the query has "
        f"{script} letters: it can only guess. Index with a multilingual "
        f"model, such as {card.alternative}; see 'imgsearch models'."
    )


def instruction_note(card: ModelCard, terms: Sequence[Term]) -> str:
    """For a search with an instruction that has no use; "" where it has one."""
    if not any(term.text for term in terms):
        return "imgsearch: an instruction is about the words of a query, and this one has none."
    if not card.instructions:
        return (
            f"imgsearch: the model {card.name} was not trained with instructions: do not expect"
            " one to help. See 'imgsearch models'."
        )
    return ""


def gone_note(count: int) -> str:
    """For pictures that were found but are no longer on disk."""
    if count == 1:
        return "1 picture that is no longer on disk is left out. To update: imgsearch index"
    return f"{count} pictures that are no longer on disk are left out. To update: imgsearch index"
