"""Samples reference scores: the scores of a library's pictures for unrelated queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from imgsearch.indexing.reference_texts import TEXTS
from imgsearch.indexing.references import (
    MAX_SAMPLE_IMAGES,
    MIN_IMAGES,
    absent_reference,
    answer_log_odds,
    answer_priors,
    best_reference,
    image_reference,
    outdated,
    text_reference,
)
from imgsearch.ports import Encoder, VectorIndex
from imgsearch.records import TextVectors
from imgsearch.vectors import Embeddings

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog, CatalogWriter

DIGEST = xxhash.xxh3_128_hexdigest("\0".join(TEXTS).encode())


@dataclass(slots=True)
class Calibrator:
    """Resamples the reference scores when a library has changed enough.

    Attributes
    ----------
    index : VectorIndex
        In sync with the catalog.
    encoder : callable
        Returns the encoder of `index.space`; called once for each space, because the reference
        texts are stored.
    """

    catalog: Catalog
    writer: CatalogWriter
    index: VectorIndex
    encoder: Callable[[], Encoder]

    def run(self) -> None:
        """Sample if needed; does nothing for a small library or up-to-date references."""
        count = len(self.index)
        if not outdated(self.catalog.references(self.index.space), count):
            return
        if count < MIN_IMAGES:
            self.writer.put_references([])
            return
        sample = self._sample()
        texts = self._texts()
        scores = self.index.search(texts.vectors, 1).scores[:, 0]
        best = best_reference(scores, count)
        references = (
            text_reference(texts.vectors, sample, count),
            image_reference(sample, count),
            best,
            best and absent_reference(answer_log_odds(scores, best, texts.priors), count),
        )
        self.writer.put_references([each for each in references if each is not None])

    def _sample(self) -> Embeddings:
        ids = self.catalog.vector_ids(self.index.space)
        if len(ids) > MAX_SAMPLE_IMAGES:
            rows = np.random.default_rng(len(ids)).choice(
                len(ids), MAX_SAMPLE_IMAGES, replace=False
            )
            ids = ids[np.sort(rows)]
        vectors = self.index.vectors(ids)
        # Consecutively indexed pictures are often of the same event, but pairs must be unrelated.
        return vectors[np.random.default_rng(0).permutation(len(vectors))]

    def _texts(self) -> TextVectors:
        stored = self.catalog.reference_texts(self.index.space, DIGEST)
        if stored is not None:
            return stored
        encoder = self.encoder()
        vectors = encoder.encode_texts(TEXTS)
        texts = TextVectors(vectors, answer_priors(encoder, vectors))
        self.writer.put_reference_texts(DIGEST, texts)
        return texts
