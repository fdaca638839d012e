"""Faces in a picture: their position, size, apparent age and apparent sex.

Detection is MTCNN (Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks", IEEE Signal Processing Letters 2016): a small network proposes windows of
all sizes, a second rejects most of them and a third more, each adjusting the frames that it keeps.
Age and sex come from a tiny Xception that V. Muehler trained for face-api.js.
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

_MIN_FACE_PIXELS = 18  # 7 % of the side of 256
_PYRAMID_RATIO = 0.709  # between two levels of the pyramid: half the area, as in the paper
_WINDOW, _STRIDE = 12, 2  # of the first network
_MAX_WINDOWS = 48  # input of the second network
_THRESHOLDS = (0.7, 0.7, 0.85)  # per network; the paper's are lower and find faces in foliage
_MAX_OVERLAP = (0.5, 0.7, 0.7)
_LOOKS_SIDE_PIXELS = 112
_LOOKS_MARGIN_SHARE = 0.1  # on each side of a frame, as in the training of this network
_LOOKS_MEAN = (122.782, 117.001, 104.298)


@dataclass(frozen=True)
class Cascade:
    """The networks: `first`, `second` and `third` find faces, `looks` judges age and sex."""

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
        frames = _refine(network, pixels, frames, number)
    if not len(frames):
        return NO_FACES
    years, male = _age_and_sex(cascade.looks, pixels, frames)
    heights = (frames[:, 3] - frames[:, 1]) / np.float32(pixels.shape[-1])
    return Faces(np.asarray(heights, np.float32), years, male)


def _propose(network: Network, scaled: Tensor) -> Floats:
    """Candidate frames (n, 4), best first: left, top, right, bottom in pixels."""
    side, scale = scaled.shape[-1], _WINDOW / _MIN_FACE_PIXELS
    levels = []
    while side * scale >= _WINDOW:
        size = (int(side * scale), int(side * scale))
        level = F.interpolate(scaled, size, mode="bilinear", antialias=True, align_corners=False)
        frames, score = _windows(*network(level))
        keep = _distinct(frames, score, _MAX_OVERLAP[0])
        levels.append((frames[keep] / np.float32(scale), score[keep]))
        scale *= _PYRAMID_RATIO
    frames, score = (np.concatenate(part) for part in zip(*levels, strict=True))
    best: Floats = frames[_distinct(frames, score, _MAX_OVERLAP[1])[:_MAX_WINDOWS]]
    return best


def _windows(moves: Tensor, logits: Tensor) -> tuple[Floats, Floats]:
    """Adjusted windows that the first network takes for faces, and their probabilities."""
    probability = logits[0].softmax(0)[1]
    rows, columns = torch.nonzero(probability > _THRESHOLDS[0], as_tuple=True)
    corners = torch.stack([columns, rows], 1).repeat(1, 2) * _STRIDE
    corners[:, 2:] += _WINDOW
    frames = corners + moves[0][:, rows, columns].T * _WINDOW
    return frames.cpu().numpy(), probability[rows, columns].cpu().numpy()


def _refine(network: Network, pixels: Tensor, frames: Floats, number: int) -> Floats:
    """The frames that a network accepts as faces, adjusted."""
    if not len(frames):
        return frames
    frames = _square(frames)
    patches = (_cut(pixels, frames, 24 * number) - 127.5) / 128
    moves, logits = network(patches)
    score = logits.softmax(1)[:, 1].cpu().numpy()
    sides = np.tile(frames[:, 2:] - frames[:, :2], 2)
    moved: Floats = (frames + moves.cpu().numpy() * sides).astype(np.float32)
    accepted = score > _THRESHOLDS[number]
    moved, score = moved[accepted], score[accepted]
    keep = _distinct(moved, score, _MAX_OVERLAP[2], by_smaller=number == 2)
    kept: Floats = moved[keep]
    return kept


def _age_and_sex(network: Network, pixels: Tensor, frames: Floats) -> tuple[Floats, Floats]:
    """Age in years and probability of a man, 0 to 1, of each frame: (n,), (n,)."""
    mean = pixels.new_tensor(_LOOKS_MEAN)[:, None, None]
    patches = _cut(pixels, _square(frames, _LOOKS_MARGIN_SHARE), _LOOKS_SIDE_PIXELS)
    years, sex = network((patches - mean) / 255)
    return years[:, 0].cpu().numpy(), sex.softmax(1)[:, 0].cpu().numpy()


def _square(frames: Floats, margin: float = 0.0) -> Floats:
    middle = (frames[:, :2] + frames[:, 2:]) / 2
    half = (frames[:, 2:] - frames[:, :2]).max(1, keepdims=True) * (0.5 + margin)
    return np.concatenate([middle - half, middle + half], axis=1)


def _cut(pixels: Tensor, frames: Floats, side: int) -> Tensor:
    """The content of each frame, (n, 3, side, side); black outside the picture."""
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
    frames: NDArray[Any], score: Floats, max_overlap: float, by_smaller: bool = False
) -> list[int]:
    """Non-maximum suppression: indices of frames that do not overlap a better one too much.

    Overlap is the common area divided by that of the union or of the smaller frame.
    """
    order = np.argsort(-score, kind="stable")
    boxes = frames[order]
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    both = np.minimum(area[:, None], area) if by_smaller else area[:, None] + area - common
    close = common > max_overlap * both
    alive = np.ones(len(boxes), bool)
    kept = []
    for i in range(len(boxes)):
        if alive[i]:
            kept.append(int(order[i]))
            alive &= ~close[i]
    return kept
