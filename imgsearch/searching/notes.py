"""Notes for the user about a query and the model that reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgsearch.model_card import ModelCard
from imgsearch.records import QueryReading
from imgsearch.searching.request import Term
from imgsearch.searching.terms import foreign_script


def script_note(card: ModelCard, terms: Sequence[Term]) -> str:
    """Note on a query in a script that the model cannot read; "" for others."""
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
    """Note on an instruction that the model cannot use; "" if it can."""
    if not any(term.text for term in terms):
        return "imgsearch: an instruction is about the words of a query, and this one has none."
    if not card.instructions:
        return (
            f"imgsearch: the model {card.name} was not trained with instructions: do not expect"
            " one to help. See 'imgsearch models'."
        )
    return ""


def gone_note(count: int) -> str:
    """Note on pictures that were found but are no longer on disk."""
    if count == 1:
        return "1 picture that is no longer on disk is left out. To update: imgsearch index"
    return f"{count} pictures that are no longer on disk are left out. To update: imgsearch index"


def clusters_note(count: int) -> str:
    """Note on a filter by cluster, for pictures that are not in clusters yet."""
    pictures = "1 picture is" if count == 1 else f"{count} pictures are"
    return f"{pictures} not in clusters yet. To let new ones join: imgsearch clusters"


def measures_note(count: int) -> str:
    """Note on a filter or an order by a measure, for pictures without measures."""
    pictures = "1 picture has" if count == 1 else f"{count} pictures have"
    return f"{pictures} not been measured. To measure once: imgsearch index --measure"


def damaged_note(count: int) -> str:
    """Note on pictures whose row in the catalog cannot be read."""
    pictures = "1 picture is" if count == 1 else f"{count} pictures are"
    return (
        f"{pictures} left out, because a value in the catalog is damaged:"
        " 'imgsearch doctor' names the rows."
    )


def reading_notes(
    readings: Mapping[str, QueryReading], refused: bool, named: bool
) -> tuple[str, ...]:
    """Notes on a query that the model reads differently from what was typed.

    Parameters
    ----------
    readings : mapping of text to QueryReading
        For each text of the query.
    refused : bool
        Nothing was found by meaning.
    named : bool
        Pictures have the words in names or texts, so these are not typing errors.
    """
    notes = []
    for text, reading in readings.items():
        if reading.unknown:
            words = ", ".join(f"'{word}'" for word in reading.unknown)
            end = "" if reading.understood else ", and nothing else in the query"
            notes.append(f"The model does not know {words}{end}.")
        elif reading.text != text and not refused:
            notes.append(f"Read as: {reading.text}.")
        if reading.suggestion and not named:
            notes.append(f"Did you mean: {reading.suggestion}?")
    return tuple(notes)
