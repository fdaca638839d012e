"""Block "concepts": the classes of the vision network, and hypernyms of two or more of them.

In WordNet a dog is an animal and a living thing, so all three words find a picture of a dog.
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

_TEXT_TEMPERATURE = 0.1


class ConceptPictures(PictureHalf):
    hypernym_members: Tensor
    concept_weights: Tensor
    concept_rotation: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        # The first concepts are the classes themselves.
        classes = arrays["concept_members"].shape[1]
        register(self, "hypernym_members", arrays["concept_members"][classes:].T)
        register(self, "concept_weights", arrays["concept_weights"])
        register(self, "concept_rotation", arrays["concept_rotation"])

    def forward(self, output: VisionOutput) -> Tensor:
        hypernyms = output.likely @ self.hypernym_members
        likely = torch.cat([output.likely, hypernyms], dim=1).clamp(0, 1)
        surprising = likely.sqrt() * self.concept_weights
        return F.normalize(F.normalize(surprising, dim=1) @ self.concept_rotation, dim=1)


class ConceptTexts(TextHalf):
    concept_texts: Tensor
    concept_rotation: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        register(self, "concept_texts", arrays["concept_texts"])
        register(self, "concept_rotation", arrays["concept_rotation"])

    def forward(self, output: SentenceOutput) -> Tensor:
        likeness = output.sentences @ self.concept_texts.T
        likely = torch.softmax(likeness / _TEXT_TEMPERATURE, dim=1)
        return F.normalize(F.normalize(likely, dim=1) @ self.concept_rotation, dim=1)
