"""Measures finding near-identical pairs among many vectors, for `imgsearch dupes`.

    nice -n 10 python benchmarks/near_pairs.py [--count N]... [--lists]
    nice -n 10 python benchmarks/near_pairs.py --compare [--count N]...

Vectors of 768 numbers lie around 200 random directions, as those of pictures do around subjects;
every tenth is a copy of another one at an inner product of about .97. Prints the time, the peak of
the memory and the share of the copies that were found. --lists compares within lists, as for a
large library, whatever the count. --compare runs both ways of ours, and range searches with FAISS
over all vectors and over the lists of an inverted file, each in a process of its own: copies found,
processor seconds, their ratio to the first row, and memory beyond the vectors.
--limit MINUTES of processor time end a method (default 30).
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from clusters import measured

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


# The parts that connected pairs make, as a label for each vector


def ours(rows: Halves, largest_exact: int) -> np.ndarray:
    near_pairs.MAX_EXACT_PRODUCTS = largest_exact
    parts = Parts(np.arange(len(rows)))
    join_near(parts, parts.ids, rows, lambda: iter(()), MIN_SIMILARITY)
    return parts.labels()


def range_search(rows: Halves, lists: int) -> np.ndarray:
    """All pairs by FAISS: of an exhaustive index, or within the eight nearest of some lists."""
    import faiss
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    whole = rows.astype(np.float32)
    index = faiss.IndexFlatIP(DIMENSION)
    if lists:
        index = faiss.IndexIVFFlat(index, DIMENSION, lists, faiss.METRIC_INNER_PRODUCT)
        index.train(whole[: 64 * lists])
        index.nprobe = near_pairs.PROBED_LISTS
    index.add(whole)
    limits, _, found = index.range_search(whole, MIN_SIMILARITY - near_pairs.STORED_ROUNDING)
    graph = csr_array(
        (np.ones(len(found), bool), found, limits.astype(np.int64)), shape=(len(rows), len(rows))
    )
    return connected_components(graph, directed=False)[1]


def compare(rows: Halves, originals: np.ndarray, minutes: float) -> None:
    count = len(rows)
    lists = round(3 * count**0.5)
    ways = {
        "ours, all pairs": (ours, 2 * count**2),
        "ours, lists": (ours, 0),
        "FAISS, all pairs": (range_search, 0),
        "FAISS, lists": (range_search, lists),
    }
    print(f"\n{count:,} vectors\nmethod            found  CPU s  ratio    MB")
    unit = None
    for name, (method, option) in ways.items():
        run = measured(method, rows, option, minutes=minutes)
        if run is None:
            print(f"{name:16} over {minutes:g} minutes of processor time", flush=True)
            continue
        labels, seconds, megabytes = run
        unit = unit or seconds
        found = (labels[originals] == labels[count - len(originals) :]).mean()
        print(
            f"{name:16} {found:.4f} {seconds:6.1f} {seconds / unit:6.2f} {megabytes:5.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and recall of near-identical pairs.")
    parser.add_argument("--count", type=int, action="append")
    parser.add_argument("--lists", action="store_true")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--limit", type=float, default=30, metavar="MINUTES")
    arguments = parser.parse_args()
    if arguments.lists:
        near_pairs.MAX_EXACT_PRODUCTS = 0
    for count in arguments.count or [10_000, 100_000]:
        rows, originals = vectors(count)
        if arguments.compare:
            compare(rows, originals, arguments.limit)
            continue
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
