"""Queries in other languages, read as English words that mean nearly the same.

docs/adr/0012-languages-of-the-built-in-model.md says how this was chosen. An English query is
passed on as it is, and does not load the network for other languages.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsearch.encoders.builtin import weights
from imgsearch.encoders.builtin.english import LITTLE_WORDS, is_foreign
from imgsearch.vectors import normalize

if TYPE_CHECKING:
    from imgsearch.encoders.builtin.multilingual import MultilingualNetwork

SENTENCE = 384
"""Dimensions of the English network's space."""
STEPS = 300
"""Meanings are stored as whole numbers from -127 to 127, so many to 1."""

_NEAR_THE_WHOLE = 12  # words near the whole query that are tried
_NEAR_A_WORD = 2  # words near each of its words
_ALIKE = 0.6  # cosine from which a word is near a word
_GAIN = 0.02  # cosine that a further word has to bring
_MOST_WORDS = 7
_UNREADABLE = 0.45  # a query whose best reading is further off is left as it is
_WORD = re.compile(r"[^\W\d_]{2,}")

Floats = NDArray[np.float32]
_log = logging.getLogger(__name__)


class Reading(NamedTuple):
    """What a query means: in English words, and as a row of the English network's space.

    `sentence` is of shape (384,), float32, unit norm; None for an English query.
    """

    english: str
    sentence: Floats | None


def with_one(rows: Floats) -> Floats:
    """Rows with a column of ones behind, for a map with a constant part."""
    return np.concatenate([rows, np.ones((len(rows), 1), rows.dtype)], 1)


class Languages:
    """Reads queries; its arrays and its network are loaded when first needed."""

    def __init__(self) -> None:
        data = weights.read_words()
        self._archive = np.load(io.BytesIO(data), allow_pickle=False)

    def read(self, text: str) -> Reading:
        """An English query unchanged; any other as the English words nearest to it."""
        if not is_foreign(text, self._lexicon):
            return Reading(text, None)
        meaning = self._network.encode([text])
        english, likeness = self._describe(text, meaning[0])
        if likeness < _UNREADABLE:
            return Reading(text, None)
        _log.info("the query %r is read as: %s", text, english)
        return Reading(english, normalize(with_one(meaning) @ self._map)[0])

    def read_all(self, texts: Sequence[str]) -> tuple[list[str], Floats]:
        """What n texts mean, in English words, and as rows (n, 384) that are zeros for English."""
        readings = [self.read(text) for text in texts]
        rows = np.zeros((len(readings), SENTENCE), np.float32)
        for row, reading in zip(rows, readings, strict=True):
            if reading.sentence is not None:
                row[:] = reading.sentence
        return [reading.english for reading in readings], rows

    def _describe(self, text: str, meaning: Floats) -> tuple[str, float]:
        """Words whose phrase lies near to a meaning, found one after the other, and how near.

        A greedy pursuit (Mallat & Zhang 1993), but with whole phrases encoded anew, because the
        network is not linear.
        """
        candidates = self._candidates(text, meaning)
        chosen: list[str] = []
        best = -1.0
        while candidates and len(chosen) < _MOST_WORDS:
            phrases = [" ".join([*chosen, word]) for word in candidates]
            likeness = self._network.encode(phrases) @ meaning
            first = int(likeness.argmax())
            if likeness[first] < best + _GAIN:
                break
            best = float(likeness[first])
            chosen.append(candidates.pop(first))
        return " ".join(chosen), best

    def _candidates(self, text: str, meaning: Floats) -> list[str]:
        """Words of the vocabulary near to the whole query or to one of its words."""
        likeness = self._meanings @ meaning
        found = [self._words[i] for i in np.argsort(-likeness)[:_NEAR_THE_WHOLE]]
        own = [word for word in _WORD.findall(text) if word.lower() not in LITTLE_WORDS]
        if len(own) > 1:
            for row in self._network.encode(own) @ self._meanings.T:
                near = np.argsort(-row)[:_NEAR_A_WORD]
                found += [self._words[i] for i in near if row[i] >= _ALIKE]
        return list(dict.fromkeys(found))

    @cached_property
    def _network(self) -> MultilingualNetwork:
        from imgsearch.encoders.builtin.multilingual import MultilingualNetwork

        return MultilingualNetwork()

    @cached_property
    def _lexicon(self) -> frozenset[str]:
        return frozenset(self._lines("lexicon"))

    @cached_property
    def _words(self) -> Sequence[str]:
        return self._lines("words")

    @cached_property
    def _meanings(self) -> Floats:
        return np.asarray(self._archive["meanings"], np.float32) / np.float32(STEPS)

    @cached_property
    def _map(self) -> Floats:
        return np.asarray(self._archive["map"], np.float32)

    def _lines(self, name: str) -> list[str]:
        return bytes(self._archive[name]).decode().split("\n")
