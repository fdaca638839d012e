"""Compares ways to group pictures: agreement with labels, stability, time and memory.

    python benchmarks/clusters.py LIBRARY --labels FILE... [--noisy 10000 100000]

LIBRARY has the labelled pictures. FILE is a queries.jsonl: its queries of the kind "category" are
the labels of their relevant pictures, which are found by their names. The photos of data/ are
labelled in this file. A noisy set repeats the labelled pictures with noise; the inner product of
a repetition with its picture is about 0.8.

Columns: adjusted mutual information with the labels (AMI; 1 is perfect, 0 is chance; an outlier is
a group of its own), the number of groups and of outliers, AMI between three seeds, AMI between the
groups of seven tenths of the pictures and those of all, time and memory beyond the vectors.

--large groups that many noisy vectors once, with our method: processor time and peak memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score

from imgsearch.curation.partition import OUTLIER, partition
from imgsearch.library import open_library
from imgsearch.vectors import normalize

PHOTO_SUBJECTS = {
    "animals": "bison brown_hens crab crocodile dairy_cow horses jaguars kingfisher"
    " kitten_with_wool koala lemurs moose owl polar_bear scarlet_macaw tabby_cat_face"
    " two_dogs_at_window",
    "buildings": "chinese_temple colosseum eiffel_tower great_wall mont_saint_michel red_pyramid"
    " windmill",
    "landscapes": "forest_stream green_valley mountain_trail sunset_hills",
    "plants": "dandelions orange_dahlia fig_on_red",
    "things": "baseball coffee_cup drum_and_wine frying_pan hammer old_coins paint_brushes receipt",
    "people": "astronaut photographer_bw",
    "vehicles": "biplane harbour_boats rocket_launch_pad",
}
NEIGHBOURS = 10
MAX_SLOW_IMAGES = 20_000
"""HDBSCAN and Louvain are left out for more: hours, or more memory than there is."""
Method = Callable[[np.ndarray, int], np.ndarray]


def ours(rows: np.ndarray, seed: int) -> np.ndarray:
    ids = np.arange(len(rows))
    return partition(ids, lambda some: rows[some], seed).labels


def ours_broad(rows: np.ndarray, seed: int) -> np.ndarray:
    found = partition(np.arange(len(rows)), lambda some: rows[some], seed)
    return np.where(found.labels == OUTLIER, OUTLIER, found.broad[found.labels])


def k_means(rows: np.ndarray, seed: int) -> np.ndarray:
    import faiss

    count = round(2.5 * len(rows) ** 0.5)
    means = faiss.Kmeans(
        rows.shape[1], count, spherical=True, seed=seed, niter=20, min_points_per_centroid=1
    )
    means.train(rows)
    return means.index.search(rows, 1)[1][:, 0]


def average_linkage(rows: np.ndarray, seed: int) -> np.ndarray:
    """Cut where pictures are two deviations nearer than two pictures of the set."""
    from scipy.cluster.hierarchy import fcluster, linkage

    scores = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    middle, upper = np.quantile(scores, (0.5, 0.95))
    least = middle + 2 * (upper - middle) / 1.645
    return fcluster(linkage(rows, "average", metric="cosine"), 1 - least, "distance")


def hdbscan(rows: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.cluster import HDBSCAN
    from sklearn.decomposition import PCA

    if len(rows) > 1000:  # distances of 800 numbers are too slow
        rows = PCA(50, random_state=seed).fit_transform(rows)
    return HDBSCAN(min_cluster_size=3, min_samples=1).fit_predict(rows)


def louvain(rows: np.ndarray, seed: int) -> np.ndarray:
    """On the graph of shared nearest neighbours."""
    import faiss
    import networkx

    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    near = [set(each) for each in index.search(rows, NEIGHBOURS + 1)[1].tolist()]
    graph = networkx.Graph()
    for one, others in enumerate(near):
        for other in others - {one}:
            graph.add_edge(one, other, weight=len(others & near[other]))
    labels = np.zeros(len(rows), int)
    found = networkx.community.louvain_communities(graph, resolution=4, seed=seed)
    for number, members in enumerate(found):
        labels[list(members)] = number
    return labels


METHODS: Mapping[str, Method] = {
    "ours, fine": ours,
    "ours, broad": ours_broad,
    "FAISS k-means": k_means,
    "average linkage": average_linkage,
    "HDBSCAN": hdbscan,
    "Louvain, k-NN": louvain,
}
SLOW = (average_linkage, hdbscan, louvain)
SEEDLESS = (average_linkage, hdbscan)


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    pair = (one, other)
    alone = [np.where(each < 0, each.max() + 1 + np.arange(len(each)), each) for each in pair]
    return adjusted_mutual_info_score(*alone)


def measured(method: Method, rows: np.ndarray, seed: int) -> tuple[np.ndarray, float, float]:
    """Labels, seconds and megabytes of a call, in a process of its own."""

    def work(pipe) -> None:
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        labels = method(rows, seed)
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pipe.send((labels, seconds, (after - before) / 1000))

    ours_end, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")
    child = context.Process(target=work, args=(theirs,))
    child.start()
    result = ours_end.recv()
    child.join()
    return result


def compare(title: str, rows: np.ndarray, labels: np.ndarray) -> None:
    labels = np.unique(labels, return_inverse=True)[1]
    print(f"\n{title}: {len(rows)} pictures, {labels.max() + 1} labels")
    print("method           AMI   groups outliers  seeds  growth  time  MB")
    some = np.sort(np.random.default_rng(0).permutation(len(rows))[: int(0.7 * len(rows))])
    unit = None
    for name, method in METHODS.items():
        if method in SLOW and len(rows) > MAX_SLOW_IMAGES:
            continue
        runs = [measured(method, rows, seed) for seed in range(1 if method in SEEDLESS else 3)]
        found, megabytes = runs[0][0], runs[0][2]
        seconds = min(run[1] for run in runs)
        unit = unit or seconds
        seeds = np.mean([agreement(found, run[0]) for run in runs[1:]]) if runs[1:] else 1.0
        growth = agreement(found[some], measured(method, rows[some], 0)[0])
        groups = len(set(found[found >= 0].tolist()))
        print(
            f"{name:15} {agreement(found, labels):5.3f} {groups:7} {(found < 0).sum():8}"
            f"  {seeds:5.3f}   {growth:5.3f} {seconds / unit:5.1f} {megabytes:5.0f}",
            flush=True,
        )


def noisy(rows: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(rows), count)
    noise = rng.standard_normal((count, rows.shape[1]), np.float32) / rows.shape[1] ** 0.5
    return normalize(rows[chosen] + 0.75 * noise), labels[chosen]


def large(rows: np.ndarray, count: int) -> None:
    """Group float16 vectors, as an index holds them, in this process."""
    rng = np.random.default_rng(0)
    vectors = np.empty((count, rows.shape[1]), np.float16)
    for start in range(0, count, 8192):
        block = vectors[start : start + 8192]
        noise = rng.standard_normal(block.shape, np.float32) / rows.shape[1] ** 0.5
        block[:] = normalize(rows[rng.integers(0, len(rows), len(block))] + 0.75 * noise)
    before, start_seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = partition(np.arange(count), lambda some: vectors[some].astype(np.float32))
    seconds = time.process_time() - start_seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{count:,} vectors: {seconds:.0f} CPU s, {(peak - before) / 1024:.0f} MiB beyond"
        f" {before / 1024:.0f} MiB, {len(found.broad)} fine and {found.broad.max() + 1} broad"
        f" groups, {(found.labels == OUTLIER).sum()} outliers"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--labels", type=Path, nargs="*", default=[])
    parser.add_argument("--noisy", type=int, nargs="*", default=[])
    parser.add_argument("--large", type=int, nargs="*", default=[])
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    library = open_library(options.library, index="memory")  # FAISS would hang in a forked process
    library.searcher.refresh()
    ids = library.catalog.vector_ids(library.searcher.space)
    rows = library.searcher.index.vectors(ids)
    paths = [Path(library.catalog.paths([key])[key]) for key in ids.tolist()]
    sets = {"data/photos": {n: s for s, names in PHOTO_SUBJECTS.items() for n in names.split()}}
    for file in options.labels:
        queries = [json.loads(line) for line in file.read_text().splitlines()]
        sets[file.parent.name] = {
            Path(name).stem: query["query"]
            for query in queries
            if query["kind"] == "category"
            for name in query["relevant"]
        }
    everything: dict[int, str] = {}
    for title, subjects in sets.items():
        places = [place for place, path in enumerate(paths) if path.stem in subjects]
        everything |= {place: subjects[paths[place].stem] for place in places}
        labels = np.array([subjects[paths[place].stem] for place in places])
        compare(title, rows[places], labels)
    for count in options.large:
        large(rows, count)
    places, names = list(everything), np.array(list(everything.values()))
    for count in options.noisy:
        compare(f"noisy, {count}", *noisy(rows[places], names, count))


if __name__ == "__main__":
    main()
