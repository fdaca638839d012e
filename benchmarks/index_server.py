"""An index on PostgreSQL against index files, on synthetic vectors, interleaved in one run.

    python benchmarks/index_server.py postgresql://host/database [--count 100000] [--dimension 768]

Prints medians in milliseconds, and how many times as long the server takes.
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


def compare(name: str, server: Callable, files: Callable, queries: np.ndarray) -> None:
    """Both sides in turn, query by query."""
    pairs = []
    for query in queries:
        one = query[np.newaxis]
        pairs.append((milliseconds(partial(server, one)), milliseconds(partial(files, one))))
    slow, fast = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{name:<28}{slow:>9.1f} ms {fast:>9.2f} ms {slow / fast:>7.1f} x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
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
        server = plugins.open_index(options.url, "", "bench", space)
        type(server).trained_from = count
        build = milliseconds(lambda: server.build(count, "-", vectors))
        build_files = milliseconds(lambda: files.build(count, "-", vectors))
        print(f"{'build':<28}{build:>9.0f} ms {build_files:>9.0f} ms {build / build_files:>7.1f} x")
        numbers = np.random.default_rng(4)
        some = np.sort(numbers.choice(count, options.queries, replace=False)) + 1
        noise = normalize(numbers.standard_normal((options.queries, dimension)))
        queries = normalize(files.vectors(some) + noise)
        exact = files.search(queries, LIMIT)
        assert np.allclose(server.search(queries, LIMIT).scores, exact.scores, atol=1e-6)
        search = partial(compare, queries=queries)
        by_server, by_files = (
            (lambda q: server.search(q, LIMIT)),
            (lambda q: files.search(q, LIMIT)),
        )
        search("exact, all", by_server, by_files)
        for share, ids in synthetic_vectors.selections(np.arange(1, count + 1)).items():
            search(
                f"exact, filter passes {share:g}",
                lambda q, ids=ids: server.search(q, LIMIT, ids),
                lambda q, ids=ids: files.search(q, LIMIT, ids),
            )
        train = milliseconds(lambda: server.flush(train=True))
        print(f"{'HNSW made':<28}{train:>9.0f} ms")
        search("HNSW against exact files", by_server, by_files)
        found = server.search(queries, 10)
        recall = (found.scores >= exact.scores[:, 9:10] - 1e-6).mean()
        print(f"recall@10 {recall:.3f}; {found.method}")


if __name__ == "__main__":
    main()
