"""Resizes whole pictures, in their own shape, to cells of the vision network.

All pictures get about the same number of cells of 32 x 32 pixels, so they take about the same time,
and no pixel is wasted on margins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from imgsearch.encoders.builtin import CELL_PIXELS, CELLS

_MIN_CELLS = 2  # per side


def cells_of(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of cells for a picture of this shape: about `CELLS`, at least 2 each.

    The shorter side is rounded to whole cells and the longer side follows, so the shape changes by
    at most half a cell of the longer side.
    """
    ratio = max(width, height) / min(width, height)
    shorter = max(_MIN_CELLS, round(math.sqrt(CELLS / ratio)))
    longer = max(shorter, round(shorter * ratio))
    return (shorter, longer) if height <= width else (longer, shorter)


def lay_out(images: Sequence[Image.Image]) -> dict[str, Tensor]:
    """Pixels of RGB pictures, scaled to whole cells.

    Returns
    -------
    dict
        `pixels`: all pictures one after the other, (sum of rows x columns x 3,), uint8;
        `shapes`: rows and columns in pixels, (n, 2), int64.
    """
    arrays = [np.asarray(_scaled(image)) for image in images]
    return {
        "pixels": torch.from_numpy(np.concatenate([array.ravel() for array in arrays])),
        "shapes": torch.tensor([array.shape[:2] for array in arrays]),
    }


def by_shape(pixels: Tensor, shapes: Tensor) -> dict[tuple[int, int], tuple[list[int], Tensor]]:
    """Pictures grouped by shape: shape -> their indices and their pixels (n, h, w, 3)."""
    sizes = [(rows, columns) for rows, columns in shapes.tolist()]
    parts = torch.split(pixels, [rows * columns * 3 for rows, columns in sizes])
    groups: dict[tuple[int, int], list[int]] = {}
    for number, size in enumerate(sizes):
        groups.setdefault(size, []).append(number)
    return {
        size: (numbers, torch.stack([parts[number].view(*size, 3) for number in numbers]))
        for size, numbers in groups.items()
    }


def _scaled(image: Image.Image) -> Image.Image:
    rows, columns = cells_of(*image.size)
    size = (columns * CELL_PIXELS, rows * CELL_PIXELS)
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)
