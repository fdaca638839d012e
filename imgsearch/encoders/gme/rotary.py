"""Rotary positions (Su et al. 2021, arXiv:2104.09864), as used in both towers of Qwen2-VL."""

from __future__ import annotations

import torch
from torch import Tensor


def turn(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + head / 2), in float32.

    Parameters
    ----------
    vectors : Tensor of shape (..., head)
    cos, sin : Tensors that broadcast to (..., head / 2), float32

    Returns
    -------
    Tensor of the shape and dtype of `vectors`, contiguous
    """
    first, second = vectors.chunk(2, dim=-1)
    if torch.compiler.is_compiling():
        turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
        return turned.to(vectors.dtype)
    # The same with fewer float32 intermediates: without fusion, memory traffic dominates.
    out = torch.empty(vectors.shape, dtype=vectors.dtype, device=vectors.device)
    left, right = out.chunk(2, dim=-1)
    torch.addcmul(first * cos, second, sin, value=-1, out=left)
    torch.addcmul(second * cos, first, sin, out=right)
    return out
