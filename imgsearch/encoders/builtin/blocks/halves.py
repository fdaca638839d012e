"""What a block of the vector is made of: one half that looks at pictures, one that reads texts.

A half gives rows (n, dimensions), float32. Rows of pictures have unit norm, always: a picture that
took more or less of its norm from one block would have more or less of all others. So a block that
looks for something that may be absent keeps a dimension for "not there", which no text uses. Rows
of texts have a norm of at most 1: how sure it is that the text is about what the block sees; 0
where the block has nothing to say. Texts are scaled as a whole later, which changes no ranking.
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
class Seen:
    """What the vision network makes of n pictures of one shape; everything float32.

    Attributes
    ----------
    maps : Tensor of shape (n, features, rows, columns)
        The last feature map.
    features : Tensor of shape (n, features)
        Its mean.
    whole, regions : Tensor of shape (n, classes), (n, regions, classes)
        Class logits of the picture, and of its regions.
    likely : Tensor of shape (n, classes)
        How likely each class is to be in the picture (`evidence`).
    read : dict of str to Tensor
        By the name of a block, what its half has prepared of each picture.
    """

    maps: Tensor
    features: Tensor
    whole: Tensor
    regions: Tensor
    likely: Tensor
    read: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Said:
    """What the sentence network makes of n texts.

    Attributes
    ----------
    sentences : Tensor of shape (n, 384), float32, unit norm
    read : dict of str to Tensor
        By the name of a block, what its half has prepared of each text.
    """

    sentences: Tensor
    read: Mapping[str, Tensor]


class PictureHalf(nn.Module):
    """Half of a block; a subclass that needs networks loads them when it is made."""

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__()

    def prepare(self, images: Sequence[Image.Image]) -> Tensor | None:
        """What is read off RGB pictures as they were decoded, (n, ...); None for nothing."""
        return None

    def forward(self, seen: Seen) -> Tensor:
        """Rows of unit norm, (n, dimensions), float32."""
        raise NotImplementedError


class TextHalf(nn.Module):
    """Half of a block; made only when there is a text to encode."""

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__()

    def prepare(self, texts: Sequence[str]) -> Tensor | None:
        """What is read off the words themselves, (n, ...); None for nothing."""
        return None

    def forward(self, said: Said) -> Tensor:
        """Rows with a norm of at most 1, (n, dimensions), float32."""
        raise NotImplementedError


@dataclass(frozen=True)
class Block:
    """One line of the table of blocks.

    Attributes
    ----------
    name : str
    dimensions : int
    share : float
        Its share of an inner product of two pictures, in proportion to those of the others.
    pictures, texts : callable
        Make the halves of arrays and dtype; None for `texts` where no text has anything to say.
    """

    name: str
    dimensions: int
    share: float
    pictures: Callable[[Arrays, torch.dtype], PictureHalf]
    texts: Callable[[Arrays, torch.dtype], TextHalf] | None


def keep(module: nn.Module, name: str, array: NDArray[np.float32]) -> None:
    """An array as a buffer: it moves with the module, and is not saved with it."""
    module.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)), persistent=False)
