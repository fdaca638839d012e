"""Compares ways to group pictures and to choose among them: quality, processor time and memory.

    python benchmarks/clusters.py LIBRARY --labels FILE...
    python benchmarks/clusters.py LIBRARY --labels FILE... --noisy 10000 100000 1000000
    python benchmarks/clusters.py LIBRARY --labels FILE... --samples 10000 100000 1000000

LIBRARY has the labelled pictures. FILE is a queries.jsonl: its queries of the kind "category" are
the labels of their relevant pictures, which are found by their names. The photos of data/ are
labelled in this file. A noisy set repeats the labelled pictures with noise, as float16; the inner
product of a repetition with its picture is about 0.8. Leiden needs igraph (pip install igraph).

Columns of groups: adjusted mutual information with the labels (AMI; 1 is perfect, 0 is chance; an
outlier is a group of its own), the number of groups and of outliers, AMI between three seeds, AMI
between the groups of seven tenths of the pictures and those of all, processor seconds and their
ratio to the first row, memory beyond the vectors. Methods that take longer than a minute run
once, so they have no figures of seeds and growth.

Columns of samples of 100: the least and the mean inner product of a picture with the most similar
one of the sample, how many of the repeated pictures the sample has, time and memory as above.

--limit MINUTES of processor time end a method (default 30); --only names the methods to run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score

from imgsearch.curation.partition import OUTLIER, partition
from imgsearch.curation.sample import sample
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
MAX_SQUARE_IMAGES = 20_000
"""Methods that hold all pairs, or a graph of Python objects, are left out for more."""
MAX_REPEATED_SECONDS = 60.0
SAMPLE_SIZE = 100
BLOCK_IMAGES = 8192
Method = Callable[[np.ndarray, int], Mapping[str, np.ndarray]]
"""Labels by the name of the level, from vectors and a seed."""


def ours(rows: np.ndarray, seed: int) -> Mapping[str, np.ndarray]:
    found = partition(np.arange(len(rows)), lambda some: rows[some].astype(np.float32), seed)
    broad = np.where(found.labels == OUTLIER, OUTLIER, found.broad[found.labels])
    return {", fine": found.labels, ", broad": broad}


def k_means(rows: np.ndarray, seed: int) -> Mapping[str, np.ndarray]:
    """As many groups as ours."""
    import faiss

    count = min(1000, round(2.5 * len(rows) ** 0.5))
    means = faiss.Kmeans(
        rows.shape[1], count, spherical=True, seed=seed, niter=20, min_points_per_centroid=1
    )
    rows = rows.astype(np.float32)
    means.train(rows)
    return {"": means.index.search(rows, 1)[1][:, 0]}


def average_linkage(rows: np.ndarray, seed: int) -> Mapping[str, np.ndarray]:
    """Cut where pictures are two deviations nearer than two pictures of the set."""
    from scipy.cluster.hierarchy import fcluster, linkage

    rows = rows.astype(np.float32)
    scores = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    middle, upper = np.quantile(scores, (0.5, 0.95))
    least = middle + 2 * (upper - middle) / 1.645
    return {"": fcluster(linkage(rows, "average", metric="cosine"), 1 - least, "distance")}


def hdbscan(rows: np.ndarray, seed: int) -> Mapping[str, np.ndarray]:
    from sklearn.cluster import HDBSCAN
    from sklearn.decomposition import PCA

    if len(rows) > 1000:  # distances of 800 numbers are too slow
        rows = PCA(50, random_state=seed).fit_transform(rows.astype(np.float32))
    return {"": HDBSCAN(min_cluster_size=3, min_samples=1).fit_predict(rows)}


def neighbours(rows: np.ndarray) -> np.ndarray:
    """The nearest pictures of each, itself included; approximate for large sets."""
    import faiss

    rows = rows.astype(np.float32)
    index = faiss.IndexFlatIP(rows.shape[1])
    if len(rows) > MAX_SQUARE_IMAGES:
        lists = round(3 * len(rows) ** 0.5)
        index = faiss.IndexIVFFlat(index, rows.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
        index.train(rows[:: max(1, len(rows) // (64 * lists))])
        index.nprobe = 8
    index.add(rows)
    return index.search(rows, NEIGHBOURS + 1)[1]


def louvain(rows: np.ndarray, seed: int) -> Mapping[str, np.ndarray]:
    """On the graph of shared nearest neighbours."""
    import networkx

    near = [set(each) for each in neighbours(rows).tolist()]
    graph = networkx.Graph()
    for one, others in enumerate(near):
        for other in others - {one}:
            graph.add_edge(one, other, weight=len(others & near[other]))
    labels = np.zeros(len(rows), int)
    found = networkx.community.louvain_communities(graph, resolution=4, seed=seed)
    for number, members in enumerate(found):
        labels[list(members)] = number
    return {"": labels}


def leiden(rows: np.ndarray, seed: int) -> Mapping[str, np.ndarray]:
    """On the graph of shared nearest neighbours."""
    import random

    import igraph
    from scipy.sparse import csr_array, triu

    near = neighbours(rows)
    one, other = np.repeat(np.arange(len(rows)), near.shape[1]), near.ravel()
    known = other >= 0
    ones = np.ones(int(known.sum()), np.int32)
    lists = csr_array((ones, (one[known], other[known])), shape=(len(rows), len(rows)))
    shared = triu((lists @ lists.T).multiply(lists + lists.T), 1).tocoo()
    edges = np.stack([shared.row, shared.col], axis=1)
    igraph.set_random_number_generator(random.Random(seed))
    graph = igraph.Graph(len(rows), edges, edge_attrs={"weight": shared.data})
    found = graph.community_leiden("modularity", weights="weight", resolution=4, n_iterations=-1)
    return {"": np.array(found.membership)}


METHODS: Mapping[str, tuple[str, Method]] = {
    "ours": ("", ours),
    "FAISS k-means": ("", k_means),
    "average linkage": ("", average_linkage),
    "HDBSCAN": ("", hdbscan),
    "Louvain, k-NN": ("", louvain),
    "Leiden, k-NN": ("igraph", leiden),
}
"""With the package that a method needs."""
SQUARE = (average_linkage, louvain)
SEEDLESS = (average_linkage, hdbscan)


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    pair = (one, other)
    alone = [np.where(each < 0, each.max() + 1 + np.arange(len(each)), each) for each in pair]
    return adjusted_mutual_info_score(*alone)


def measured(
    method: Callable[..., Any], *arguments: object, minutes: float = 30
) -> tuple[Any, float, float] | None:
    """Result, processor seconds and megabytes of a call, in a process of its own; None if it
    exceeds the limit of processor time, or is killed for memory."""

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (round(60 * minutes), resource.RLIM_INFINITY))
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        result = method(*arguments)
        seconds = time.process_time() - start
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        theirs.send((result, seconds, (after - before) / 1000))

    ours_end, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    theirs.close()
    try:
        found: tuple[Any, float, float] = ours_end.recv()
    except EOFError:
        return None
    finally:
        child.join()
    return found


def compare(
    title: str, rows: np.ndarray, labels: np.ndarray, minutes: float, only: Sequence[str]
) -> None:
    labels = np.unique(labels, return_inverse=True)[1]
    print(f"\n{title}: {len(rows):,} pictures, {labels.max() + 1} labels")
    print("method            AMI   groups outliers  seeds  growth   CPU s   ratio    MB")
    some = np.sort(np.random.default_rng(0).permutation(len(rows))[: int(0.7 * len(rows))])
    unit = None
    for name, (package, method) in METHODS.items():
        if (only and name not in only) or (package and not importlib.util.find_spec(package)):
            continue
        if method in SQUARE and len(rows) > MAX_SQUARE_IMAGES:
            print(f"{name:15} left out: more than {MAX_SQUARE_IMAGES:,} pictures")
            continue
        first = measured(method, rows, 0, minutes=minutes)
        if first is None:
            print(f"{name:15} over {minutes:g} minutes of processor time", flush=True)
            continue
        found, seconds, megabytes = first
        runs, grown = [], None
        if seconds < MAX_REPEATED_SECONDS:
            seeds = () if method in SEEDLESS else (1, 2)
            runs = [run for seed in seeds if (run := measured(method, rows, seed))]
            grown = measured(method, rows[some], 0)
        seconds = min([seconds, *(run[1] for run in runs)])
        unit = unit or seconds
        for level, groups in found.items():
            same = [agreement(groups, run[0][level]) for run in runs]
            stable = f"{np.mean(same):.3f}" if same else "1" if method in SEEDLESS else "-"
            growth = f"{agreement(groups[some], grown[0][level]):.3f}" if grown else "-"
            count = len(set(groups[groups >= 0].tolist()))
            print(
                f"{name + level:15} {agreement(groups, labels):5.3f} {count:8}"
                f" {(groups < 0).sum():8}  {stable:>5}   {growth:>5} {seconds:7.1f}"
                f" {seconds / unit:7.2f} {megabytes:5.0f}",
                flush=True,
            )


def noisy(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Repetitions of rows with noise, float16 as an index holds them, and their rows."""
    rng = np.random.default_rng(0)
    vectors = np.empty((count, rows.shape[1]), np.float16)
    chosen = rng.integers(0, len(rows), count)
    for start in range(0, count, BLOCK_IMAGES):
        block = vectors[start : start + BLOCK_IMAGES]
        noise = rng.standard_normal(block.shape, np.float32) / rows.shape[1] ** 0.5
        block[:] = normalize(rows[chosen[start : start + len(block)]] + 0.75 * noise)
    return vectors, chosen


# Samples


def our_sample(kind: str) -> Callable[[np.ndarray], np.ndarray]:
    def choose(rows: np.ndarray) -> np.ndarray:
        ids = np.arange(len(rows))
        read = lambda some: rows[some].astype(np.float32)  # noqa: E731
        return np.array(sample(ids, read, SAMPLE_SIZE, kind))

    return choose


def k_means_medoids(rows: np.ndarray) -> np.ndarray:
    """The pictures nearest to the centres of FAISS's k-means over all."""
    import faiss

    means = faiss.Kmeans(rows.shape[1], SAMPLE_SIZE, spherical=True, seed=0, niter=20)
    means.train(rows.astype(np.float32))
    best, places = np.full(SAMPLE_SIZE, -np.inf), np.zeros(SAMPLE_SIZE, int)
    for start in range(0, len(rows), BLOCK_IMAGES):
        scores = rows[start : start + BLOCK_IMAGES].astype(np.float32) @ means.centroids.T
        better = scores.max(axis=0) > best
        places[better] = start + scores.argmax(axis=0)[better]
        best = np.maximum(best, scores.max(axis=0))
    return np.unique(places)


def farthest_of_all(rows: np.ndarray) -> np.ndarray:
    """Farthest-point traversal over all pictures, from the one most like the mean."""
    rows = rows.astype(np.float32)
    chosen = [int((rows @ rows.mean(axis=0)).argmax())]
    likeness = rows @ rows[chosen[0]]
    while len(chosen) < SAMPLE_SIZE:
        chosen.append(int(likeness.argmin()))
        np.maximum(likeness, rows @ rows[chosen[-1]], out=likeness)
    return np.array(chosen)


SAMPLES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "ours, diverse": our_sample("diverse"),
    "farthest point": farthest_of_all,
    "ours, typical": our_sample("typical"),
    "k-means medoids": k_means_medoids,
    "random": our_sample("random"),
}


def compare_samples(rows: np.ndarray, sources: np.ndarray, minutes: float) -> None:
    print(f"\nsamples of {SAMPLE_SIZE}: {len(rows):,} pictures")
    print("method           least   mean  repeated   CPU s  ratio    MB")
    unit = None
    for name, choose in SAMPLES.items():
        run = measured(choose, rows, minutes=minutes)
        if run is None:
            print(f"{name:15} over {minutes:g} minutes of processor time", flush=True)
            continue
        chosen, seconds, megabytes = run
        unit = unit or seconds
        centres = rows[chosen].astype(np.float32).T
        likeness = np.concatenate(
            [
                (rows[start : start + BLOCK_IMAGES].astype(np.float32) @ centres).max(axis=1)
                for start in range(0, len(rows), BLOCK_IMAGES)
            ]
        )
        print(
            f"{name:15} {likeness.min():6.3f} {likeness.mean():6.3f}"
            f" {len(set(sources[chosen].tolist())):9} {seconds:7.2f} {seconds / unit:6.2f}"
            f" {megabytes:5.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--labels", type=Path, nargs="*", default=[])
    parser.add_argument("--noisy", type=int, nargs="*", default=[])
    parser.add_argument("--samples", type=int, nargs="*", default=[])
    parser.add_argument("--limit", type=float, default=30, metavar="MINUTES")
    parser.add_argument("--only", nargs="*", default=[], choices=list(METHODS))
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
        if not options.noisy and not options.samples:
            compare(title, rows[places], labels, options.limit, options.only)
    places, names = list(everything), np.array(list(everything.values()))
    for count in options.noisy:
        repeated, chosen = noisy(rows[places], count)
        compare("noisy", repeated, names[chosen], options.limit, options.only)
    for count in options.samples:
        compare_samples(*noisy(rows[places], count), options.limit)


if __name__ == "__main__":
    main()
