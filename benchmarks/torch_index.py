"""Compares the exact torch index with the time to read its memory once.

    python benchmarks/torch_index.py [--device cuda] [--counts 1000000,10000000] [--dimension 768]

Creates random unit vectors in bfloat16 on the device. The scan is that of `--index torch` for the
best 20 of 1 and of 64 queries. The floor is the median time of one pass of torch over the same
bytes (`amax` as 32-bit integers). Prints both times and their ratio.
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
    args = parser.parse_args()
    name = torch.cuda.get_device_name(args.device) if "cuda" in args.device else "processor"
    print(f"{name}, torch {torch.__version__}")
    queries = normalize(np.random.default_rng(0).standard_normal((64, args.dimension)))
    for count in map(int, args.counts.split(",")):
        rows = torch.empty(count, args.dimension, dtype=torch.bfloat16, device=args.device)
        for part in rows.split(1 << 18):
            values = torch.randn(part.shape, device=args.device)
            part.copy_(values / values.norm(dim=1, keepdim=True))
        scan = DeviceScan(rows)
        floor = median_ms(lambda rows=rows: rows.view(torch.int32).amax(), args.device, args.times)
        size = rows.numel() * 2
        rate = size / floor / 1e6
        print(f"{count} vectors, {size / 1e9:.2f} GB, floor {floor:.3f} ms ({rate:.0f} GB/s)")
        for batch in (1, 64):
            spent = median_ms(
                lambda scan=scan, batch=batch: scan(queries[:batch], 28, None),
                args.device, args.times,
            )  # fmt: skip
            print(f"  {batch:>2} at once: {spent:.3f} ms, {spent / floor:.2f} x the floor")
        del scan, rows


if __name__ == "__main__":
    main()
