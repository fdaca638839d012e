"""Encoding in batches: the base of encoders that run a PyTorch module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from imgsearch.encoders.batches import halved, plan_batches, split_batches
from imgsearch.encoders.memory import MAX_CPU_BATCH, release_unused, unless_out_of_memory
from imgsearch.encoders.preparation import within_aspect
from imgsearch.errors import EncoderError
from imgsearch.model_card import InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

if TYPE_CHECKING:
    import torch

WINDOW_BATCHES = 8
"""Batches to sort by size at a time, if pictures enter the network in different sizes."""


class BatchedEncoder(ABC):
    """The port `BatchEncoder` over a network that maps a batch to a tensor of rows.

    Parameters
    ----------
    space : EmbeddingSpace
        Its instruction is used for pictures. Its dimension may be smaller than the model's: then
        the beginning of each vector is kept, normalised again.
    batch_size : int
        Inputs per pass through the network. Halved for good when memory runs out.
    alike : bool
        True if the model resizes all pictures to one size, so that any can share a batch.
    """

    def __init__(
        self,
        space: EmbeddingSpace,
        card: ModelCard,
        input_size: InputSize,
        batch_size: int = MAX_CPU_BATCH,
        alike: bool = True,
    ) -> None:
        self._space = space
        self._card = card
        self._input_size = input_size
        self.batch_size = batch_size
        self._alike = alike

    @abstractmethod
    def image_rows(self, images: Sequence[Pixels]) -> torch.Tensor:
        """A row for each picture, computed in one pass through the network."""

    @abstractmethod
    def text_rows(self, texts: Sequence[str], instruction: str | None) -> torch.Tensor:
        """A row for each text, computed in one pass through the network."""

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
        """Pictures to pass to `encode_in_batches` at a time.

        One batch if all are resized to one size; else enough to sort them by size.
        """
        return self.batch_size * (1 if self._alike else WINDOW_BATCHES)

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
            The network computed values that are not numbers, or memory is too small for a single
            picture.
        """
        return self._gather(len(images), self.encode_in_batches(images))

    def encode_in_batches(self, images: Sequence[Pixels]) -> Iterator[tuple[list[int], Embeddings]]:
        """Yield indices of the pictures, each once, with their rows as soon as computed."""
        areas = [float(image.shape[0] * image.shape[1]) for image in images]
        costs = [1.0] * len(images) if self._alike else areas

        def encode(batch: list[int]) -> torch.Tensor:
            return self.image_rows([self._prepared(images[place]) for place in batch])

        return self._stream(encode, plan_batches(costs, self.batch_size))

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        """One row per text, in order; shape, dtype and errors as `encode_images`.

        Parameters
        ----------
        instruction : str or None
            Prepended to each text, for models that were trained with instructions; None is the
            model's own for queries, if it has one.
        """

        def encode(batch: list[int]) -> torch.Tensor:
            return self.text_rows([texts[place] for place in batch], instruction)

        # Longest first: a text is padded to the longest of its batch.
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        batches = split_batches([order], self.batch_size)
        return self._gather(len(texts), self._stream(encode, batches))

    def _prepared(self, pixels: Pixels) -> Pixels:
        """The picture as the decoder processes deliver it, which have prepared most of them."""
        steps, (rows, columns) = self._input_size.preparation, pixels.shape[:2]
        if steps is None:
            return _middle(pixels)
        if steps.final_size(columns, rows) == (columns, rows):
            return pixels
        return np.asarray(steps.apply(Image.fromarray(pixels)))

    def _gather(self, count: int, batches: Iterator[tuple[list[int], Embeddings]]) -> Embeddings:
        rows = np.empty((count, self._space.dimension), np.float32)
        for batch, vectors in batches:
            rows[batch] = vectors
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
        """The remaining batches, halved because the first one did not fit in memory."""
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


def _middle(pixels: Pixels) -> Pixels:
    """The part of the picture that counts; see `preparation.within_aspect`."""
    rows, columns = pixels.shape[:2]
    width, height = within_aspect(columns, rows)
    top, left = (rows - height) // 2, (columns - width) // 2
    return pixels[top : top + height, left : left + width]
