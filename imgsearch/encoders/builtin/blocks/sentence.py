"""Block "sentence": what a picture shows as the sentence network would place it.

The half for pictures is ConSE (Norouzi et al., "Zero-Shot Learning by Convex Combination of
Semantic Embeddings", ICLR 2014): the texts of the classes, weighted by how likely each is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from imgsearch.encoders.builtin.blocks.halves import (
    Arrays,
    PictureHalf,
    Said,
    Seen,
    TextHalf,
    keep,
)


class SentencePictures(PictureHalf):
    class_texts: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        texts = arrays["class_texts"]
        keep(self, "class_texts", texts - texts.mean(0))

    def forward(self, seen: Seen) -> Tensor:
        return F.normalize(seen.likely.sqrt() @ self.class_texts, dim=1)


class SentenceTexts(TextHalf):
    mean_text: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        keep(self, "mean_text", arrays["class_texts"].mean(0))

    def forward(self, said: Said) -> Tensor:
        return F.normalize(said.sentences - self.mean_text, dim=1)
