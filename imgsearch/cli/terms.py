"""From the words of the command line to the terms of a query."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from imgsearch.cli.pictures import Pictures
from imgsearch.errors import QueryError
from imgsearch.records import Term
from imgsearch.searching.terms import LIKE_WEIGHT, NOT_WEIGHT, checked_text, split_weight, text_term


def query_terms(
    pictures: Pictures,
    words: Sequence[str],
    plus: Sequence[str],
    minus: Sequence[str],
    like: Sequence[str],
    only_words: bool = False,
) -> list[Term]:
    """The terms of `search`: bare words make one text, or name one picture.

    Parameters
    ----------
    only_words : bool
        True where even "owl.jpg" is meant as a text: the name of a file is looked for.
    """
    terms = []
    alone = words[0] if len(words) == 1 and not only_words else ""
    if pictures.means(alone) or pictures.means(alone.rpartition("^")[0]):
        terms.append(pictures.term(*_split_weight(alone, 1.0)))
    elif any(word.strip() for word in words):
        terms.append(Term(text=checked_text(" ".join(words))))
    terms += [_term(pictures, *_split_weight(each, 1.0)) for each in plus]
    for each in minus:
        text, weight = _split_weight(each, NOT_WEIGHT)
        terms.append(_term(pictures, text, -weight))
    terms += [pictures.term(*_split_weight(each, LIKE_WEIGHT)) for each in like]
    return terms


def fused_term(pictures: Pictures, words: Sequence[str], like: Sequence[str]) -> Term:
    """The words with the one picture that they are about, for a model that reads both in one.

    `pictures` gives pixels: a vector that is known would be that of the picture without the words.
    """
    if len(like) != 1 or not any(word.strip() for word in words):
        raise QueryError(
            "--fused is for words with one picture",
            "For example: imgsearch search the same car in red --like car.jpg --fused",
        )
    picture, weight = _split_weight(like[0], 0.0)
    if weight:
        raise QueryError(
            f"a picture that is fused with words has no weight of its own: {like[0]}",
            "Leave the weight out, or leave out --fused.",
        )
    return replace(pictures.term(picture), text=checked_text(" ".join(words)), fused=True)


def picture_or_text(pictures: Pictures, word: str) -> Term:
    """A term for a model alone: a picture of any kind, or else a text."""
    if not word.strip():
        raise QueryError("one of the two texts is empty", "Give a text or a picture file.")
    return _term(pictures, word, 1.0)


def _term(pictures: Pictures, text: str, weight: float) -> Term:
    return pictures.term(text, weight) if pictures.means(text) else text_term(text, weight)


def _split_weight(word: str, default: float) -> tuple[str, float]:
    """As `split_weight`, but a file may have "^" in its name."""
    return (word, default) if os.path.exists(word) else split_weight(word, default)
