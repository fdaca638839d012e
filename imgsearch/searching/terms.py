"""Reads text terms as users write them: weights, limits, scripts."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from imgsearch.errors import QueryError
from imgsearch.searching.request import Term

NOT_WEIGHT = 0.5
"""Default weight of an excluded term. Half a weight keeps the right pictures and puts nearly
everything excluded behind them; a full weight costs right pictures (docs/SEARCH.md)."""
LIKE_WEIGHT = 0.5
"""Default weight of an example picture beside words: it orders what the words find."""
MAX_TEXT_CHARACTERS = 10_000
"""Limit for a text term; models read a few hundred at most."""

EMPTY_QUERY = ("the query is empty", "Say what to look for: imgsearch search a dog")


def text_term(text: str, weight: float = 1.0) -> Term:
    """A text as a term; raises `QueryError` if it is empty or too long."""
    if not text.strip():
        raise QueryError("a term of the query is empty", "Give it words: 'red car'")
    return Term(text=checked_text(text), weight=weight)


def checked_text(text: str) -> str:
    """The text as valid UTF-8; raises `QueryError` if it is too long."""
    if len(text) > MAX_TEXT_CHARACTERS:
        raise QueryError(
            f"the query has {len(text)} characters; the maximum is {MAX_TEXT_CHARACTERS}",
            "Use a sentence or two.",
        )
    return text.encode("utf-8", "replace").decode()


def build_terms(
    text: str = "",
    plus: Sequence[str] = (),
    minus: Sequence[str] = (),
    images: Sequence[Term] = (),
    like: Sequence[int] = (),
    unlike: Sequence[int] = (),
) -> list[Term]:
    """The terms of a search by words and by pictures, given separately.

    Parameters
    ----------
    text : str
        Words; "" for none.
    plus, minus : sequence of str
        Texts to add and to exclude; each may end with ^WEIGHT.
    images : sequence of Term
        Example pictures.
    like, unlike : sequence of int
        Ids of pictures to add and to exclude.

    Raises
    ------
    QueryError
        A text or a weight that makes no sense.
    """
    terms = [text_term(text)] if text.strip() else []
    terms += [text_term(*split_weight(each, 1.0)) for each in plus]
    for each in minus:
        word, weight = split_weight(each, NOT_WEIGHT)
        terms.append(text_term(word, -weight))
    weight = LIKE_WEIGHT if terms else 1.0
    terms += [replace(term, weight=weight) for term in images]
    weight = LIKE_WEIGHT if terms else 1.0
    terms += [Term(image_id=each, weight=weight) for each in like]
    return terms + [Term(image_id=each, weight=-1.0) for each in unlike]


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
            "To search for its opposite, exclude the term.",
        )
    return text, weight


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
