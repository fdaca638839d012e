"""An encoder without a start-up time: random projections of pixels, installed as a plug-in.

With this folder on PYTHONPATH, `imgsearch --model cheap` is otherwise the real program. It uses
integer arithmetic, so that a picture has the same vector in every process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from imgsearch.model_card import EncoderOptions, InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

GRID = 8
DIMENSION = 64
SPACE = EmbeddingSpace("cheap", "1", f"{GRID}x{GRID} pixels", DIMENSION)
CARD = ModelCard("cheap", "Pixels, projected at random.")
CARDS = [CARD]
PROJECTION = np.random.default_rng(1).integers(-999, 1000, (GRID * GRID * 3, DIMENSION))


class CheapEncoder:
    """An `Encoder` whose vectors distinguish pictures and mean nothing."""

    space = SPACE
    card = CARD
    input_size = InputSize(short=32)

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        sampled = [_sample(image) @ PROJECTION for image in images]
        return normalize(np.array(sampled).reshape(-1, DIMENSION))

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        seeds = [
            int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts
        ]
        drawn = [np.random.default_rng(seed).standard_normal(DIMENSION) for seed in seeds]
        return normalize(np.array(drawn).reshape(-1, DIMENSION))


def _sample(image: Pixels) -> np.ndarray:
    rows, columns = (np.linspace(0, n - 1, GRID).astype(int) for n in image.shape[:2])
    return image[np.ix_(rows, columns)].astype(np.int64).ravel() - 128


def load(name: str, options: EncoderOptions) -> CheapEncoder:
    return CheapEncoder()


def revision(name: str) -> str:
    return SPACE.revision
