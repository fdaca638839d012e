"""Inputs to rows in batches: what encoders have in common that compute with a PyTorch module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from imgsearch.encoders.batches import halved, plan_batches, split_batches
from imgsearch.encoders.memory import MOST_ON_PROCESSOR, release_unused, unless_out_of_memory
from imgsearch.errors import EncoderError
from imgsearch.model_card import InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

if TYPE_CHECKING:
    import torch

LONGEST = 32
"""How many times longer than wide a picture may be. A longer one is cropped to its middle: models
that scale the shorter side to 224 pixels would make gigabytes of a line of 20000 pixels."""

WINDOW = 8
"""Batches to look over at a time, where pictures go into the network in different sizes."""


class BatchedEncoder(ABC):
    """The port `BatchEncoder` over a network that takes a batch and gives a tensor of rows.

    Parameters
    ----------
    space : EmbeddingSpace
        Its instruction is what the model is told about pictures. Its dimension may be smaller
        than the model's: the beginning of each vector is kept, at unit norm.
    batch_size : int
        Inputs that go through the network together. Halved, and remembered, when memory runs out.
    alike : bool
        True if the model brings all pictures to one size, so that any can share a batch.
    """

    def __init__(
        self,
        space: EmbeddingSpace,
        card: ModelCard,
        input_size: InputSize,
        batch_size: int = MOST_ON_PROCESSOR,
        alike: bool = True,
    ) -> None:
        self._space = space
        self._card = card
        self._input_size = input_size
        self.batch_size = batch_size
        self._alike = alike

    @abstractmethod
    def rows_of_pictures(self, pictures: Sequence[Pixels]) -> torch.Tensor:
        """A row for each picture, all of them in one go through the network."""

    @abstractmethod
    def rows_of_texts(self, texts: Sequence[str], instruction: str | None) -> torch.Tensor:
        """A row for each text, all of them in one go through the network."""

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    @property
    def card(self) -> ModelCard:
        return self._card

    @property
    def input_size(self) -> InputSize:
        return self._input_size

    @property
    def window(self) -> int:
        """How many pictures `encode_in_batches` would like to have at once.

        Where all are brought to one size, a batch; else enough to sort them by size.
        """
        return self.batch_size * (1 if self._alike else WINDOW)

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        """One row per picture, in order.

        Parameters
        ----------
        images : sequence of ndarray of shape (height, width, 3), uint8
            sRGB, the right way up.

        Returns
        -------
        ndarray of shape (n, dimension), float32, C-order, unit norm

        Raises
        ------
        EncoderError
            The network computed something that is not a number, or there is too little memory
            for a single picture.
        """
        return self._together(len(images), self.encode_in_batches(images))

    def encode_in_batches(self, images: Sequence[Pixels]) -> Iterator[tuple[list[int], Embeddings]]:
        """Places among the pictures, each once, and their rows, as soon as they are computed."""
        areas = [float(image.shape[0] * image.shape[1]) for image in images]
        costs = [1.0] * len(images) if self._alike else areas

        def encode(batch: list[int]) -> torch.Tensor:
            return self.rows_of_pictures([_crop(images[place]) for place in batch])

        return self._stream(encode, plan_batches(costs, self.batch_size))

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        """One row per text, in order; shape, dtype and errors as `encode_images`.

        Parameters
        ----------
        instruction : str or None
            Put before each text, for models that were trained with instructions; None means the
            model's own for queries, if it has one.
        """

        def encode(batch: list[int]) -> torch.Tensor:
            return self.rows_of_texts([texts[place] for place in batch], instruction)

        # Longest first: a text is padded to the longest of its batch.
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        batches = split_batches([order], self.batch_size)
        return self._together(len(texts), self._stream(encode, batches))

    def _together(self, count: int, batches: Iterator[tuple[list[int], Embeddings]]) -> Embeddings:
        rows = np.empty((count, self._space.dimension), np.float32)
        for batch, found in batches:
            rows[batch] = found
        return rows

    def _stream(
        self, encode: Callable[[list[int]], torch.Tensor], batches: list[list[int]]
    ) -> Iterator[tuple[list[int], Embeddings]]:
        while batches:
            tensor = unless_out_of_memory(encode, batches[0])
            if tensor is None:
                batches = self._smaller(batches)
                continue
            batch, *batches = batches
            yield batch, self._checked(tensor.float().cpu().numpy())

    def _smaller(self, batches: list[list[int]]) -> list[list[int]]:
        """The batches that are left, halved because the first of them did not fit."""
        refusal = EncoderError(
            f"there is too little memory for {self._space.model}",
            "Close other programs, choose a smaller model, or use --device cpu.",
        )
        smaller, self.batch_size = halved(batches, refusal)
        release_unused()
        return smaller

    def _checked(self, rows: Embeddings) -> Embeddings:
        if not np.isfinite(rows).all():
            raise EncoderError(
                f"the model {self._space.model} computed values that are not numbers",
                "Try --precision fp32.",
            )
        return normalize(rows[:, : self._space.dimension])


def _crop(pixels: Pixels) -> Pixels:
    """The middle of a picture that is more than `LONGEST` times as long as it is wide."""
    rows, columns = pixels.shape[:2]
    most = LONGEST * min(rows, columns)
    top, left = max(0, rows - most) // 2, max(0, columns - most) // 2
    return pixels[top : top + most, left : left + most]
