"""The network for texts, with its side of the blocks of the vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imgsearch.encoders.builtin import weights
from imgsearch.encoders.builtin.blocks import Halves
from imgsearch.encoders.builtin.blocks.halves import Said
from imgsearch.encoders.builtin.languages import Languages
from imgsearch.encoders.builtin.minilm import SentenceNetwork
from imgsearch.encoders.devices import autocasting


class TextTower(nn.Module):
    """Texts to rows of the common space."""

    def __init__(self, dtype: torch.dtype, autocast: torch.dtype | None = None) -> None:
        super().__init__()
        self._autocast = autocast
        self.network = SentenceNetwork().to(dtype)
        self.languages = Languages()
        self.halves = Halves("texts", weights.load_assets(), dtype)

    def prepare(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids and mask of n texts, what was understood of other languages, and what the
        blocks read off them."""
        english, understood = self.languages.read_all(texts)
        read = self.network.tokenize(english) | self.halves.prepare(english)
        return read | {"understood": torch.from_numpy(understood)}

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, understood: Tensor, **read: Tensor
    ) -> Tensor:
        """(n, dimension), float32, unit norm."""
        with autocasting(input_ids.device, self._autocast):
            sentences = self.network(input_ids, attention_mask)
        foreign = understood.any(1)
        if foreign.any():  # rows in English stay as they are, bit for bit
            sentences[foreign] = F.normalize(sentences[foreign] + understood[foreign], dim=1)
        rows: Tensor = self.halves(Said(sentences, read), len(sentences))
        return rows
