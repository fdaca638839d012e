"""The text tower: the sentence network, and the text halves of the blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imgsearch.encoders.builtin import weights
from imgsearch.encoders.builtin.blocks import Halves
from imgsearch.encoders.builtin.blocks.halves import SentenceOutput
from imgsearch.encoders.builtin.languages import Languages
from imgsearch.encoders.builtin.minilm import SentenceNetwork
from imgsearch.encoders.devices import autocasting


class TextTower(nn.Module):
    """Maps texts to rows of the common space."""

    def __init__(self, dtype: torch.dtype, autocast: torch.dtype | None = None) -> None:
        super().__init__()
        self._autocast = autocast
        self.network = SentenceNetwork().to(dtype)
        self.languages = Languages()
        self.halves = Halves("texts", weights.load_assets(), dtype)

    def prepare(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids and mask of n texts, rows of foreign texts, and inputs of the blocks."""
        english, translated = self.languages.read_all(texts)
        inputs = self.network.tokenize(english) | self.halves.prepare(english)
        return inputs | {"translated": torch.from_numpy(translated)}

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, translated: Tensor, **inputs: Tensor
    ) -> Tensor:
        """Rows of shape (n, dimension), float32, unit norm."""
        with autocasting(input_ids.device, self._autocast):
            sentences = self.network(input_ids, attention_mask)
        foreign = translated.any(1)
        if foreign.any():  # English rows stay the same bit for bit
            sentences[foreign] = F.normalize(sentences[foreign] + translated[foreign], dim=1)
        rows: Tensor = self.halves(SentenceOutput(sentences, inputs), len(sentences))
        return rows
