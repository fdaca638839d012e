"""Folding: texts that differ only in case, accents, width or composition become equal.

Names, cameras, labels and words are folded before they are stored, and queries and filters in the
same way before they are compared.
"""

from __future__ import annotations

import re
import unicodedata

_UNPRINTABLE = re.compile("[\0\ud800-\udfff]")
_VARIANT = re.compile("LATIN SMALL LETTER ([A-Z]) WITH ")
_OTHER_LETTERS = {"æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ŋ": "ng", "ı": "i", "ĸ": "k",
                  "ɉ": "j", "ə": "e", "\u0640": ""}  # fmt: skip
"""Letters that neither Unicode nor their names take apart, and the Arabic elongation."""

_ACCENT_OWNERS = ("COMBINING", "HEBREW", "ARABIC", "SYRIAC", "VARIATION", "CYRILLIC")
_LETTERS_WITH_MARKS = {unicodedata.normalize("NFD", letter): letter for letter in "йўїѓќ"}
"""Letters of their own, whose mark is not an accent: й is as far from и as j is from i."""
_WITH_MARKS = re.compile("|".join(_LETTERS_WITH_MARKS))

_WIDE_WILDCARDS = re.compile("([\uff0a\uff1f\uff3b\ufe16\ufe47\ufe56\ufe61\u2047\u2048\u2049])")
"""Full-width and other variants of * ? [ are kept: made narrow, they would be wildcards."""


def folded(text: str) -> str:
    """Fold text for comparison: "Łódź" and "LODZ" become "lodz", "Ёлка" becomes "елка".

    Compatibility decomposition (NFKD) and full case folding (The Unicode Standard, 3.13), then
    without accents, and composed again (NFC). Marks that carry meaning stay: vowel signs and tones
    of the scripts of India and South-East Asia, voicing in Japanese, and the breve of "й". A byte
    of a file name that is not UTF-8 becomes U+FFFD, so that it counts as one character.
    """
    plain = _UNPRINTABLE.sub("\ufffd", text)
    if plain.isascii():
        return plain.lower()
    if _WIDE_WILDCARDS.search(plain):
        return "".join(
            part if _WIDE_WILDCARDS.match(part) else folded(part)
            for part in _WIDE_WILDCARDS.split(plain)
        )
    decomposed = unicodedata.normalize("NFKD", plain).casefold()
    decomposed = unicodedata.normalize("NFKD", decomposed).casefold()
    kept = _WITH_MARKS.sub(lambda match: _LETTERS_WITH_MARKS[match[0]], decomposed)
    return unicodedata.normalize("NFC", kept.translate(_BASES)).replace("l·l", "ll")


class _Bases(dict[int, str]):
    """Character -> the letter without its accent or stroke, found when it is first needed."""

    def __missing__(self, code: int) -> str:
        self[code] = base = _base(chr(code))
        return base


def _base(char: str) -> str:
    if char in _OTHER_LETTERS:
        return _OTHER_LETTERS[char]
    category, name = unicodedata.category(char), unicodedata.name(char, "")
    if category in ("Mn", "Me"):
        accent = name.startswith(_ACCENT_OWNERS) and "KATAKANA" not in name
        return "" if accent else char
    if category == "Cf":  # soft hyphens, joiners, directions
        return ""
    variant = _VARIANT.match(name)
    return variant[1].lower() if variant else char


_BASES = _Bases()
