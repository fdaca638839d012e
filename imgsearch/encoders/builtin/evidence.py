"""The likelihood of each class of the vision network in a picture, from the whole and its regions.

Each region counts equally, so a small object that fills one region is found although the average
of the features would hide it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_REGION_CELLS = 4  # cells of the feature map: about a third of the side of a square picture


def regions_of(maps: Tensor) -> Tensor:
    """Mean features of all regions of 4 x 4 cells, or fewer in a narrow picture.

    Parameters
    ----------
    maps : Tensor of shape (n, features, rows, columns)

    Returns
    -------
    Tensor of shape (n, regions, features)
    """
    kernel = [min(_REGION_CELLS, length) for length in maps.shape[2:]]
    return F.avg_pool2d(maps, kernel, stride=1).flatten(2).transpose(1, 2)


def evidence(whole: Tensor, regions: Tensor) -> Tensor:
    """Mean of the probability in the whole picture and the root mean square over its regions.

    The root mean square lies between the mean, which measures how much of a picture shows a thing,
    and the maximum, which needs only one region and so repeats every error.

    Parameters
    ----------
    whole, regions : Tensor of shape (n, classes), (n, regions, classes)
        Logits.

    Returns
    -------
    Tensor of shape (n, classes)
        Values from 0 to 1; rows sum to 1 or more.
    """
    parts = torch.softmax(regions, dim=-1).square().mean(1).sqrt()
    return (torch.softmax(whole, dim=-1) + parts) / 2
