"""Index to reference scores: what this library gives to queries that do not mean its pictures."""

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
    image_reference,
    outdated,
    text_reference,
)
from imgsearch.ports import Encoder, VectorIndex
from imgsearch.vectors import Embeddings

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog, CatalogWriter

DIGEST = xxhash.xxh3_128_hexdigest("\0".join(TEXTS).encode())


@dataclass(slots=True)
class Calibrator:
    """Draws reference scores anew when a library has changed enough.

    Attributes
    ----------
    index : VectorIndex
        Brought up to the catalog.
    encoder : callable
        Gives the encoder of `index.space`; called once in the life of a space, because the
        vectors of the reference texts are kept.
    """

    catalog: Catalog
    writer: CatalogWriter
    index: VectorIndex
    encoder: Callable[[], Encoder]

    def run(self) -> None:
        """Nothing is done for a small library, or where the references are still good."""
        count = len(self.index)
        if not outdated(self.catalog.references(self.index.space), count):
            return
        if count < MIN_IMAGES:
            self.writer.put_references([])
            return
        sample = self._sample()
        drawn = (text_reference(self._texts(), sample, count), image_reference(sample, count))
        self.writer.put_references([each for each in drawn if each is not None])

    def _sample(self) -> Embeddings:
        ids = self.catalog.vector_ids(self.index.space)
        if len(ids) > MAX_SAMPLE_IMAGES:
            chosen = np.random.default_rng(len(ids)).choice(
                len(ids), MAX_SAMPLE_IMAGES, replace=False
            )
            ids = ids[np.sort(chosen)]
        vectors = self.index.vectors(ids)
        # Neighbours in the order of indexing are often of one event: pairs are to be unrelated.
        return vectors[np.random.default_rng(0).permutation(len(vectors))]

    def _texts(self) -> Embeddings:
        known = self.catalog.reference_texts(self.index.space, DIGEST)
        if known is not None:
            return known
        vectors = self.encoder().encode_texts(TEXTS)
        self.writer.put_reference_texts(DIGEST, vectors)
        return vectors
