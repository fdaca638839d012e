"""The blocks of the built-in model's vector, concatenated in the order of `BLOCKS`.

To add a block, write a module with its halves (see `halves`) and add an entry to `BLOCKS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imgsearch.encoders.builtin.blocks import (
    colours,
    concepts,
    people,
    sentence,
    sights,
    visual,
)
from imgsearch.encoders.builtin.blocks.halves import Arrays, Block, SentenceOutput, VisionOutput

BLOCKS = (
    Block("sentence", 384, 1.0, sentence.SentencePictures, sentence.SentenceTexts),
    Block("concepts", 256, 0.5, concepts.ConceptPictures, concepts.ConceptTexts),
    Block(colours.NAME, colours.DIMENSIONS, 0.3, colours.ColourPictures, colours.ColourTexts),
    Block(people.NAME, people.DIMENSIONS, 0.3, people.PeoplePictures, people.PeopleTexts),
    Block(sights.NAME, sights.DIMENSIONS, 0.4, sights.SightPictures, sights.SightTexts),
    # Texts do not use this block, so its share affects only how pictures compare with pictures.
    Block("visual", 112, 3.0, visual.VisualPictures, None),
)
DIMENSION = sum(block.dimensions for block in BLOCKS)


def slices() -> dict[str, slice]:
    """The slice of each block in a vector, by name."""
    ends = [sum(block.dimensions for block in BLOCKS[: i + 1]) for i in range(len(BLOCKS))]
    return {b.name: slice(end - b.dimensions, end) for b, end in zip(BLOCKS, ends, strict=True)}


class Halves(nn.Module):
    """The halves of all blocks for pictures or for texts.

    Parameters
    ----------
    side : str
        "pictures" or "texts".
    """

    def __init__(self, side: str, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__()
        for block in BLOCKS:
            make = getattr(block, side)
            if make is not None:
                self.add_module(block.name, make(arrays, dtype))

    def prepare(self, inputs: Sequence[Any]) -> dict[str, Tensor]:
        """The prepared inputs of the halves, by the name of the block."""
        parts = {name: half.prepare(inputs) for name, half in self._named().items()}  # type: ignore[operator]
        return {name: rows for name, rows in parts.items() if rows is not None}

    def forward(self, output: VisionOutput | SentenceOutput, count: int) -> Tensor:
        """Rows of the space: (count, `DIMENSION`), float32, unit norm."""
        halves = self._named()
        parts = []
        for block in BLOCKS:
            if block.name in halves:
                parts.append(math.sqrt(block.share) * halves[block.name](output))
            else:
                parts.append(parts[0].new_zeros(count, block.dimensions))
        return F.normalize(torch.cat(parts, dim=1), dim=1)

    def _named(self) -> Mapping[str, nn.Module]:
        return dict(self.named_children())
