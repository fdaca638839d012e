"""Encoding in batches: the base of encoders that run a PyTorch module."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch.encoders.batches import halved, plan_batches, split_batches
from imgsearch.encoders.memory import MAX_CPU_BATCH, release_unused
from imgsearch.encoders.preparation import prepared
from imgsearch.errors import EncoderError
from imgsearch.model_card import InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

if TYPE_CHECKING:
    import torch

    from imgsearch.encoders.engine import Engine

WINDOW_BATCHES = 8
"""Batches to plan at a time."""
WINDOW_PER_CORE = 16
"""Pictures to plan at a time, at least, for each core that computes batches of its own."""


class BatchedEncoder(ABC):
    """The port `BatchEncoder` over a network that maps a batch to a tensor of rows.

    A batch is assembled on the host by `image_features` or `text_features`, in a thread while the
    batch before it is computed, and then computed by `rows`.

    Parameters
    ----------
    space : EmbeddingSpace
        Its instruction is used for pictures. Its dimension may be smaller than the model's: then
        the beginning of each vector is kept, normalised again.
    batch_size : int
        Inputs per pass through the network. Halved for good when memory runs out.
    alike : bool
        True if the model resizes all pictures to one size, so that any can share a batch.
    device : torch.device, optional
        Device of the features of a batch; None is the CPU.
    room : float
        Maximum cost of a batch with its padding, in the unit of `image_cost`.
    core_batch : int
        Pictures of a batch that one core of a processor computes while the others compute theirs;
        such batches are assembled in several threads. 0 divides each operator among the cores.
    """

    not_finite_hint = "Try --precision fp32."

    def __init__(
        self,
        space: EmbeddingSpace,
        card: ModelCard,
        input_size: InputSize,
        batch_size: int = MAX_CPU_BATCH,
        alike: bool = True,
        device: torch.device | None = None,
        room: float = math.inf,
        core_batch: int = 0,
    ) -> None:
        self._space = space
        self._card = card
        self._input_size = input_size
        self.batch_size = batch_size
        self.room = room
        self._alike = alike
        self._device = device
        self._core_batch = core_batch if device is None or device.type == "cpu" else 0

    @abstractmethod
    def image_features(self, images: Sequence[Pixels]) -> dict[str, Any]:
        """Inputs of the network for prepared images; their tensors are copied to the device."""

    @abstractmethod
    def text_features(self, texts: Sequence[str], instruction: str | None) -> dict[str, Any]:
        """Inputs of the network for texts; their tensors are copied to the device."""

    @abstractmethod
    def rows(self, features: dict[str, Any]) -> torch.Tensor:
        """A row for each input, computed in one pass through the network."""

    def image_cost(self, width: int, height: int) -> float:
        """Cost of a picture, by which similar ones share a batch: 1, or its area."""
        return 1.0 if self._alike else float(width * height)

    def text_batches(self, texts: Sequence[str]) -> list[list[int]]:
        """Indices of texts that share a batch, the longest first: a text is padded to the longest
        of its batch."""
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        return split_batches([order], self.batch_size)

    @cached_property
    def _engine(self) -> Engine:
        import torch

        from imgsearch.encoders.engine import Engine

        return Engine(self._device or torch.device("cpu"), self.batch_size)

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

        Enough to sort them by size and, on a GPU, to keep it busy while results are stored; one
        batch on a processor if all pictures are resized to one size, or some for each core.
        """
        if self._apart:
            return max(self.batch_size, WINDOW_PER_CORE * self._engine.cores)
        device = self._device.type if self._device else "cpu"
        one = self._alike and device == "cpu"
        return self.batch_size * (1 if one else WINDOW_BATCHES)

    @property
    def _apart(self) -> bool:
        return self._core_batch > 0 and self._engine.cores > 1

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
        costs = [self.image_cost(image.shape[1], image.shape[0]) for image in images]

        def assemble(batch: list[int]) -> dict[str, Any]:
            return self.image_features([self._prepared(images[place]) for place in batch])

        if self._apart and len(images) > self._core_batch:
            size = max(1, min(self._core_batch, self.batch_size // self._engine.cores))
            return self._stream(assemble, plan_batches(costs, size), apart=True)
        return self._stream(assemble, plan_batches(costs, self.batch_size, self.room))

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        """One row per text, in order; shape, dtype and errors as `encode_images`.

        Parameters
        ----------
        instruction : str or None
            Prepended to each text, for models that were trained with instructions; None is the
            model's own for queries, if it has one.
        """

        def assemble(batch: list[int]) -> dict[str, Any]:
            return self.text_features([texts[place] for place in batch], instruction)

        return self._gather(len(texts), self._stream(assemble, self.text_batches(texts)))

    def _prepared(self, pixels: Pixels) -> Pixels:
        """The picture as the decoder processes deliver it, which have prepared most of them."""
        return prepared(pixels, self._input_size)

    def _gather(self, count: int, batches: Iterator[tuple[list[int], Embeddings]]) -> Embeddings:
        rows = np.empty((count, self._space.dimension), np.float32)
        for batch, vectors in batches:
            rows[batch] = vectors
        return rows

    def _stream(
        self,
        assemble: Callable[[list[int]], dict[str, Any]],
        batches: list[list[int]],
        apart: bool = False,
    ) -> Iterator[tuple[list[int], Embeddings]]:
        while batches:
            run = self._engine.run_apart if apart else self._engine.run
            done = 0
            for batch, rows in run(batches, assemble, self.rows):
                done += 1
                yield batch, self._checked(rows)
            batches = batches[done:]
            if apart and batches:  # one batch at a time takes less memory
                apart, self._core_batch = False, 0
            else:
                batches = self._smaller(batches)

    def _smaller(self, batches: list[list[int]]) -> list[list[int]]:
        """The remaining batches, halved because the first one did not fit in memory."""
        if not batches:
            return []
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
                self.not_finite_hint,
            )
        return normalize(rows[:, : self._space.dimension])
