"""Indexes on servers against index files, on synthetic_vectors vectors, interleaved in one run.

    python benchmarks/index_server.py URL [URL ...] [--count 100000] [--dimension 768]

A URL is that of PostgreSQL with pgvector, or of Milvus. Prints medians of the files in
milliseconds, and how many times as long each server takes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from imgsearch import plugins
from imgsearch.bench import synthetic_vectors
from imgsearch.vectors import normalize

LIMIT = 20


def milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - started)


def compare(name: str, searches: list[Callable], queries: np.ndarray) -> None:
    """Files and servers in turn, query by query."""
    rows = []
    for query in queries:
        one = query[np.newaxis]
        rows.append([milliseconds(partial(search, one)) for search in searches])
    report(name, [statistics.median(column) for column in zip(*rows, strict=True)])


def report(name: str, times: list[float]) -> None:
    files, *servers = times
    ratios = "".join(f"{each / files:>9.1f} x" for each in servers)
    print(f"{name:<28}{files:>9.2f} ms{ratios}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--queries", type=int, default=30)
    options = parser.parse_args()
    count, dimension = options.count, options.dimension
    space, vectors = (
        synthetic_vectors.space_of(dimension),
        partial(synthetic_vectors.clustered, count, dimension),
    )
    with tempfile.TemporaryDirectory() as folder:
        files = plugins.open_index("flat", folder, "bench", space)
        servers = [plugins.open_index(url, "", "bench", space) for url in options.urls]
        for server in servers:
            type(server).trained_from = count
        sides = [files, *servers]
        report(
            "build",
            [milliseconds(partial(each.build, count, "-", vectors)) for each in sides],
        )
        numbers = np.random.default_rng(4)
        some = np.sort(numbers.choice(count, options.queries, replace=False)) + 1
        noise = normalize(numbers.standard_normal((options.queries, dimension)))
        queries = normalize(files.vectors(some) + noise)
        exact = files.search(queries, LIMIT)
        for server in servers:
            print(server.described())
            assert np.allclose(server.search(queries, LIMIT).scores, exact.scores, atol=1e-6)
        compare("exact, all", [partial(each.search, k=LIMIT) for each in sides], queries)
        for share, ids in synthetic_vectors.selections(np.arange(1, count + 1)).items():
            searches = [partial(each.search, k=LIMIT, allowed=ids) for each in sides]
            compare(f"exact, filter passes {share:g}", searches, queries)
        for server in servers:
            print(f"HNSW made in {milliseconds(partial(server.flush, train=True)):.0f} ms")
        compare("HNSW against exact files", [partial(e.search, k=LIMIT) for e in sides], queries)
        for server in servers:
            found = server.search(queries, 10)
            recall = (found.scores >= exact.scores[:, 9:10] - 1e-6).mean()
            print(f"recall@10 {recall:.3f}; {found.method}")


if __name__ == "__main__":
    main()
