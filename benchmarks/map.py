"""Compares ways to lay pictures out on a map: neighbours kept, time and memory.

    python benchmarks/map.py LIBRARY [LIBRARY...] [--made 10000 100000]

LIBRARY has real pictures. A made set mixes two of its pictures, weighted at random, with noise, so
that there are few gaps and no copies. openTSNE, UMAP and PaCMAP are measured where they are
installed; none is needed otherwise: pip install opentsne umap-learn pacmap

Columns: trustworthiness and continuity of ten neighbours (Venna and Kaski, Neural Networks 19,
2006; 1 is perfect), of 1000 pictures at most among all; processor time, and its ratio to that of
the first row; memory beyond the vectors. Made sets are made of the last library.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable, Mapping

import numpy as np

from imgsearch.curation.layout import MAX_LANDMARKS, beside, layout
from imgsearch.library import open_library
from imgsearch.vectors import normalize

NEIGHBOURS = 10
MAX_RATED_IMAGES = 1000
MAX_SLOW_IMAGES = 20_000
"""The other libraries are left out for more."""
Method = Callable[[np.ndarray], np.ndarray]


def ours(rows: np.ndarray) -> np.ndarray:
    chosen = np.random.default_rng(0).permutation(len(rows))
    first, rest = np.sort(chosen[:MAX_LANDMARKS]), np.sort(chosen[MAX_LANDMARKS:])
    positions = np.empty((len(rows), 2), np.float32)
    fixed = rows[first].astype(np.float32)
    positions[first] = layout(fixed)
    for start in range(0, len(rest), 8192):
        block = rest[start : start + 8192]
        positions[block] = beside(rows[block].astype(np.float32), fixed, positions[first])
    return positions


def pca(rows: np.ndarray) -> np.ndarray:
    sums, products = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
    for start in range(0, len(rows), 8192):
        block = rows[start : start + 8192].astype(np.float64)
        sums += block.sum(axis=0)
        products += block.T @ block
    axes = np.linalg.eigh(products - np.outer(sums, sums) / len(rows))[1][:, -2:]
    return np.concatenate(
        [rows[s : s + 8192].astype(np.float64) @ axes for s in range(0, len(rows), 8192)]
    )


def open_tsne(rows: np.ndarray) -> np.ndarray:
    import openTSNE

    perplexity = min(30, (len(rows) - 1) / 3)
    return np.asarray(
        openTSNE.TSNE(perplexity=perplexity, metric="cosine", random_state=0, n_jobs=1).fit(
            rows.astype(np.float32)
        )
    )


def umap(rows: np.ndarray) -> np.ndarray:
    from umap import UMAP

    near = min(15, len(rows) - 1)
    return UMAP(n_neighbors=near, metric="cosine", random_state=0).fit_transform(rows)


def pacmap(rows: np.ndarray) -> np.ndarray:
    from pacmap import PaCMAP

    return PaCMAP(n_neighbors=None, random_state=0).fit_transform(rows.astype(np.float32))


METHODS: Mapping[str, tuple[str, Method]] = {
    "imgsearch map": ("", ours),
    "PCA": ("", pca),
    "openTSNE": ("openTSNE", open_tsne),
    "UMAP": ("umap", umap),
    "PaCMAP": ("pacmap", pacmap),
}
SLOW = (open_tsne, umap, pacmap)


def quality(rows: np.ndarray, positions: np.ndarray) -> tuple[float, float]:
    """Trustworthiness and continuity, of some pictures among all."""
    n = len(rows)
    k = min(NEIGHBOURS, (n - 1) // 4)
    chosen = np.random.default_rng(1).permutation(n)[:MAX_RATED_IMAGES]
    trust = kept = 0.0
    for i in chosen:
        products = np.concatenate(
            [rows[s : s + 65536].astype(np.float32) @ rows[i] for s in range(0, n, 65536)]
        )
        products[i] = np.inf
        far = ((positions - positions[i]) ** 2).sum(axis=1)
        far[i] = -1
        high, low = ranks(-products), ranks(far)
        trust += np.maximum(high[(low > 0) & (low <= k)] - k, 0).sum()
        kept += np.maximum(low[(high > 0) & (high <= k)] - k, 0).sum()
    scale = 2 / (len(chosen) * k * (2 * n - 3 * k - 1))
    return 1 - scale * trust, 1 - scale * kept


def ranks(values: np.ndarray) -> np.ndarray:
    places = np.empty(len(values), np.int64)
    places[np.argsort(values, kind="stable")] = np.arange(len(values))
    return places


def measured(method: Method, rows: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Positions, processor seconds and megabytes of a call, in a process of its own."""

    def work(pipe) -> None:
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        positions = method(rows)
        seconds = time.process_time() - start
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pipe.send((positions, seconds, (after - before) / 1000))

    ours_end, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=work, args=(theirs,))
    child.start()
    result = ours_end.recv()
    child.join()
    return result


def compare(title: str, rows: np.ndarray) -> None:
    print(f"\n{title}: {len(rows):,} pictures\nmethod         trust  contin.  CPU s  ratio  MB")
    unit = None
    for name, (package, method) in METHODS.items():
        if package and importlib.util.find_spec(package) is None:
            continue
        if method in SLOW and len(rows) > MAX_SLOW_IMAGES:
            continue
        positions, seconds, megabytes = measured(method, rows)
        unit = unit or seconds
        trust, kept = quality(rows, positions)
        print(
            f"{name:14} {trust:.3f}  {kept:.3f}  {seconds:6.0f} {seconds / unit:6.2f}"
            f" {megabytes:4.0f}",
            flush=True,
        )


def made(rows: np.ndarray, count: int) -> np.ndarray:
    """Mixed pictures with noise, float16 as an index holds them."""
    rng = np.random.default_rng(0)
    vectors = np.empty((count, rows.shape[1]), np.float16)
    for start in range(0, count, 8192):
        block = vectors[start : start + 8192]
        one, other = rng.integers(0, len(rows), (2, len(block)))
        weight = rng.random((len(block), 1), np.float32) / 2
        noise = rng.standard_normal(block.shape, np.float32) / rows.shape[1] ** 0.5
        block[:] = normalize((1 - weight) * rows[one] + weight * rows[other] + 0.4 * noise)
    return vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", metavar="LIBRARY", nargs="+")
    parser.add_argument("--made", type=int, nargs="*", default=[])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = np.empty((0, 0), np.float32)
    for folder in arguments.libraries:
        with open_library(folder) as library:
            rows = np.array(library.vectors()[1])
        compare(folder, rows)
    for count in arguments.made:
        compare("made", made(rows, count))


if __name__ == "__main__":
    main()
