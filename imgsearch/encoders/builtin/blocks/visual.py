"""Block "visual": how alike two pictures look to the network. No text has anything to say here."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from imgsearch.encoders.builtin.blocks.halves import Arrays, PictureHalf, Seen, keep


class VisualPictures(PictureHalf):
    """Features in the directions in which the classifier's weights differ most."""

    visual_basis: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        keep(self, "visual_basis", arrays["visual_basis"])

    def forward(self, seen: Seen) -> Tensor:
        return F.normalize(seen.features @ self.visual_basis, dim=1)
