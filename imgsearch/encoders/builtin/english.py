"""Detects whether a query is English or in another language that the built-in model can read.

The decision is made for the whole query, because single words are ambiguous: "chat" and "pain" are
English and French, "Kind" and "Rat" English and German. In doubt a query counts as English.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Set

_WORD = re.compile(r"[^\W\d_]+")
_ELISION = re.compile(r"\b(?:l|d|qu|un|all|dall|dell|nell|sull)['’]\w", re.IGNORECASE)  # l'arbre
_ENGLISH_WORDS = """
    the of on with and by from near under his their this that these those its behind between for
    without to into
"""
_OTHER_WORDS = """
    der das dem des ein eine einen einem einer eines und mit auf im am vor über zwei drei vom zum
    zur
    bei aus für von ohne neben hinter zwischen ist sind
    le la les un une du de et avec dans sur sous aux en qui deux trois cette devant derrière
    el los las una unos unas del con y por para al que dos tres
    il lo gli uno di della dei delle dello degli nel nella sul sulla sulle sui e che
    à os um uma uns umas das em com ao às dois duas três num numa sob sobre
    het een op onder voor naar uit bij twee drie aan tegen achter
    w z na nad przed przez od ze się dwa dwie trzy jest przy
    bir ve ile üzerinde altında iki üç için
"""
_SCRIPT_NAMES = "CYRILLIC CJK IDEOGRAPHIC HIRAGANA KATAKANA KATAKANA-HIRAGANA HANGUL ARABIC THAI"

_ENGLISH = frozenset(_ENGLISH_WORDS.split())
"""Function words that occur only in English; words that other languages share ("in", "a", "is",
"over", "at") are left out."""
FUNCTION_WORDS = frozenset(_OTHER_WORDS.split())
"""Articles, prepositions and similar words of other languages that are not English words."""
_SCRIPTS = frozenset(_SCRIPT_NAMES.split())
SCRIPTS = ("LATIN", *sorted(_SCRIPTS))
"""Scripts of the model's languages: first words of the Unicode names of their letters."""

_ENDINGS = (
    ("'s", ""), ("s", ""), ("es", ""), ("ies", "y"), ("ed", ""), ("ed", "e"), ("ing", ""),
    ("ing", "e"), ("er", ""), ("er", "e"), ("est", ""), ("est", "e"), ("ers", ""), ("ly", ""),
)  # fmt: skip


def is_foreign(text: str, lexicon: Set[str]) -> bool:
    """True if a query is in a language other than English.

    Letters of another script decide first, then the majority of function words. If these are
    equal, the query is foreign if English does not know most of its words.

    Parameters
    ----------
    text : str
    lexicon : set of str
        English words in lower case, without regular inflections.
    """
    text = unicodedata.normalize("NFKC", text).lower()
    words = _WORD.findall(text)
    if any(_script(letter) in _SCRIPTS for word in words for letter in word):
        return True
    other = sum(word in FUNCTION_WORDS for word in words) + len(_ELISION.findall(text))
    english = sum(word in _ENGLISH for word in words)
    if other != english:
        return other > english
    unknown = [word for word in words if not is_known(word, lexicon)]
    accented = sum(not word.isascii() for word in unknown)
    return 2 * (len(unknown) + accented) > len(words)


def has_function_word(words: Iterable[str]) -> bool:
    """True if one of the words, in lower case, is a function word of any language."""
    return any(word in FUNCTION_WORDS or word in _ENGLISH for word in words)


def _script(letter: str) -> str:
    return "" if letter.isascii() else unicodedata.name(letter, "UNKNOWN").split()[0]


def is_known(word: str, lexicon: Set[str]) -> bool:
    """True if a word in lower case, or its stem, is in the lexicon; accents do not matter."""
    letters = unicodedata.normalize("NFD", word)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))  # "café"
    if len(word) == 1 or plain in lexicon:
        return True
    return any(
        word.endswith(ending) and _stem(word, ending, instead) in lexicon
        for ending, instead in _ENDINGS
    )


def _stem(word: str, ending: str, instead: str) -> str:
    """The stem of an inflected word: "sitting" to "sit", "making" to "make"."""
    stem = word.removesuffix(ending)
    if not instead and len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "ls":
        return stem[:-1]
    return stem + instead
