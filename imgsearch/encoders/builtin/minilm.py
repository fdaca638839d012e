"""all-MiniLM-L6-v2, the sentence network of the built-in model."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from imgsearch.encoders.builtin import weights
from imgsearch.encoders.quiet import no_progress_bars

_LONGEST_TEXT = 256  # tokens: what the network was trained on


class SentenceNetwork(nn.Module):
    """all-MiniLM-L6-v2: texts to sentence embeddings, (n, 384), float32, unit norm.

    MiniLM: Wang et al., NeurIPS 2020; mean pooling: Reimers & Gurevych, EMNLP 2019.
    """

    def __init__(self) -> None:
        from transformers import AutoConfig, AutoTokenizer, BertModel

        super().__init__()
        folder = weights.text_folder()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with no_progress_bars():
            self.bert = BertModel.from_pretrained(
                None, config=config, state_dict=weights.text_state()
            )
        self.requires_grad_(False).eval()

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        encoded = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=_LONGEST_TEXT,
            return_tensors="pt",
        )
        return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        tokens = self.bert(input_ids, attention_mask).last_hidden_state.float()
        mask = attention_mask[..., None].float()
        return F.normalize((tokens * mask).sum(1) / mask.sum(1), dim=1)
