"""Compares ways to lay pictures out on a map: neighbours kept, time and memory.

    python benchmarks/map.py LIBRARY [LIBRARY...]
    python benchmarks/map.py LIBRARY --made 10000 100000 1000000

LIBRARY has real pictures. A made set mixes two pictures of the last one, weighted at random, with
noise, so that there are few gaps and no copies. openTSNE, UMAP and PaCMAP are measured where they
are installed; none is needed otherwise: pip install opentsne umap-learn pacmap

Columns: trustworthiness and continuity of ten neighbours (Venna and Kaski, Neural Networks 19,
2006; 1 is perfect), of 2000 pictures at most among all; processor time, and its ratio to that of
the first row; memory beyond the vectors.

--limit MINUTES of processor time end a method (default 30); --only names the methods to run.
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from clusters import BLOCK_IMAGES, measured

from imgsearch.curation.layout import MAX_LANDMARKS, beside, layout
from imgsearch.library import open_library
from imgsearch.vectors import normalize

NEIGHBOURS = 10
MAX_RATED_IMAGES = 2000
RATED_AT_ONCE = 100
Method = Callable[[np.ndarray], np.ndarray]


def ours(rows: np.ndarray) -> np.ndarray:
    chosen = np.random.default_rng(0).permutation(len(rows))
    first, rest = np.sort(chosen[:MAX_LANDMARKS]), np.sort(chosen[MAX_LANDMARKS:])
    positions = np.empty((len(rows), 2), np.float32)
    fixed = rows[first].astype(np.float32)
    positions[first] = layout(fixed)
    for start in range(0, len(rest), BLOCK_IMAGES):
        block = rest[start : start + BLOCK_IMAGES]
        positions[block] = beside(rows[block].astype(np.float32), fixed, positions[first])
    return positions


def pca(rows: np.ndarray) -> np.ndarray:
    sums, products = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
    for start in range(0, len(rows), BLOCK_IMAGES):
        block = rows[start : start + BLOCK_IMAGES].astype(np.float64)
        sums += block.sum(axis=0)
        products += block.T @ block
    axes = np.linalg.eigh(products - np.outer(sums, sums) / len(rows))[1][:, -2:]
    return np.concatenate(
        [
            rows[s : s + BLOCK_IMAGES].astype(np.float64) @ axes
            for s in range(0, len(rows), BLOCK_IMAGES)
        ]
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


def quality(rows: np.ndarray, positions: np.ndarray) -> tuple[float, float]:
    """Trustworthiness and continuity, of some pictures among all."""
    n = len(rows)
    k = min(NEIGHBOURS, (n - 1) // 4)
    rated = np.random.default_rng(1).permutation(n)[:MAX_RATED_IMAGES]
    strangers = torn = 0
    for first in range(0, len(rated), RATED_AT_ONCE):
        chosen = rated[first : first + RATED_AT_ONCE]
        queries = rows[chosen].astype(np.float32).T
        products = np.empty((len(chosen), n), np.float32)
        for start in range(0, n, BLOCK_IMAGES):
            block = rows[start : start + BLOCK_IMAGES].astype(np.float32)
            products[:, start : start + BLOCK_IMAGES] = (block @ queries).T
        for place, scores in zip(chosen, products, strict=True):
            far = ((positions - positions[place]) ** 2).sum(axis=1)
            scores[place], far[place] = -np.inf, np.inf
            strangers += excess(-scores, np.argpartition(far, k)[:k], k)
            torn += excess(far, np.argpartition(-scores, k)[:k], k)
    scale = 2 / (len(rated) * k * (2 * n - 3 * k - 1))
    return 1 - scale * strangers, 1 - scale * torn


def excess(distances: np.ndarray, near: np.ndarray, k: int) -> int:
    """By how much the ranks of these pictures exceed k, in all; equal distances share a rank."""
    ranks = [1 + np.count_nonzero(distances < distances[each]) for each in near]
    return sum(max(0, rank - k) for rank in ranks)


def compare(title: str, rows: np.ndarray, minutes: float, only: Sequence[str]) -> None:
    print(f"\n{title}: {len(rows):,} pictures\nmethod         trust  contin.   CPU s  ratio    MB")
    unit = None
    for name, (package, method) in METHODS.items():
        if (only and name not in only) or (package and not importlib.util.find_spec(package)):
            continue
        run = measured(method, rows, minutes=minutes)
        if run is None:
            print(f"{name:14} over {minutes:g} minutes of processor time", flush=True)
            continue
        positions, seconds, megabytes = run
        unit = unit or seconds
        trust, kept = quality(rows, positions)
        print(
            f"{name:14} {trust:.3f}  {kept:.3f}  {seconds:7.1f} {seconds / unit:6.2f}"
            f" {megabytes:5.0f}",
            flush=True,
        )


def made(rows: np.ndarray, count: int) -> np.ndarray:
    """Mixed pictures with noise, float16 as an index holds them."""
    rng = np.random.default_rng(0)
    vectors = np.empty((count, rows.shape[1]), np.float16)
    for start in range(0, count, BLOCK_IMAGES):
        block = vectors[start : start + BLOCK_IMAGES]
        one, other = rng.integers(0, len(rows), (2, len(block)))
        weight = rng.random((len(block), 1), np.float32) / 2
        noise = rng.standard_normal(block.shape, np.float32) / rows.shape[1] ** 0.5
        block[:] = normalize((1 - weight) * rows[one] + weight * rows[other] + 0.4 * noise)
    return vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", metavar="LIBRARY", nargs="+")
    parser.add_argument("--made", type=int, nargs="*", default=[])
    parser.add_argument("--limit", type=float, default=30, metavar="MINUTES")
    parser.add_argument("--only", nargs="*", default=[], choices=list(METHODS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = np.empty((0, 0), np.float32)
    for folder in arguments.libraries:
        with open_library(folder) as library:
            rows = np.array(library.vectors()[1])
        if not arguments.made:
            compare(folder, rows, arguments.limit, arguments.only)
    for count in arguments.made:
        compare("made", made(rows, count), arguments.limit, arguments.only)


if __name__ == "__main__":
    main()
