"""Reads a SentencePiece model file: its pieces, and a tokenizer of the package tokenizers.

The file is a protocol buffer (sentencepiece_model.proto of SentencePiece; wire format:
protobuf.dev, "Encoding"). We read the pieces with their scores, and the table of the normaliser.
The normaliser is field 3 in the only model that we read, which predates the current layout.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tokenizers import Regex, Tokenizer
from tokenizers.models import Unigram
from tokenizers.normalizers import Precompiled, Replace, Sequence, Strip
from tokenizers.pre_tokenizers import Metaspace

_PIECES, _NORMALISER = 1, 3
_TEXT, _SCORE, _CHARACTER_MAP = 1, 2, 2
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


_UNKNOWN_LOG_PROBABILITY = -20.0


@dataclass(frozen=True, slots=True)
class Pieces:
    """A unigram model: its tokenizer, and the natural log-probability of each piece."""

    tokenizer: Tokenizer
    scores: Mapping[str, float]

    def log_probability(self, text: str) -> float:
        """The log-probability of the best segmentation of a text."""
        pieces = self.tokenizer.encode(text, add_special_tokens=False).tokens
        return sum(self.scores.get(piece, _UNKNOWN_LOG_PROBABILITY) for piece in pieces)


def read_pieces(data: bytes) -> Pieces:
    """The model in a file, whose first piece stands for unknown characters."""
    pieces, character_map = [], b""
    for number, value in _fields(data):
        fields = dict(_fields(value)) if number in {_PIECES, _NORMALISER} else {}
        if number == _PIECES:
            score = struct.unpack("<f", fields[_SCORE])[0] if _SCORE in fields else 0.0
            pieces.append((fields[_TEXT].decode(), score))
        elif number == _NORMALISER:
            character_map = fields[_CHARACTER_MAP]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=0))
    tokenizer.normalizer = Sequence(
        [Precompiled(character_map), Strip(), Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = Metaspace(split=False)
    return Pieces(tokenizer, dict(pieces))


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and value of each field of a message; the value of a varint is empty."""
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            length, position = 0, _read_varint(data, position)[1]
        elif kind == _BYTES:
            length, position = _read_varint(data, position)
        else:
            length = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}[kind]
        yield key >> 3, data[position : position + length]
        position += length


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A varint (seven bits a byte, low ones first), and the position after it."""
    number = shift = 0
    while True:
        byte = data[position]
        number |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return number, position
