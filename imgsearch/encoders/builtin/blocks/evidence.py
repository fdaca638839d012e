"""How likely each class of the vision network is to be in a picture, from the whole and its parts.

A region that shows one thing clearly counts as much as any other, so a small object is seen that
the average of the features would have drowned.
"""

from __future__ import annotations

import torch
from torch import Tensor

from imgsearch.encoders.builtin.blocks.halves import Seen


def evidence(seen: Seen, temperature: float) -> Tensor:
    """Half from the whole picture, half the mean over its regions.

    Returns
    -------
    Tensor of shape (n, classes), rows sum to 1
    """
    overall = torch.softmax(seen.whole / temperature, dim=-1)
    return (overall + torch.softmax(seen.regions / temperature, dim=-1).mean(1)) / 2
