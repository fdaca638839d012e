"""Compares codes for the vectors of an inverted file with the same lists: bytes, time, recall.

Uses one set of synthetic vectors, one training of lists, and FAISS's own inverted files: float16 as
in imgsearch, 8 and 4 bits per number, product quantization, and RaBitQ, also with the best few
candidates compared again exactly with vectors in float16 on disk. Times are medians of CPU time for
one query in one thread. Recall is of the ten best by exact products, for queries near stored
vectors and for queries far from all of them, like texts.

    OMP_NUM_THREADS=1 python benchmarks/codes.py --count 1000000 --work DIR
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np

from imgsearch.bench.synthetic_vectors import clustered
from imgsearch.indexes.builder import KMEANS_ROUNDS, VECTORS_PER_LIST, list_count
from imgsearch.vectors import Embeddings, Ids, normalize

DIMENSION = 768
CODES = ("SQfp16", "SQ8", "SQ4", "PQ96", "RaBitQ")
REFINED_CANDIDATES = (0, 50, 200)
K = 10
QUERIES = 64


def stored(path: str, count: int) -> Any:
    """The vectors in float16, in a memory-mapped file."""
    if not os.path.exists(path):
        with open(path, "wb") as file:
            for changes in clustered(count, DIMENSION):
                file.write(changes.vectors.astype(np.float16).tobytes())
    return np.memmap(path, np.float16, "r", shape=(count, DIMENSION))


def queries_near(rows: Any, noise: float) -> Embeddings:
    numbers = np.random.default_rng(3)
    chosen = np.sort(numbers.choice(len(rows), QUERIES, replace=False))
    near = normalize(rows[chosen].astype(np.float32))
    return normalize(near + noise * normalize(numbers.standard_normal(near.shape)))


def parts(rows: Any) -> Iterator[Embeddings]:
    for start in range(0, len(rows), 65536):
        yield normalize(np.array(rows[start : start + 65536]).astype(np.float32))


def exact(rows: Any, queries: Embeddings) -> Embeddings:
    """The tenth best score of each query."""
    best = np.full((len(queries), K), -np.inf, np.float32)
    for part in parts(rows):
        together = np.concatenate([best, queries @ part.T], axis=1)
        best = np.partition(together, -K, axis=1)[:, -K:]
    return best.min(axis=1)


def again(rows: Any, query: Embeddings, ids: Ids) -> Embeddings:
    """The ten best exact scores among the candidates of one query."""
    found = np.sort(ids[ids >= 0])
    scores = normalize(rows[found].astype(np.float32)) @ query[0]
    return np.sort(scores)[::-1][:K]


def measured(index: Any, rows: Any, queries: Embeddings, least: Embeddings, more: int) -> Any:
    times, right = [], 0
    for number in range(len(queries)):
        query = queries[number : number + 1]
        started = time.thread_time()
        _, ids = index.search(query, more or K)
        scores = again(rows, query, ids[0]) if more else None
        times.append(time.thread_time() - started)
        if scores is None:
            scores = again(rows, query, ids[0])
        right += int((scores >= least[number] - 1e-6).sum())
    return 1000 * float(np.median(times)), right / (K * len(queries))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--work", required=True, help="folder; keeps 1.5 KB per vector")
    parser.add_argument("--probes", type=int, nargs="*", default=[8, 16, 32])
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    rows = stored(os.path.join(args.work, f"{args.count}.f16"), args.count)
    lists = list_count(args.count)
    numbers = np.random.default_rng(0)
    chosen = np.sort(numbers.choice(args.count, VECTORS_PER_LIST * lists, replace=False))
    sample = normalize(rows[chosen].astype(np.float32))
    means = faiss.Kmeans(DIMENSION, lists, niter=KMEANS_ROUNDS, spherical=True, seed=1)
    means.train(sample)
    middles = faiss.IndexFlatIP(DIMENSION)
    middles.add(normalize(means.centroids))
    places = [middles.search(part, 1)[1][:, 0] for part in parts(rows)]
    asked = {name: queries_near(rows, noise) for name, noise in (("near", 0.5), ("far", 2.0))}
    least = {name: exact(rows, queries) for name, queries in asked.items()}
    print(f"{args.count} x {DIMENSION}, {lists} lists; near and far: ms of one query, recall@{K}")
    for code in CODES:
        index = faiss.index_factory(DIMENSION, f"IVF{lists},{code}", faiss.METRIC_INNER_PRODUCT)
        index.quantizer = middles
        index.own_fields = False
        index.quantizer_trains_alone = 2
        started = time.perf_counter()
        index.train(sample)
        for part, place in zip(parts(rows), places, strict=True):
            index.add_core(
                len(part), faiss.swig_ptr(part), None, faiss.swig_ptr(np.ascontiguousarray(place))
            )
        built = time.perf_counter() - started
        print(f"{code}: {index.invlists.code_size} bytes, filled in {built:.0f} s", flush=True)
        for probes in args.probes:
            index.nprobe = probes
            for more in REFINED_CANDIDATES:
                cells = [
                    "{:.2f} ms {:.3f}".format(*measured(index, rows, asked[n], least[n], more))
                    for n in asked
                ]
                print(f"  {probes:3} lists, {more:3} again: {'   '.join(cells)}", flush=True)
        del index


if __name__ == "__main__":
    main()
