"""Finds words of a query that the built-in model cannot know, and suggests spellings.

A word that is not in the English lexicon may still be a name or a word of another language. It is
unknown if it is improbable in every language that the model reads: the tokenizer of the
multilingual network gives it a low probability per letter. The limit was chosen on random letters
and on real queries in fifteen languages: docs/STRENGTH.md, "Unknown words".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING

from imgsearch.encoders.builtin.english import has_function_word, is_foreign, is_known

if TYPE_CHECKING:
    from imgsearch.encoders.builtin.sentencepiece import Pieces

MIN_LOG_PROBABILITY = -4.0
"""Natural logarithm per letter: a word with less is unknown."""

_WORD = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(r"[^\W_]*[^\W\d_][^\W_]*")  # a word, with the digits in it
_MIN_LETTERS_OF_CONTENT = 3  # "a", "an" and the pieces of "x7kq2p" say nothing
_MIN_LETTERS_OF_ONE_EDIT = 5  # every shorter word is one edit away from some other
_MIN_LETTERS_OF_TWO_EDITS = 7
_MIN_CORRECTION_GAIN = 3.0  # of the log-probability


def unknown_words(
    text: str, lexicon: Set[str], load_pieces: Callable[[], Pieces]
) -> tuple[list[str], bool]:
    """The words of a query that the model cannot know.

    Parameters
    ----------
    load_pieces : callable
        Returns the unigram model; called only if the lexicon lacks a word.

    Returns
    -------
    words : list of str
        In the order of the query, with digits between their letters; of a query in another
        language all or none.
    understood : bool
        False if the query has no other content: articles, prepositions and words of one or two
        letters do not count.
    """
    words, tokens = _WORD.findall(text), _TOKEN.findall(text)
    strange = [word for word in words if not is_known(word.lower(), lexicon)]
    if not strange or not text.isascii():  # letters of other scripts are hardly random
        return [], True
    if is_foreign(text, lexicon):
        if has_function_word(map(str.lower, words)) or not _is_improbable(words, load_pieces()):
            return [], True
        return tokens, False
    unknown = {word for word in strange if _is_improbable([word], load_pieces())}
    if not unknown:
        return [], True
    content = [word for word in words if len(word) >= _MIN_LETTERS_OF_CONTENT]
    known = [word for word in content if word not in unknown]
    understood = any(not has_function_word([word.lower()]) for word in known)
    return [token for token in tokens if unknown & {*_WORD.findall(token)}], understood


def _is_improbable(words: Sequence[str], pieces: Pieces) -> bool:
    return _log_probability(" ".join(words), pieces) / sum(map(len, words)) < MIN_LOG_PROBABILITY


def _log_probability(text: str, pieces: Pieces) -> float:
    """The log-probability of the most probable of the usual spellings."""
    return max(map(pieces.log_probability, (text, text.lower(), text.capitalize())))


def correction(text: str, lexicon: Set[str], load_pieces: Callable[[], Pieces]) -> str:
    """The query with misspelled words replaced by similar English ones; "" if there are none.

    A word is misspelled if the lexicon lacks it and one edit (two in a long word) leads to a word
    that it has, counting swapped neighbours as one: Damerau's errors, by the optimal string
    alignment distance. Of several such words the most probable is taken; it must be more probable
    than the word as it stands, which may be one of another language.
    """
    if has_function_word(map(str.lower, _WORD.findall(text))) and is_foreign(text, lexicon):
        return ""
    corrected = _WORD.sub(lambda match: _corrected(match[0], lexicon, load_pieces), text)
    return corrected if corrected != text else ""


def _corrected(word: str, lexicon: Set[str], load_pieces: Callable[[], Pieces]) -> str:
    lower = word.lower()
    if len(word) < _MIN_LETTERS_OF_ONE_EDIT or not word.isascii() or is_known(lower, lexicon):
        return word
    from rapidfuzz import process  # most queries have no such word
    from rapidfuzz.distance import OSA

    limit = 2 if len(word) >= _MIN_LETTERS_OF_TWO_EDITS else 1
    similar = process.extract(
        lower, lexicon, scorer=OSA.distance, processor=None, score_cutoff=limit, limit=None
    )
    if not similar:
        return word
    pieces = load_pieces()
    best = min(similar, key=lambda each: (each[1], -pieces.log_probability(each[0])))[0]
    gain = pieces.log_probability(best) - _log_probability(word, pieces)
    return str(best) if gain > _MIN_CORRECTION_GAIN else word
