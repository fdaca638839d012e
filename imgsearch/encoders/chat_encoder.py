"""The base of encoders whose texts and pictures are written as conversations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from imgsearch.encoders.batch_encoder import BatchedEncoder
from imgsearch.vectors import Embeddings, Pixels

Features = dict[str, Any]
Part = tuple[str | None, Pixels | None]
"""What the user says in one prompt: a text, a picture, or both."""


class ChatEncoder(BatchedEncoder):
    """A `BatchedEncoder` of a model that takes texts, pictures, and texts with a picture."""

    @abstractmethod
    def _features(self, parts: Sequence[Part], instruction: str | None) -> Features:
        """Inputs of the network for prompts with prepared pictures; None is the instruction for
        queries."""

    def fused_batches(self, texts: Sequence[str], images: Sequence[Pixels]) -> list[list[int]]:
        """Indices of texts with their images that share a batch."""
        return self.text_batches(texts)

    def image_features(self, images: Sequence[Pixels]) -> Features:
        """Prompts and pixels, with the document instruction."""
        return self._features([(None, image) for image in images], self.space.instruction)

    def text_features(self, texts: Sequence[str], instruction: str | None) -> Features:
        """Prompts of texts; the default instruction searches."""
        return self._features([(text, None) for text in texts], instruction)

    def encode_fused(
        self, texts: Sequence[str], images: Sequence[Pixels], instruction: str | None = None
    ) -> Embeddings:
        """One vector per text with its image: shape (n, dimension), float32, unit norm."""
        pairs = list(zip(texts, images, strict=True))

        def assemble(batch: list[int]) -> Features:
            parts = [(pairs[place][0], self._prepared(pairs[place][1])) for place in batch]
            return self._features(parts, instruction)

        return self._gather(len(pairs), self._stream(assemble, self.fused_batches(texts, images)))
