"""The vision tower of Qwen2-VL over a batch of pictures, without waiting for the device.

Computes the same as `Qwen2VLModel.visual` with the same weights, as golden vectors prove. It is a
separate implementation for speed: the sizes of pictures are known on the host, so nothing is read
back from the device; pictures of one size share one call of attention (transformers makes one per
picture and layer); pixels are transferred as uint8 and split into patches on the device; and both
frames of a still picture are equal, so their kernels are summed and one product replaces two.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from imgsearch.encoders.gme.rotary import turn

Size = tuple[int, int]
"""Height and width of a picture in pixels, multiples of 28."""

_ROTARY_BASE = 10000.0
_STEEPNESS = 1.702  # of the quick GELU


class Layout(NamedTuple):
    """Positions and runs of pictures, the same for all blocks.

    Attributes
    ----------
    cos, sin : Tensors of shape (patches, 1, head / 2), float32
    spans : tuple of (pictures, patches of each)
        Runs of consecutive pictures of one size.
    heads : int
    """

    cos: Tensor
    sin: Tensor
    spans: tuple[tuple[int, int], ...]
    heads: int


class Eye(torch.nn.Module):
    """Maps pictures to visual tokens.

    Parameters
    ----------
    tower : Qwen2VisionTransformerPretrainedModel
        The loaded tower; its blocks and merger are used unchanged.
    mean, deviation : sequences of 3 floats
        Mean and deviation of the channels, for pixel values of 0 to 1.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, tower: Any, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.tower = tower
        config = tower.config
        self.patch, self.merge = config.patch_size, config.spatial_merge_size
        self.heads, self.head = config.num_heads, config.embed_dim // config.num_heads
        kernel = tower.patch_embed.proj.weight
        self.register_buffer("mean", _channels(mean, kernel), persistent=False)
        self.register_buffer("deviation", _channels(deviation, kernel), persistent=False)
        self._block = _run_block

    def compile_blocks(self) -> None:
        """Fuse the operations between matrix products with torch.compile, once for all blocks."""
        self._block = torch.compile(_run_block, dynamic=False)

    def forward(self, pixels: Tensor, places: Tensor, sizes: Sequence[Size]) -> Tensor:
        """The visual tokens of all pictures of a batch.

        Parameters
        ----------
        pixels : Tensor of shape (sum of height * width * 3,), uint8
            The pictures one after the other, each (height, width, 3).
        places : Tensor of shape (sum of height * width / 196, 2), int
            Row and column of each patch; see `patch_places`.
        sizes : sequence of Size
            One per picture. Consecutive pictures of one size are computed together.

        Returns
        -------
        Tensor of shape (sum of height * width / 784, hidden size)
        """
        runs = [(size, len(list(same))) for size, same in groupby(sizes)]
        patches = self._patches(pixels, runs)
        weight = self.tower.patch_embed.proj.weight
        kernel = weight.float().sum(dim=2).flatten(1).to(weight.dtype)
        hidden = functional.linear(patches.to(weight.dtype), kernel)
        angles = _rotary_angles(places, self.head)
        spans = tuple((count, h * w // self.patch**2) for (h, w), count in runs)
        layout = Layout(angles.cos(), angles.sin(), spans, self.heads)
        for block in self.tower.blocks:
            hidden = self._block(block, hidden, layout)
        return self.tower.merger(hidden)  # type: ignore[no-any-return]

    def _patches(self, pixels: Tensor, runs: Sequence[tuple[Size, int]]) -> Tensor:
        """Normalised patches of shape (n, 3 * 14 * 14), float32, in the merger's order."""
        lengths = [count * h * w * 3 for (h, w), count in runs]
        parts = []
        for ((h, w), count), flat in zip(runs, torch.split(pixels, lengths), strict=True):
            values = (flat.view(count, h, w, 3).float() / 255 - self.mean) / self.deviation
            side = self.patch * self.merge
            grid = values.view(
                count, h // side, self.merge, self.patch, w // side, self.merge, self.patch, 3
            )
            parts.append(grid.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(-1, 3 * self.patch**2))
        return torch.cat(parts)


def _channels(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32, device=like.device)


@lru_cache(maxsize=256)
def patch_places(size: Size, patch: int = 14, merge: int = 2) -> NDArray[np.int32]:
    """Row and column of each patch of a picture: ndarray of shape (patches, 2), int32.

    In the order of the merger: the patches of one visual token are adjacent.
    """
    rows, columns = (side // patch for side in size)
    grid = np.indices((rows, columns), dtype=np.int32)
    blocks = grid.reshape(2, rows // merge, merge, columns // merge, merge)
    return np.ascontiguousarray(blocks.transpose(1, 3, 2, 4, 0).reshape(-1, 2))


def _rotary_angles(places: Tensor, head: int) -> Tensor:
    """Rotary angles of shape (patches, 1, head / 2), float32.

    Two-dimensional rotary positions (arXiv:2409.12191, section 2.1): the first half of the angles
    depends on the row of a patch, the second half on its column.
    """
    steps = torch.arange(0, head // 2, 2, device=places.device, dtype=torch.float32)
    speed = _ROTARY_BASE ** (-steps / (head // 2))
    return (places[..., None] * speed).flatten(1)[:, None]


def _run_block(block: Any, hidden: Tensor, layout: Layout) -> Tensor:
    """One transformer block over patches of shape (n, width)."""
    hidden = hidden + _attend(block.attn, block.norm1(hidden), layout)
    return hidden + _feed(block.mlp, block.norm2(hidden))


def _feed(mlp: Any, hidden: Tensor) -> Tensor:
    """The feed-forward part, with x * sigmoid(1.702 x) in one launch instead of three.

    That activation is silu(1.702 x) / 1.702, and a matrix product can scale its result at no cost.
    """
    first, second = mlp.fc1, mlp.fc2
    steep = torch.addmm(first.bias * _STEEPNESS, hidden, first.weight.T, alpha=_STEEPNESS)
    active = functional.silu(steep, inplace=True)
    return torch.addmm(second.bias, active, second.weight.T, alpha=1 / _STEEPNESS)


def _attend(attention: Any, hidden: Tensor, layout: Layout) -> Tensor:
    """Attention among the patches of each picture."""
    heads = layout.heads
    projected = attention.qkv(hidden).view(len(hidden), 3, heads, -1)
    turned = turn(projected[:, :2], layout.cos[:, None], layout.sin[:, None])
    packed = (turned[:, 0], turned[:, 1], projected[:, 2])
    start, outputs = 0, []
    for count, patches in layout.spans:
        end = start + count * patches
        query, key, value = (
            part[start:end].view(count, patches, heads, -1).transpose(1, 2) for part in packed
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        outputs.append(mixed.transpose(1, 2).reshape(count * patches, -1))
        start = end
    mixed = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
    return attention.proj(mixed)  # type: ignore[no-any-return]
