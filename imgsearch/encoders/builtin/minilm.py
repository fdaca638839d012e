"""all-MiniLM-L6-v2, the sentence network of the built-in model.

The network is a small BERT (Devlin et al., NAACL 2019), implemented here in plain PyTorch, because
importing what transformers needs for any model takes longer than the rest of a search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from imgsearch.encoders.builtin import weights

_MAX_TOKENS = 256  # as in the training of the network
_VOCABULARY, _PLACES, _WIDTH, _INNER = 30_522, 512, 384, 1536
_LAYERS, _HEADS = 6, 12
_PADDING_STEP_TOKENS = 4
"""Batches are padded to multiples of this many tokens: PyTorch keeps working memory for each shape,
and a server would see all of them."""
_EPSILON = 1e-12  # of the norms, as in BERT

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
"""Regular expressions from the names of the checkpoint to those of the modules below."""
_UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


class Layer(nn.Module):
    """Self-attention (Vaswani et al., NeurIPS 2017) and a feed-forward part, each with a norm."""

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
        """Rows of tokens (n, length, 384); `mask` (n, 1, 1, length) is true for tokens."""
        query, key, value = (_heads(part(x)) for part in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(query, key, value, mask)
        x = self.attention_norm(self.joined(attended.transpose(1, 2).flatten(2)) + x)
        out: Tensor = self.norm(self.narrowed(F.gelu(self.widened(x))) + x)
        return out


def _heads(x: Tensor) -> Tensor:
    return x.view(*x.shape[:2], _HEADS, -1).transpose(1, 2)


class SentenceNetwork(nn.Module):
    """all-MiniLM-L6-v2: maps texts to sentence embeddings (n, 384), float32, unit norm.

    MiniLM: Wang et al., NeurIPS 2020; mean pooling: Reimers & Gurevych, EMNLP 2019.
    """

    words: nn.Parameter
    positions: nn.Parameter
    token_types: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        self._tokenizer = _tokenizer()
        with torch.device("meta"):  # skips initialisation: the weights come from the file
            for name, rows in (("words", _VOCABULARY), ("positions", _PLACES), ("token_types", 2)):
                self.register_parameter(name, nn.Parameter(torch.empty(rows, _WIDTH)))
            self.first_norm = nn.LayerNorm(_WIDTH, _EPSILON)
            self.layers = nn.ModuleList(Layer() for _ in range(_LAYERS))
        self.load_state_dict(_renamed(weights.text_state()), assign=True)
        self.requires_grad_(False).eval()

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids (n, length), padded with zeros, and their mask; a single text is not padded."""
        self._tokenizer.enable_padding(
            pad_to_multiple_of=_PADDING_STEP_TOKENS if len(texts) > 1 else None
        )
        encodings = self._tokenizer.encode_batch(list(texts))
        return {
            "input_ids": torch.tensor([each.ids for each in encodings]),
            "attention_mask": torch.tensor([each.attention_mask for each in encodings]),
        }

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        tokens = self._tokens(input_ids, attention_mask).float()
        mask = attention_mask[..., None].float()
        return F.normalize((tokens * mask).sum(1) / mask.sum(1), dim=1)

    def _tokens(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The last layer's row of each token, (n, length, 384)."""
        x: Tensor = (
            F.embedding(ids, self.words) + self.token_types[0] + self.positions[: ids.shape[1]]
        )
        x = self.first_norm(x)
        allowed = None if bool(mask.all()) else mask[:, None, None].bool()
        for layer in self.layers:
            x = layer(x, allowed)
        return x


def _tokenizer() -> Tokenizer:
    tokenizer: Tokenizer = Tokenizer.from_buffer(weights.text_file("tokenizer.json"))
    tokenizer.enable_truncation(_MAX_TOKENS)
    return tokenizer


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names of this module."""
    return {_new_name(name): tensor for name, tensor in state.items() if name not in _UNUSED}


def _new_name(name: str) -> str:
    for old, new in _NAMES:
        name = re.sub(old, new, name)
    return name
