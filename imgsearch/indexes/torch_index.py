"""An exact index that scans with torch, on a GPU if there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.indexes.faiss_index import FaissIndex
from imgsearch.indexes.mapped_vectors import Stored
from imgsearch.vectors import Embeddings, Ids

SCAN_ROWS = 1 << 20
"""Rows per matrix product on the device."""
COPY_ROWS = 1 << 14
"""Rows per copy to the device."""
BF16_SLACK = 2.0**-6
"""Maximum error of an inner product in bfloat16. Rounding to 8 bits changes a number by a share of
at most u = 2^-8. Both factors are rounded, so the error of the sum of x'q' is at most (2u + u^2)
times the sum of |xq|, which is at most 1 for unit vectors (Cauchy and Schwarz); then the score
itself is rounded, by u. The total is less than 3.1 u. Sums are in float32."""


class TorchIndex(FaissIndex):
    """Scans all vectors in bfloat16 on the device; compares candidates in float32.

    The file is that of the kind `flat`. `BF16_SLACK` bounds the error of the scan, so the results
    are those of an exact index.
    """

    trained_from = 0
    gpu_after = None
    device = ""
    """The torch device; "" is the first GPU, or the processor without one."""

    def _exact(
        self, main: Stored, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None
    ) -> tuple[Embeddings, Ids, str]:
        if getattr(self, "_copied", None) is not main:
            self._copied, self._scan = main, DeviceScan.of(main, self.device)
        best = main.best(queries, k, bitmap, self._scan, BF16_SLACK)
        return *best, f"torch scan in bfloat16 on {self._scan.device}"


def free_device_bytes() -> dict[int, int]:
    """Free memory of each CUDA device by its number, as other programs leave it."""
    import torch

    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {number: torch.cuda.mem_get_info(number)[0] for number in devices}


class DeviceScan:
    """Vectors on a device, in bfloat16.

    Parameters
    ----------
    rows : torch tensor of shape (n, dimension), bfloat16, on the device
    """

    def __init__(self, rows: Any) -> None:
        import torch

        self._torch: Any = torch
        # Sums in bfloat16 would exceed the bound.
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
        for start in range(0, main.count, COPY_ROWS):
            stop = min(main.count, start + COPY_ROWS)
            part = torch.from_numpy(main.vectors(np.arange(start, stop)))
            rows[start:stop].copy_(part)
        return cls(rows)

    def __call__(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None
    ) -> tuple[Embeddings, Ids]:
        """Scores and rows of the best k, approximately; row -1 if a bitmap leaves fewer."""
        torch, count = self._torch, len(self._rows)
        with torch.inference_mode():
            vectors = torch.from_numpy(queries).to(self.device, torch.bfloat16)
            mask = None
            if bitmap is not None:
                bits = np.unpackbits(bitmap, count=count, bitorder="little").astype(bool)
                mask = torch.from_numpy(bits).to(self.device)
            tops = []
            for start in range(0, count, SCAN_ROWS):
                part = self._rows[start : start + SCAN_ROWS]
                scores = (vectors @ part.T).float()
                if mask is not None:
                    scores.masked_fill_(~mask[start : start + SCAN_ROWS], -torch.inf)
                best, rows = scores.topk(min(k, len(part)), dim=1)
                tops.append((best, rows + start))
            best, place = torch.cat([each for each, _ in tops], 1).topk(min(k, count), dim=1)
            rows = torch.cat([each for _, each in tops], 1).gather(1, place)
            rows[best == -torch.inf] = -1
            return best.cpu().numpy(), rows.cpu().numpy()
