"""Faces: where they are, how large, and how old and of which sex they look.

Detection is MTCNN (Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks", IEEE Signal Processing Letters 2016): a small network proposes windows at
every size, a second refuses most of them, a third the rest, each moving the frames it keeps. Age
and sex come from a tiny Xception that V. Muehler trained for face-api.js.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from imgsearch.encoders.builtin.people import NO_FACES, Faces
from imgsearch.encoders.builtin.small_networks import Network

Floats = NDArray[np.float32]

_SMALLEST = 18  # pixels; of a picture of 256 a face of 7 %
_SHRINK = 0.709  # from one size of the pyramid to the next: half the area, as in the paper
_WINDOW, _STRIDE = 12, 2  # of the first network
_MOST = 48  # windows that the second network looks at
_SURE = (0.7, 0.7, 0.85)  # of each network; the paper's are lower, and find faces in foliage
_OVERLAP = (0.5, 0.7, 0.7)
_LOOKS_SIDE = 112
_LOOKS_MARGIN = 0.1  # of a frame, on each side: what the network of looks was trained with
_LOOKS_MEAN = (122.782, 117.001, 104.298)


@dataclass(frozen=True)
class Cascade:
    """The networks: `first`, `second` and `third` find faces, `looks` looks at them."""

    first: Network
    second: Network
    third: Network
    looks: Network


def find(cascade: Cascade, pixels: Tensor) -> Faces:
    """The faces of one picture.

    Parameters
    ----------
    pixels : Tensor of shape (3, side, side), float32, 0 to 255
    """
    frames = _propose(cascade.first, (pixels[None] - 127.5) / 128)
    for number, network in ((1, cascade.second), (2, cascade.third)):
        frames = _sift(network, pixels, frames, number)
    if not len(frames):
        return NO_FACES
    years, male = _look(cascade.looks, pixels, frames)
    heights = (frames[:, 3] - frames[:, 1]) / np.float32(pixels.shape[-1])
    return Faces(np.asarray(heights, np.float32), years, male)


def _propose(network: Network, scaled: Tensor) -> Floats:
    """Frames to look at, (n, 4), the surest first: left, top, right, bottom in pixels."""
    side, scale = scaled.shape[-1], _WINDOW / _SMALLEST
    found = []
    while side * scale >= _WINDOW:
        size = (int(side * scale), int(side * scale))
        level = F.interpolate(scaled, size, mode="bilinear", antialias=True, align_corners=False)
        frames, score = _windows(*network(level))
        keep = _distinct(frames, score, _OVERLAP[0])
        found.append((frames[keep] / np.float32(scale), score[keep]))
        scale *= _SHRINK
    frames, score = (np.concatenate(part) for part in zip(*found, strict=True))
    chosen: Floats = frames[_distinct(frames, score, _OVERLAP[1])[:_MOST]]
    return chosen


def _windows(moves: Tensor, logits: Tensor) -> tuple[Floats, Floats]:
    """The windows that the first network takes for faces, moved, and how sure it is of each."""
    probability = logits[0].softmax(0)[1]
    rows, columns = torch.nonzero(probability > _SURE[0], as_tuple=True)
    corners = torch.stack([columns, rows], 1).repeat(1, 2) * _STRIDE
    corners[:, 2:] += _WINDOW
    frames = corners + moves[0][:, rows, columns].T * _WINDOW
    return frames.cpu().numpy(), probability[rows, columns].cpu().numpy()


def _sift(network: Network, pixels: Tensor, frames: Floats, number: int) -> Floats:
    """The frames that a network holds for faces, moved to where it sees them."""
    if not len(frames):
        return frames
    frames = _square(frames)
    patches = (_cut(pixels, frames, 24 * number) - 127.5) / 128
    moves, logits = network(patches)
    score = logits.softmax(1)[:, 1].cpu().numpy()
    sides = np.tile(frames[:, 2:] - frames[:, :2], 2)
    moved: Floats = (frames + moves.cpu().numpy() * sides).astype(np.float32)
    sure = score > _SURE[number]
    moved, score = moved[sure], score[sure]
    keep = _distinct(moved, score, _OVERLAP[2], by_smaller=number == 2)
    chosen: Floats = moved[keep]
    return chosen


def _look(network: Network, pixels: Tensor, frames: Floats) -> tuple[Floats, Floats]:
    """Age in years and likeness to a man, 0 to 1, of each frame: (n,), (n,)."""
    mean = pixels.new_tensor(_LOOKS_MEAN)[:, None, None]
    patches = _cut(pixels, _square(frames, _LOOKS_MARGIN), _LOOKS_SIDE)
    years, sex = network((patches - mean) / 255)
    return years[:, 0].cpu().numpy(), sex.softmax(1)[:, 0].cpu().numpy()


def _square(frames: Floats, margin: float = 0.0) -> Floats:
    middle = (frames[:, :2] + frames[:, 2:]) / 2
    half = (frames[:, 2:] - frames[:, :2]).max(1, keepdims=True) * (0.5 + margin)
    return np.concatenate([middle - half, middle + half], axis=1)


def _cut(pixels: Tensor, frames: Floats, side: int) -> Tensor:
    """What lies in each frame, (n, 3, side, side); black outside the picture."""
    edges = torch.from_numpy(frames).to(pixels.device) / pixels.shape[-1] * 2 - 1
    steps = (torch.arange(side, device=pixels.device) + 0.5) / side
    across = edges[:, 0:1] + steps * (edges[:, 2:3] - edges[:, 0:1])
    down = edges[:, 1:2] + steps * (edges[:, 3:4] - edges[:, 1:2])
    grid = torch.stack(
        [across[:, None].expand(-1, side, -1), down[:, :, None].expand(-1, -1, side)], dim=-1
    )
    every = pixels[None].expand(len(frames), -1, -1, -1)
    return F.grid_sample(every, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _distinct(
    frames: NDArray[Any], score: Floats, most: float, by_smaller: bool = False
) -> list[int]:
    """Non-maximum suppression: indices of the surest frames that overlap no surer one too much.

    Overlap is the common area by that of the union, or by that of the smaller frame.
    """
    order = np.argsort(-score, kind="stable")
    boxes = frames[order]
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    both = np.minimum(area[:, None], area) if by_smaller else area[:, None] + area - common
    close = common > most * both
    alive = np.ones(len(boxes), bool)
    kept = []
    for i in range(len(boxes)):
        if alive[i]:
            kept.append(int(order[i]))
            alive &= ~close[i]
    return kept
