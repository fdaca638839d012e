"""Block "sentence": the content of a picture in the space of the sentence network.

The image half is ConSE (Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic
Embeddings", ICLR 2014): embeddings of the class names, weighted by the likelihood of each class.

Few classes are likely in a picture, and none if it shows something else. So most of the weight
comes from the logits, which also say which classes a picture resembles.
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

_SIMILAR_CLASSES = 50
"""Classes that count by their logit: those with a higher one than the 50th."""
_SIMILAR_WEIGHT = 0.75
"""Weight of the sum by logits; the sum by likelihood has the rest."""


class SentencePictures(PictureHalf):
    """Two sums of the texts of the classes: by logit above the 50th, and by root of likelihood."""

    class_texts: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        texts = arrays["class_texts"]
        register(self, "class_texts", texts - texts.mean(0))

    def forward(self, output: VisionOutput) -> Tensor:
        lowest = output.whole.topk(_SIMILAR_CLASSES, dim=1).values[:, -1:]
        weights = torch.cat([(output.whole - lowest).clamp(min=0), output.likely.sqrt()])
        similar, likely = F.normalize(weights @ self.class_texts, dim=1).chunk(2)
        return F.normalize(torch.lerp(likely, similar, _SIMILAR_WEIGHT), dim=1)


class SentenceTexts(TextHalf):
    mean_text: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        register(self, "mean_text", arrays["class_texts"].mean(0))

    def forward(self, output: SentenceOutput) -> Tensor:
        return F.normalize(output.sentences - self.mean_text, dim=1)
