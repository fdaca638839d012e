"""Makes the clusters of a library, lets new pictures join them, and describes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from imgsearch.curation import names
from imgsearch.curation.lineage import continued
from imgsearch.curation.partition import OUTLIER, Partition, nearest, partition
from imgsearch.curation.vocabulary import WORDS
from imgsearch.errors import CatalogError, ImgSearchError, LibraryBusy, QueryError
from imgsearch.indexing.index_files import sync
from imgsearch.ports import Encoder, VectorIndex
from imgsearch.records import Cluster, ClusterFacts, Clustering, ClusterTree, ImageRecord
from imgsearch.vectors import Embeddings, Ids

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog

DIGEST = xxhash.xxh3_128_hexdigest("\0".join(WORDS).encode())
REFIT_GROWTH_RATIO = 2.0
"""From this growth on, a note says that a new partition would be finer."""
MAX_RATED_IMAGES = 5000
"""Pictures of a cluster among which examples are chosen."""
_NO_IDS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class ClusterSummary:
    """A cluster for people.

    Attributes
    ----------
    cluster : Cluster
    facts : ClusterFacts
    examples : tuple of ImageRecord
        The most typical pictures, the medoid first; of a broad cluster the medoids of its parts.
    """

    cluster: Cluster
    facts: ClusterFacts
    examples: tuple[ImageRecord, ...]


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """The clusters of a library.

    Attributes
    ----------
    model : str
        The model whose vectors were grouped.
    clusters : list of ClusterSummary
        Broad ones, largest first, each followed by its parts.
    outliers : list of ImageRecord
        Pictures that belong to no cluster, `outlier_count` in all.
    pictures : int
        Pictures in clusters, and outliers.
    waiting : int
        Pictures that are not in clusters yet.
    unindexed : int
        Pictures of the library without a vector of the model.
    """

    model: str
    clusters: list[ClusterSummary]
    outliers: list[ImageRecord]
    outlier_count: int
    pictures: int
    waiting: int
    unindexed: int


class Clusters:
    """The clusters of one space.

    Parameters
    ----------
    index : VectorIndex
        The index of the space.
    encoder : callable
        Returns the encoder of the space; called when names are given, once in the life of a space.
    note : callable
        Gets notes for the user, one sentence each.
    """

    def __init__(
        self,
        catalog: Catalog,
        index: VectorIndex,
        encoder: Callable[[], Encoder],
        note: Callable[[str], None],
    ) -> None:
        self._catalog, self._index, self._encoder, self._note = catalog, index, encoder, note
        self._space = index.space

    def bring_up(self, refit: bool = False, seed: int = 0) -> None:
        """Make the clusters if there are none; otherwise let new pictures join them.

        Parameters
        ----------
        refit : bool
            Make them in any case. Clusters that continue old ones keep their ids and names.
        seed : int
            Seed of the sample of a large library.

        Raises
        ------
        QueryError
            Fewer than two pictures.
        LibraryBusy, CatalogError
            The catalog cannot be written to, and there are no clusters yet.
        """
        made_of = self._catalog.clustering(self._space)
        if made_of is None or refit:
            self._make(seed)
        elif self._catalog.unclustered():
            self._join(made_of)

    def drop(self) -> None:
        """Delete the clusters."""
        with self._catalog.writer() as writer:
            writer.drop_clusters(self._space)

    def report(self, examples: int) -> ClusterReport:
        """The stored clusters, each with a number of example pictures."""
        with self._catalog.snapshot():
            members = self._catalog.cluster_members(self._space)
            clusters = [each for each in self._catalog.clusters(self._space) if each.count]
            outliers = members.pop(0, _NO_IDS)
            records = self._catalog.get(outliers[:examples].tolist())
            summaries = []
            for cluster in clusters:
                if cluster.parent is None:
                    parts = [each for each in clusters if each.parent == cluster.id]
                    for each in (cluster, *parts):
                        summaries.append(self._summary(each, parts, members, examples))
                        parts = []
            return ClusterReport(
                self._space.model,
                summaries,
                list(records.values()),
                len(outliers),
                len(outliers) + sum(map(len, members.values())),
                self._catalog.unclustered(),
                self._catalog.count() - len(self._catalog.vector_ids(self._space)),
            )

    def _summary(
        self, cluster: Cluster, parts: Sequence[Cluster], members: dict[int, Ids], examples: int
    ) -> ClusterSummary:
        if parts:
            ids = np.sort(np.concatenate([members[part.id] for part in parts]))
            chosen = [part.medoid for part in parts[:examples]]
        else:
            ids = members[cluster.id]
            chosen = self._typical(cluster, ids)[:examples]
        records = self._catalog.get(chosen)
        shown = tuple(records[each] for each in chosen if each in records)
        return ClusterSummary(cluster, self._catalog.cluster_facts(ids), shown)

    def _typical(self, cluster: Cluster, ids: Ids) -> list[int]:
        held = self._index.among(ids[:MAX_RATED_IMAGES])
        order = np.argsort(-(self._index.vectors(held) @ cluster.mean), kind="stable")
        rated: list[int] = held[order].tolist()
        first = [cluster.medoid] if cluster.medoid in set(ids.tolist()) else []
        return [*first, *(each for each in rated if each != cluster.medoid)]

    # New pictures

    def _join(self, made_of: Clustering) -> None:
        """Put pictures of later revisions into the nearest clusters."""
        stored = self._catalog.clusters(self._space)
        broad = {each.parent for each in stored}
        leaves = [each for each in stored if each.id not in broad]
        means = np.array([each.mean for each in leaves], np.float32)
        means = means.reshape(len(leaves), self._space.dimension)
        keys = np.array([*(each.id for each in leaves), 0])
        joined: dict[int, list[int]] = {}
        revision = made_of.revision
        for changes in self._catalog.changes(self._space, since=made_of.revision):
            labels = nearest(changes.vectors, means, made_of.threshold)
            for key, image_id in zip(keys[labels].tolist(), changes.ids.tolist(), strict=True):
                joined.setdefault(key, []).append(image_id)
            revision = changes.revision
        groups = {key: np.array(ids, np.int64) for key, ids in joined.items()}
        try:
            with self._catalog.writer() as writer:
                writer.join_clusters(self._space, revision, groups)
        except (LibraryBusy, CatalogError) as error:
            self._note(f"New pictures could not join the clusters: {error}.")
            return
        self._note_growth(made_of.pictures)

    def _note_growth(self, before: int) -> None:
        now = len(self._catalog.vector_ids(self._space))
        if now >= REFIT_GROWTH_RATIO * before:
            self._note(
                f"The clusters were made of {before} pictures, and there are {now} now."
                " To make finer ones, most of which keep their ids and names: --refit"
            )

    # A new partition

    def _make(self, seed: int) -> None:
        sync(self._catalog, self._index)
        revision = self._index.state.revision
        ids = self._index.among(self._catalog.vector_ids(self._space))
        if len(ids) < 2:
            raise QueryError(
                "the library has one picture, and nothing to group it with",
                "Add more: imgsearch index FOLDER",
            )
        found = partition(ids, self._index.vectors, seed)
        trees, digest, vectors = self._named(self._with_ids(self._trees(found)))
        outliers = ids[found.labels == OUTLIER]
        made_of = Clustering(revision, len(ids), found.threshold)
        with self._catalog.writer() as writer:
            writer.put_clusters(self._space, made_of, trees, outliers, digest, vectors)

    def _trees(self, found: Partition) -> list[ClusterTree]:
        """The groups as clusters without ids and names, largest first."""
        trees = []
        for number in range(int(found.broad.max(initial=-1)) + 1):
            parts = sorted(
                (_leaf(found, int(fine)) for fine in np.flatnonzero(found.broad == number)),
                key=lambda part: -part.cluster.count,
            )
            trees.append(parts[0] if len(parts) == 1 else self._parent(parts))
        return sorted(trees, key=lambda tree: -tree.cluster.count)

    def _parent(self, parts: Sequence[ClusterTree]) -> ClusterTree:
        counts = np.array([part.cluster.count for part in parts])
        mean = counts @ np.stack([part.cluster.mean for part in parts]) / counts.sum()
        medoids = np.array([part.cluster.medoid for part in parts], np.int64)
        best = int(medoids[(self._index.vectors(medoids) @ mean).argmax()])
        cluster = Cluster(0, None, "", best, mean.astype(np.float32), int(counts.sum()))
        return ClusterTree(cluster, _NO_IDS, tuple(parts))

    def _with_ids(self, trees: Sequence[ClusterTree]) -> list[ClusterTree]:
        """The clusters with id and name of the old ones that they continue, on each level."""
        members = self._catalog.cluster_members(self._space)
        old = self._catalog.clusters(self._space)
        inside = {
            each.id: [
                members[key.id]
                for key in old
                if each.id in (key.id, key.parent) and key.id in members
            ]
            for each in old
        }
        old = [each for each in old if inside[each.id]]
        sets = {each.id: np.concatenate(inside[each.id]) for each in old}
        broad = _continued([each for each in old if each.parent is None], sets, trees)
        parts = [part for tree in broad for part in tree.parts]
        fine = iter(_continued([each for each in old if each.parent is not None], sets, parts))
        return [replace(tree, parts=tuple(next(fine) for _ in tree.parts)) for tree in broad]

    def _named(self, trees: Sequence[ClusterTree]) -> tuple[list[ClusterTree], str, Embeddings]:
        """The clusters, all with names, and the hash and the vectors of the words."""
        parts = [part for tree in trees for part in tree.parts]
        present = [tree.cluster.name for tree in (*trees, *parts)]
        digest, vectors = self._words(needed="" in present)
        taken = set(present) - {""}
        broad = names.completed(_clusters(trees), WORDS, vectors, taken)
        fine = iter(names.completed(_clusters(parts), WORDS, vectors, taken | set(broad)))
        named = [
            ClusterTree(
                replace(tree.cluster, name=name),
                tree.ids,
                tuple(
                    replace(part, cluster=replace(part.cluster, name=next(fine)))
                    for part in tree.parts
                ),
            )
            for tree, name in zip(trees, broad, strict=True)
        ]
        return named, digest, vectors

    def _words(self, needed: bool) -> tuple[str, Embeddings]:
        """The hash of the words and their vectors; "" and none if they are not needed, or the model
        cannot be loaded."""
        stored = self._catalog.cluster_words(self._space, DIGEST)
        if stored is not None:
            return DIGEST, stored
        if needed:
            try:
                return DIGEST, self._encoder().encode_texts(WORDS)
            except ImgSearchError as error:
                self._note(
                    f"The clusters have no names, because the model cannot be loaded: {error}."
                )
        return "", np.empty((0, self._space.dimension), np.float32)


def _leaf(found: Partition, fine: int) -> ClusterTree:
    ids = found.ids[found.labels == fine]
    cluster = Cluster(0, None, "", int(found.medoids[fine]), found.means[fine], len(ids))
    return ClusterTree(cluster, ids)


def _clusters(trees: Sequence[ClusterTree]) -> list[Cluster]:
    return [tree.cluster for tree in trees]


def _ids_of(tree: ClusterTree) -> Ids:
    return np.concatenate([part.ids for part in tree.parts]) if tree.parts else tree.ids


def _continued(
    old: Sequence[Cluster], sets: dict[int, Ids], trees: Sequence[ClusterTree]
) -> list[ClusterTree]:
    """The clusters of one level, with the ids and names of those that they continue."""
    pairs = continued([sets[each.id] for each in old], [_ids_of(tree) for tree in trees])
    return [
        replace(
            tree,
            cluster=replace(
                tree.cluster, id=old[pairs[place]].id, name=names.kept(old[pairs[place]].name)
            ),
        )
        if place in pairs
        else tree
        for place, tree in enumerate(trees)
    ]
