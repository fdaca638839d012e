"""Measures single queries of a synthetic index in rounds: first from disk, then from memory.

The index is one kept by 'imgsearch bench search --synthetic N,768 --folder DIR'. Queries "near" are
close to stored vectors; queries "far" are not, like texts, which are far from pictures.

    imgsearch bench search --synthetic 10000000,768 --folder DIR --repeats 20
    python benchmarks/queries.py 10000000 DIR
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from imgsearch.bench import synthetic_vectors
from imgsearch.indexes.faiss_index import FaissIndex
from imgsearch.vectors import Embeddings, normalize

DIMENSION, LIMIT, QUERIES, EXACT = 768, 20, 192, 32
NOISE = {"near": 0.5, "far": 2.0}


def rounds(index: FaissIndex, queries: dict[str, Embeddings], count: int) -> None:
    for number in range(count):
        for name, vectors in queries.items():
            times = []
            for place in range(len(vectors)):
                started = time.perf_counter()
                index.search(vectors[place : place + 1], LIMIT)
                times.append(1000 * (time.perf_counter() - started))
            p50, p95 = np.percentile(times, [50, 95])
            print(f"round {number + 1}, {name:4}: p50 {p50:.2f} ms, p95 {p95:.2f} ms", flush=True)


def recall(index: FaissIndex, queries: Embeddings) -> float:
    assert index.main is not None
    true, _ = index.main.best(queries, 10, None)
    return float((index.search(queries, 10).scores >= true[:, -1:] - 1e-6).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    place = os.path.join(args.folder, f"{args.count}x{DIMENSION}")
    index = FaissIndex(place, synthetic_vectors.LIBRARY, synthetic_vectors.space_of(DIMENSION))
    numbers = np.random.default_rng(1)
    ids = np.sort(numbers.choice(index.ids(), QUERIES, replace=False))
    queries = {
        name: normalize(
            index.vectors(ids) + noise * normalize(numbers.standard_normal((QUERIES, DIMENSION)))
        )
        for name, noise in NOISE.items()
    }
    print(index.described())
    rounds(index, queries, args.rounds)
    for name, vectors in queries.items():
        print(f"recall@10, {name}: {recall(index, vectors[:EXACT]):.4f} of {EXACT} queries")


if __name__ == "__main__":
    main()
