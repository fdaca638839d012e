"""The two halves of a block of the vector: one for pictures and one for texts.

A half returns rows (n, dimensions), float32. Rows of pictures always have unit norm: if one block
took more or less of the norm, all others would get less or more. So a block that looks for things
that may be absent keeps a dimension for "none of them", which no text uses. Rows of texts have a
norm of at most 1, the certainty that the text is about what the block sees, and 0 if it is not.
Texts are normalised as a whole later, which changes no ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

Arrays = Mapping[str, NDArray[np.float32]]
"""The arrays of `assets.npz`, by name."""


@dataclass(frozen=True, eq=False)
class VisionOutput:
    """The vision network's output for n pictures of one shape; all float32.

    Attributes
    ----------
    maps : Tensor of shape (n, features, rows, columns)
        The last feature map.
    features : Tensor of shape (n, features)
        The mean of `maps` over rows and columns.
    whole, regions : Tensor of shape (n, classes), (n, regions, classes)
        Class logits of the picture and of its regions.
    likely : Tensor of shape (n, classes)
        The likelihood of each class in the picture (`evidence`).
    inputs : dict of str to Tensor
        By the name of a block, the result of its half's `prepare`.
    """

    maps: Tensor
    features: Tensor
    whole: Tensor
    regions: Tensor
    likely: Tensor
    inputs: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class SentenceOutput:
    """The sentence network's output for n texts.

    Attributes
    ----------
    sentences : Tensor of shape (n, 384), float32, unit norm
    inputs : dict of str to Tensor
        By the name of a block, the result of its half's `prepare`.
    """

    sentences: Tensor
    inputs: Mapping[str, Tensor]


class PictureHalf(nn.Module):
    """The image half of a block; a subclass that needs networks loads them in its constructor."""

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__()

    def prepare(self, images: Sequence[Image.Image]) -> Tensor | None:
        """Inputs of `forward` from decoded RGB pictures, (n, ...), or None."""
        return None

    def forward(self, output: VisionOutput) -> Tensor:
        """Rows of shape (n, dimensions), float32, unit norm."""
        raise NotImplementedError


class TextHalf(nn.Module):
    """The text half of a block; constructed with the first text."""

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__()

    def prepare(self, texts: Sequence[str]) -> Tensor | None:
        """Inputs of `forward` from the texts themselves, (n, ...), or None."""
        return None

    def forward(self, output: SentenceOutput) -> Tensor:
        """Rows of shape (n, dimensions), float32, with a norm of at most 1."""
        raise NotImplementedError


@dataclass(frozen=True)
class Block:
    """An entry of the table of blocks.

    Attributes
    ----------
    name : str
    dimensions : int
    share : float
        Its weight in the inner product of two pictures, relative to the other blocks.
    pictures, texts : callable
        Construct the halves from arrays and dtype; `texts` is None for a block without texts.
    """

    name: str
    dimensions: int
    share: float
    pictures: Callable[[Arrays, torch.dtype], PictureHalf]
    texts: Callable[[Arrays, torch.dtype], TextHalf] | None


def register(module: nn.Module, name: str, array: NDArray[np.float32]) -> None:
    """Register an array as a buffer, which moves with the module but is not saved with it."""
    module.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)), persistent=False)
