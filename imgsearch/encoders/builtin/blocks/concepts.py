"""Block "concepts": the classes of the vision network and what two or more of them are.

A dog is an animal is a living thing (WordNet): a picture of a dog is found by all of these.
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

_TEXT_TEMPERATURE = 0.1


class ConceptPictures(PictureHalf):
    concept_members: Tensor
    concept_weights: Tensor
    concept_rotation: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        keep(self, "concept_members", arrays["concept_members"].T)
        keep(self, "concept_weights", arrays["concept_weights"])
        keep(self, "concept_rotation", arrays["concept_rotation"])

    def forward(self, seen: Seen) -> Tensor:
        likely = (seen.likely @ self.concept_members).clamp(0, 1)
        surprising = likely.sqrt() * self.concept_weights
        return F.normalize(F.normalize(surprising, dim=1) @ self.concept_rotation, dim=1)


class ConceptTexts(TextHalf):
    concept_texts: Tensor
    concept_rotation: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        keep(self, "concept_texts", arrays["concept_texts"])
        keep(self, "concept_rotation", arrays["concept_rotation"])

    def forward(self, said: Said) -> Tensor:
        likeness = said.sentences @ self.concept_texts.T
        likely = torch.softmax(likeness / _TEXT_TEMPERATURE, dim=1)
        return F.normalize(F.normalize(likely, dim=1) @ self.concept_rotation, dim=1)
