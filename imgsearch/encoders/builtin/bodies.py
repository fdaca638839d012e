"""A detector of human bodies, which works without a visible face.

The network is the person detector of BlazePose (Bazarevsky et al., "BlazePose: On-device Real-time
Body Pose tracking", 2020) from MediaPipe: an SSD (Liu et al., ECCV 2016) with anchors on maps of
1/8, 1/16 and 1/32 of the picture. Only its scores are used. It was trained on 224 pixels; at 192 it
detects nearly as much in two thirds of the time (measured).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from imgsearch.encoders.builtin.small_networks import Network

SIDE_PIXELS = 192
_CPU_BATCH_IMAGES = 4


def scores(network: Network, pixels: Tensor) -> Tensor:
    """The score of the most certain body in each picture.

    Parameters
    ----------
    network : Network
        "bodies" of `weights.people_networks`.
    pixels : Tensor of shape (n, 3, side, side), float32, 0 to 255

    Returns
    -------
    Tensor of shape (n,), 0 to 1
    """
    size = (SIDE_PIXELS, SIDE_PIXELS)
    small = F.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False)
    small = (small / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    batch = _CPU_BATCH_IMAGES if small.device.type == "cpu" else len(small)
    return torch.cat([_best_score(network(part)) for part in torch.split(small, batch)])


def _best_score(maps: list[Tensor]) -> Tensor:
    return torch.stack([m.flatten(1).amax(1) for m in maps], 1).amax(1).sigmoid()
