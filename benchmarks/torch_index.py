"""The exact torch index against the time that its memory takes to be read once.

    python benchmarks/torch_index.py [--device cuda] [--counts 1000000,10000000] [--dimension 768]

Random unit vectors are made on the device, in bfloat16; the scan is that of `--index torch`, for 1
query and for 64, the best 20 of each. The floor is the median time of one pass of torch over
the same bytes (`amax` of them as 32-bit integers). Prints both, and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from imgsearch.indexes.torch_index import DeviceScan
from imgsearch.vectors import normalize


def median_ms(work, device: str, times: int) -> float:
    spent = []
    for _ in range(times + 2):
        started = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        spent.append((time.perf_counter() - started) * 1e3)
    return statistics.median(spent[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--counts", default="1000000,10000000")
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--times", type=int, default=20)
    given = parser.parse_args()
    name = torch.cuda.get_device_name(given.device) if "cuda" in given.device else "processor"
    print(f"{name}, torch {torch.__version__}")
    queries = normalize(np.random.default_rng(0).standard_normal((64, given.dimension)))
    for count in map(int, given.counts.split(",")):
        rows = torch.empty(count, given.dimension, dtype=torch.bfloat16, device=given.device)
        for part in rows.split(1 << 18):
            made = torch.randn(part.shape, device=given.device)
            part.copy_(made / made.norm(dim=1, keepdim=True))
        scan = DeviceScan(rows)
        floor = median_ms(
            lambda rows=rows: rows.view(torch.int32).amax(), given.device, given.times
        )
        size = rows.numel() * 2
        rate = size / floor / 1e6
        print(f"{count} vectors, {size / 1e9:.2f} GB, floor {floor:.3f} ms ({rate:.0f} GB/s)")
        for batch in (1, 64):
            spent = median_ms(
                lambda scan=scan, batch=batch: scan(queries[:batch], 28, None),
                given.device, given.times,
            )  # fmt: skip
            print(f"  {batch:>2} at once: {spent:.3f} ms, {spent / floor:.2f} x the floor")
        del scan, rows


if __name__ == "__main__":
    main()
