"""An exact index whose scan runs in torch: on a GPU where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.indexes.faiss_index import FaissIndex
from imgsearch.indexes.mapped import Stored
from imgsearch.vectors import Embeddings, Ids

SCANNED = 1 << 20
"""Rows in one product on the device."""
LOADED = 1 << 14
"""Rows that go to the device at once."""
BF16_SLACK = 2.0**-6
"""By how much a product in bfloat16 may miss. Rounding to its 8 bits moves a number by a share of
u = 2^-8 at most. Both factors are rounded, so the sum of x'q' is off by (2u + u^2) times the sum of
|xq| at most, which is no more than 1 for unit vectors (Cauchy and Schwarz); then the score itself
is rounded, by u. Together that is less than 3.1 u. Sums are in float32."""


class TorchIndex(FaissIndex):
    """All vectors in bfloat16 on the device, scanned in one go; candidates compared in float32.

    The file is that of the kind `flat`. What the scan finds is certain by `BF16_SLACK`, so the
    answers are those of an exact index.
    """

    trained_from = 0
    device = ""
    """The torch device; "" is the first GPU, or the processor where there is none."""

    def _exact(
        self, main: Stored, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None
    ) -> tuple[Embeddings, Ids, str]:
        if getattr(self, "_scanned", None) is not main:
            self._scanned, self._scan = main, DeviceScan.of(main, self.device)
        found = main.best(queries, k, bitmap, self._scan, BF16_SLACK)
        return *found, f"torch scan in bfloat16 on {self._scan.device}"


class DeviceScan:
    """Vectors on a device, in bfloat16.

    Parameters
    ----------
    rows : torch tensor of shape (n, dimension), bfloat16, on the device
    """

    def __init__(self, rows: Any) -> None:
        import torch

        self._torch: Any = torch
        # Sums in bfloat16 would break the bound.
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        self._rows = rows
        self.device = str(rows.device)

    @classmethod
    def of(cls, main: Stored, device: str) -> DeviceScan:
        """The vectors of a file, copied to the device."""
        import torch

        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        shape = (main.count, main.dimension)
        rows = torch.empty(shape, dtype=torch.bfloat16, device=device)
        for start in range(0, main.count, LOADED):
            stop = min(main.count, start + LOADED)
            part = torch.from_numpy(main.vectors(np.arange(start, stop)))
            rows[start:stop].copy_(part)
        return cls(rows)

    def __call__(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None
    ) -> tuple[Embeddings, Ids]:
        """Scores and rows of about the best k; row -1 where a bitmap leaves fewer."""
        torch, count = self._torch, len(self._rows)
        with torch.inference_mode():
            asked = torch.from_numpy(queries).to(self.device, torch.bfloat16)
            wanted = None
            if bitmap is not None:
                bits = np.unpackbits(bitmap, count=count, bitorder="little").astype(bool)
                wanted = torch.from_numpy(bits).to(self.device)
            tops = []
            for start in range(0, count, SCANNED):
                part = self._rows[start : start + SCANNED]
                scores = (asked @ part.T).float()
                if wanted is not None:
                    scores.masked_fill_(~wanted[start : start + SCANNED], -torch.inf)
                best, rows = scores.topk(min(k, len(part)), dim=1)
                tops.append((best, rows + start))
            best, place = torch.cat([each for each, _ in tops], 1).topk(min(k, count), dim=1)
            rows = torch.cat([each for _, each in tops], 1).gather(1, place)
            rows[best == -torch.inf] = -1
            return best.cpu().numpy(), rows.cpu().numpy()
