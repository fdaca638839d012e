"""all-MiniLM-L6-v2, the sentence network of the built-in model.

The network is a small BERT (Devlin et al., NAACL 2019), written down here in plain PyTorch:
importing what transformers needs for any model takes longer than all else that a search does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from imgsearch.encoders.builtin import weights

_LONGEST_TEXT = 256  # tokens: what the network was trained on
_VOCABULARY, _PLACES, _WIDTH, _INNER = 30_522, 512, 384, 1536
_LAYERS, _HEADS = 6, 12
_STEP = 4
"""Tokens. The lengths of batches are multiples of it: PyTorch keeps working memory for each shape
that it has met, and a server meets them all."""
_EPSILON = 1e-12  # of the norms, as BERT has it

_NAMES = (
    (r"^embeddings\.(\w+)_embeddings\.weight", r"\1s"),
    (r"^embeddings\.LayerNorm", "first_norm"),
    (r"^encoder\.layer", "layers"),
    (r"attention\.self\.", ""),
    (r"attention\.output\.dense", "joined"),
    (r"attention\.output\.LayerNorm", "attention_norm"),
    (r"intermediate\.dense", "widened"),
    (r"output\.dense", "narrowed"),
    (r"output\.LayerNorm", "norm"),
)
"""From the names of the checkpoint to those of the modules below, each replaced where it stands."""
_UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


class Layer(nn.Module):
    """Self-attention (Vaswani et al., NeurIPS 2017) and a feed-forward part, normed after each."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.joined = (
            nn.Linear(_WIDTH, _WIDTH) for _ in range(4)
        )
        self.attention_norm = nn.LayerNorm(_WIDTH, _EPSILON)
        self.widened = nn.Linear(_WIDTH, _INNER)
        self.narrowed = nn.Linear(_INNER, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH, _EPSILON)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Rows of tokens (n, length, 384); `mask` (n, 1, 1, length) is true where one is."""
        query, key, value = (_heads(part(x)) for part in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(query, key, value, mask)
        x = self.attention_norm(self.joined(attended.transpose(1, 2).flatten(2)) + x)
        out: Tensor = self.norm(self.narrowed(F.gelu(self.widened(x))) + x)
        return out


def _heads(x: Tensor) -> Tensor:
    return x.view(*x.shape[:2], _HEADS, -1).transpose(1, 2)


class SentenceNetwork(nn.Module):
    """all-MiniLM-L6-v2: texts to sentence embeddings, (n, 384), float32, unit norm.

    MiniLM: Wang et al., NeurIPS 2020; mean pooling: Reimers & Gurevych, EMNLP 2019.
    """

    words: nn.Parameter
    positions: nn.Parameter
    token_types: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        self._tokenizer = _tokenizer()
        with torch.device("meta"):  # weights come from the file: none are drawn to be replaced
            for name, rows in (("words", _VOCABULARY), ("positions", _PLACES), ("token_types", 2)):
                self.register_parameter(name, nn.Parameter(torch.empty(rows, _WIDTH)))
            self.first_norm = nn.LayerNorm(_WIDTH, _EPSILON)
            self.layers = nn.ModuleList(Layer() for _ in range(_LAYERS))
        self.load_state_dict(_renamed(weights.text_state()), assign=True)
        self.requires_grad_(False).eval()

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids (n, length), padded with zeros, and where they are; one text is not padded."""
        self._tokenizer.enable_padding(pad_to_multiple_of=_STEP if len(texts) > 1 else None)
        found = self._tokenizer.encode_batch(list(texts))
        return {
            "input_ids": torch.tensor([each.ids for each in found]),
            "attention_mask": torch.tensor([each.attention_mask for each in found]),
        }

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        tokens = self._tokens(input_ids, attention_mask).float()
        mask = attention_mask[..., None].float()
        return F.normalize((tokens * mask).sum(1) / mask.sum(1), dim=1)

    def _tokens(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The last layer's row for each token, (n, length, 384)."""
        x: Tensor = (
            F.embedding(ids, self.words) + self.token_types[0] + self.positions[: ids.shape[1]]
        )
        x = self.first_norm(x)
        wanted = None if bool(mask.all()) else mask[:, None, None].bool()
        for layer in self.layers:
            x = layer(x, wanted)
        return x


def _tokenizer() -> Tokenizer:
    tokenizer: Tokenizer = Tokenizer.from_buffer(weights.text_file("tokenizer.json"))
    tokenizer.enable_truncation(_LONGEST_TEXT)
    return tokenizer


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights by the names of this module."""
    return {_new_name(name): tensor for name, tensor in state.items() if name not in _UNUSED}


def _new_name(name: str) -> str:
    for old, new in _NAMES:
        name = re.sub(old, new, name)
    return name
