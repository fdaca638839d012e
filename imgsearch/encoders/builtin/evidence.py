"""How likely each class of the vision network is to be in a picture, from the whole and its parts.

A region that shows one thing clearly counts as much as any other, so a small object is seen that
the average of the features would have drowned.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_REGION = 4  # cells of the feature map: about a third of the side of a square picture


def regions_of(maps: Tensor) -> Tensor:
    """Mean features of all regions of 4 x 4 cells, or as far as a narrow picture goes.

    Parameters
    ----------
    maps : Tensor of shape (n, features, rows, columns)

    Returns
    -------
    Tensor of shape (n, regions, features)
    """
    kernel = [min(_REGION, length) for length in maps.shape[2:]]
    return F.avg_pool2d(maps, kernel, stride=1).flatten(2).transpose(1, 2)


def evidence(whole: Tensor, regions: Tensor) -> Tensor:
    """Half the probability in the whole picture, half the root mean square over its regions.

    The root mean square lies between the mean, which asks how much of a picture shows a thing,
    and the maximum, which asks only for one region, and believes every mistake.

    Parameters
    ----------
    whole, regions : Tensor of shape (n, classes), (n, regions, classes)
        Logits.

    Returns
    -------
    Tensor of shape (n, classes)
        0 to 1; rows sum to 1 or more.
    """
    parts = torch.softmax(regions, dim=-1).square().mean(1).sqrt()
    return (torch.softmax(whole, dim=-1) + parts) / 2
