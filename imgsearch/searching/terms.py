"""From what a user wrote to the text terms of a query: weights, limits, and what suits them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgsearch.errors import QueryError

if TYPE_CHECKING:
    from imgsearch.records import Term

NOT_WEIGHT = 0.5
"""Of a term that is not wanted. Half as much as a wanted term keeps what is wanted, and puts nearly
all that is not wanted behind it; a full weight costs wanted pictures (docs/SEARCH.md)."""
LIKE_WEIGHT = 0.5
"""Of an example picture beside words: it orders what the words find."""
LONGEST = 10_000
"""Characters of a text term; models read a few hundred at most."""

MIN_STRENGTH = 0.2
MIN_STRENGTH_OF_PICTURES = 0.05
"""What is shown where nothing is said, of a query with words and of one by pictures alone: of the
hits that are meant about one in twenty is lost (docs/STRENGTH.md has the curves)."""


def text_term(text: str, weight: float = 1.0) -> Term:
    """A text as a term; raises `QueryError` if it is empty or too long."""
    from imgsearch.records import Term  # which loads NumPy

    if not text.strip():
        raise QueryError("a term of the query is empty", "Give it words: 'red car'")
    return Term(text=checked_text(text), weight=weight)


def checked_text(text: str) -> str:
    """The text as UTF-8 can hold it; raises `QueryError` if it is too long."""
    if len(text) > LONGEST:
        raise QueryError(
            f"the query has {len(text)} characters; the longest allowed is {LONGEST}",
            "Say it in a sentence or two.",
        )
    return text.encode("utf-8", "replace").decode()


def split_weight(word: str, default: float) -> tuple[str, float]:
    """ "red car^0.5" is "red car" with weight 0.5; without "^" it has the default weight."""
    text, caret, number = word.rpartition("^")
    if not caret:
        return word, default
    try:
        weight = float(number)
    except ValueError:
        return word, default
    if not math.isfinite(weight) or weight <= 0:
        raise QueryError(
            f"the weight of {text!r} must be a positive number, not {number}",
            "To search for its opposite, say that it is not wanted.",
        )
    return text, weight


def least_strength(terms: Sequence[Term]) -> float:
    """How strong a hit has to be where nothing was said: what suits the terms."""
    words = any(term.modality == "text" for term in terms)
    return MIN_STRENGTH if words else MIN_STRENGTH_OF_PICTURES


def foreign_script(text: str, scripts: tuple[str, ...]) -> str:
    """The first script of the text's letters that is not among `scripts`; "" if all are.

    The script is the first word of the letter's Unicode name: "Latin", "Cyrillic", "CJK", ...
    """
    if not scripts:
        return ""
    for letter in filter(str.isalpha, unicodedata.normalize("NFKC", text)):
        script = unicodedata.name(letter, "UNKNOWN").split()[0]
        if script not in (*scripts, "MODIFIER"):
            return script if script == "CJK" else script.capitalize()
    return ""
