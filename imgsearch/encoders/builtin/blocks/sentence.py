"""Block "sentence": the content of a picture in the space of the sentence network.

The image half is ConSE (Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic
Embeddings", ICLR 2014): embeddings of the class names, weighted by the likelihood of each class.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from imgsearch.encoders.builtin.blocks.halves import (
    Arrays,
    PictureHalf,
    SentenceOutput,
    TextHalf,
    VisionOutput,
    register,
)


class SentencePictures(PictureHalf):
    class_texts: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        texts = arrays["class_texts"]
        register(self, "class_texts", texts - texts.mean(0))

    def forward(self, output: VisionOutput) -> Tensor:
        return F.normalize(output.likely.sqrt() @ self.class_texts, dim=1)


class SentenceTexts(TextHalf):
    mean_text: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        register(self, "mean_text", arrays["class_texts"].mean(0))

    def forward(self, output: SentenceOutput) -> Tensor:
        return F.normalize(output.sentences - self.mean_text, dim=1)
