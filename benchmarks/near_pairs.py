"""Measures finding near-identical pairs among many vectors, for `imgsearch dupes`.

    nice -n 10 python benchmarks/near_pairs.py [--count N]... [--lists]

Vectors of 768 numbers lie around 200 random directions, as those of pictures do around subjects;
every tenth is a copy of another one at an inner product of about .97. Prints the time, the peak of
the memory and the share of the copies that were found. --lists compares within lists, as for a
large library, whatever the count.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from imgsearch.curation import near_pairs
from imgsearch.curation.near_pairs import Halves, Parts, join_near

DIMENSION = 768
SUBJECTS = 200
MIN_SIMILARITY = 0.95


def vectors(count: int) -> tuple[Halves, np.ndarray]:
    """Rows, and the place of the original of each of the last tenth."""
    random = np.random.default_rng(0)
    subjects = random.standard_normal((SUBJECTS, DIMENSION), np.float32)
    rows = np.empty((count, DIMENSION), np.float16)
    originals = random.integers(0, count - count // 10, count // 10)
    for start in range(0, count, 8192):
        block = rows[start : start + 8192]
        noise = random.standard_normal(block.shape, np.float32)
        block[:] = _unit(subjects[random.integers(0, SUBJECTS, len(block))] + 1.2 * noise)
    for start in range(0, len(originals), 8192):
        block = rows[originals[start : start + 8192]].astype(np.float32)
        noise = _unit(random.standard_normal(block.shape, np.float32))
        place = count - len(originals) + start
        rows[place : place + len(block)] = _unit(block + 0.25 * noise)
    return rows, originals


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and recall of near-identical pairs.")
    parser.add_argument("--count", type=int, action="append")
    parser.add_argument("--lists", action="store_true")
    arguments = parser.parse_args()
    if arguments.lists:
        near_pairs.MAX_EXACT_PRODUCTS = 0
    for count in arguments.count or [10_000, 100_000]:
        rows, originals = vectors(count)
        parts = Parts(np.arange(count))
        start = time.perf_counter(), time.process_time()
        join_near(parts, parts.ids, rows, lambda: iter(()), MIN_SIMILARITY)
        labels = parts.labels()
        seconds, cpu = time.perf_counter() - start[0], time.process_time() - start[1]
        found = (labels[originals] == labels[count - len(originals) :]).mean()
        others = len(np.unique(labels)) - (count - len(originals))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{count:>9,} vectors  {seconds:7.1f} s  {cpu:7.1f} CPU s  {peak:6.0f} MiB"
            f"  copies found {found:.4f}  parts too many {others}"
        )


if __name__ == "__main__":
    main()
