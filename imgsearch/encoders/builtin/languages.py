"""Reads queries in other languages as English words with nearly the same meaning.

docs/adr/0012-languages-of-the-built-in-model.md explains the design. An English query is passed on
unchanged and does not load the network for other languages.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsearch.encoders.builtin import weights
from imgsearch.encoders.builtin.english import FUNCTION_WORDS, is_foreign
from imgsearch.encoders.builtin.vocabulary import correction, unknown_words
from imgsearch.records import QueryReading
from imgsearch.vectors import normalize

if TYPE_CHECKING:
    from imgsearch.encoders.builtin.multilingual import MultilingualNetwork
    from imgsearch.encoders.builtin.sentencepiece import Pieces

SENTENCE_DIMENSIONS = 384
"""Dimensions of the English network's space."""
DESCENT_STEPS = 300
"""Scale of the stored meanings: integers from -127 to 127 that are divided by this."""

_CANDIDATES_PER_QUERY = 12  # words near the whole query
_CANDIDATES_PER_WORD = 2  # words near each word of the query
_MIN_WORD_COSINE = 0.6  # of a candidate to a word of the query
_MIN_GAIN = 0.02  # cosine that another word must add
_MAX_WORDS = 7
_MIN_READING_COSINE = 0.45  # a query without a closer reading stays unchanged
_MIN_COSINE_OF_IMPROBABLE = 0.8  # the same for one that looks like random letters
_MAX_KEPT_READINGS = 1000
_WORD = re.compile(r"[^\W\d_]{2,}")

Floats = NDArray[np.float32]


class Reading(NamedTuple):
    """The meaning of a query: English words, and a row of the English network's space.

    `sentence` is of shape (384,), float32, unit norm; None for an English query.
    """

    english: str
    sentence: Floats | None


def with_one(rows: Floats) -> Floats:
    """Rows with an appended column of ones, for an affine map."""
    return np.concatenate([rows, np.ones((len(rows), 1), rows.dtype)], 1)


class Languages:
    """Reads queries; the arrays and the network are loaded when first needed.

    `read` and `explain` keep their last results: one search asks for both, and for several depths.
    """

    def __init__(self) -> None:
        data = weights.read_words()
        self._archive = np.load(io.BytesIO(data), allow_pickle=False)
        self.read = lru_cache(_MAX_KEPT_READINGS)(self._read)
        self.explain = lru_cache(_MAX_KEPT_READINGS)(self._explain)

    def _read(self, text: str) -> Reading:
        """An English query unchanged, or any other as the English words closest to it.

        A query of unknown words is also unchanged: any reading would be arbitrary.
        """
        if not is_foreign(text, self._lexicon):
            return Reading(text, None)
        meaning = self._network.encode([text])
        english, likeness = self._describe(text, meaning[0])
        improbable = not self._unknown(text)[1]
        if likeness < (_MIN_COSINE_OF_IMPROBABLE if improbable else _MIN_READING_COSINE):
            return Reading(text, None)
        return Reading(english, normalize(with_one(meaning) @ self._map)[0])

    def _explain(self, text: str) -> QueryReading:
        """The reading of a query, and its unknown words."""
        unknown, understood = self._unknown(text)
        if not understood and self.read(text).sentence is not None:
            unknown, understood = [], True
        corrected = correction(text, self._lexicon, lambda: self._pieces)
        return QueryReading(self.read(text).english, tuple(unknown), understood, corrected)

    def _unknown(self, text: str) -> tuple[list[str], bool]:
        return unknown_words(text, self._lexicon, lambda: self._pieces)

    def read_all(self, texts: Sequence[str]) -> tuple[list[str], Floats]:
        """The meanings of n texts: English words, and rows (n, 384) that are zero for English."""
        readings = [self.read(text) for text in texts]
        rows = np.zeros((len(readings), SENTENCE_DIMENSIONS), np.float32)
        for row, reading in zip(rows, readings, strict=True):
            if reading.sentence is not None:
                row[:] = reading.sentence
        return [reading.english for reading in readings], rows

    def _describe(self, text: str, meaning: Floats) -> tuple[str, float]:
        """Words that together are close to a meaning, and their cosine to it.

        A greedy pursuit (Mallat & Zhang 1993) that encodes each whole phrase again, because the
        network is not linear.
        """
        candidates = self._candidates(text, meaning)
        phrase: list[str] = []
        best = -1.0
        while candidates and len(phrase) < _MAX_WORDS:
            phrases = [" ".join([*phrase, word]) for word in candidates]
            likeness = self._network.encode(phrases) @ meaning
            first = int(likeness.argmax())
            if likeness[first] < best + _MIN_GAIN:
                break
            best = float(likeness[first])
            phrase.append(candidates.pop(first))
        return " ".join(phrase), best

    def _candidates(self, text: str, meaning: Floats) -> list[str]:
        """Words of the vocabulary that are close to the whole query or to one of its words."""
        likeness = self._meanings @ meaning
        words = [self._words[i] for i in np.argsort(-likeness)[:_CANDIDATES_PER_QUERY]]
        own = [word for word in _WORD.findall(text) if word.lower() not in FUNCTION_WORDS]
        if len(own) > 1:
            for row in self._network.encode(own) @ self._meanings.T:
                near = np.argsort(-row)[:_CANDIDATES_PER_WORD]
                words += [self._words[i] for i in near if row[i] >= _MIN_WORD_COSINE]
        return list(dict.fromkeys(words))

    @cached_property
    def _network(self) -> MultilingualNetwork:
        from imgsearch.encoders.builtin.multilingual import MultilingualNetwork

        return MultilingualNetwork(self._pieces)

    @cached_property
    def _pieces(self) -> Pieces:
        from imgsearch.encoders.builtin.multilingual import load_pieces

        return load_pieces()

    @cached_property
    def _lexicon(self) -> frozenset[str]:
        return frozenset(self._lines("lexicon"))

    @cached_property
    def _words(self) -> Sequence[str]:
        return self._lines("words")

    @cached_property
    def _meanings(self) -> Floats:
        return np.asarray(self._archive["meanings"], np.float32) / np.float32(DESCENT_STEPS)

    @cached_property
    def _map(self) -> Floats:
        return np.asarray(self._archive["map"], np.float32)

    def _lines(self, name: str) -> list[str]:
        return bytes(self._archive[name]).decode().split("\n")
