"""The map of a library: positions of its pictures, kept up as it grows, and regions with names.

The file `maps/<library uuid>.<space key>.npz` in the library folder holds the position of each
picture and the revision and token of the catalog that it has reached. Pictures that have come since
are placed beside the landmarks, and no other picture moves. On any doubt it is made from scratch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from imgsearch.curation.array_files import read_arrays, write_arrays
from imgsearch.curation.density import DensityLevel, density_levels
from imgsearch.curation.layout import MAX_LANDMARKS, Positions, beside, layout
from imgsearch.errors import QueryError
from imgsearch.indexing.index_files import sync
from imgsearch.ports import VectorIndex
from imgsearch.records import Cluster, Revision
from imgsearch.vectors import EmbeddingSpace, Ids

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog

FOLDER = "maps"
GROWTH = 2.0
"""From this growth on, a note says that a new map would be finer."""
CORE_SHARE = 0.8
"""Share of the pictures of a cluster that its outline is drawn around: those nearest to its
middle."""
MAX_OUTLINED_IMAGES = 20_000
"""Pictures of a cluster that its outline is made of."""
COLOURS = (
    (136, 138, 142), (64, 99, 216), (217, 95, 2), (27, 140, 92), (197, 59, 122), (125, 86, 193),
    (178, 134, 0), (14, 134, 160), (196, 64, 52), (94, 142, 40), (146, 88, 48), (206, 108, 200),
    (60, 128, 190),
)  # fmt: skip
"""Red, green and blue; the first for pictures in no cluster. All are seen on white and on black."""
_BLOCK_IMAGES = 8192

Corner = tuple[float, float]


class KeptMap(NamedTuple):
    """Positions of pictures, and the state of the catalog they belong to.

    Attributes
    ----------
    made_of : int
        Pictures of the library when the map was made.
    ids : ndarray of shape (n,), int64, sorted
    positions : ndarray of shape (n, 2), float32
        x and y, from -1 to 1.
    landmarks : ndarray of shape (n,), bool
        The pictures that were laid out together; the others lie beside them.
    """

    revision: Revision
    token: str
    made_of: int
    ids: Ids
    positions: Positions
    landmarks: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MapRegion:
    """Where a cluster lies.

    Attributes
    ----------
    id, name, parent
        Those of the cluster; `parent` is None for a broad one.
    count : int
        Its pictures on the map.
    x, y : float
        Its middle: the median of its pictures in each direction.
    outline : tuple of (float, float)
        Corners of the convex hull of its core, in order; none for pictures on one line.
    """

    id: int
    name: str
    parent: int | None
    count: int
    x: float
    y: float
    outline: tuple[Corner, ...]


@dataclass(frozen=True, slots=True)
class PictureMap:
    """Pictures on a plane, on which similar ones lie together.

    Attributes
    ----------
    model : str
        Whose vectors were laid out.
    state : str
        Names the positions and clusters: equal maps of a library have equal states.
    ids : ndarray of shape (n,), int64, sorted
    positions : ndarray of shape (n, 2), float32
        x to the right and y upwards, from -1 to 1.
    clusters : ndarray of shape (n,), int64
        Id of the innermost cluster of each picture; 0 for none.
    regions : tuple of MapRegion
        Where the clusters lie, largest first.
    unindexed : int
        Pictures of the library without a vector of the model, which are not on the map.
    """

    model: str
    state: str
    ids: Ids
    positions: Positions
    clusters: Ids
    regions: tuple[MapRegion, ...]
    unindexed: int

    def broad(self) -> tuple[MapRegion, ...]:
        """Where the broad clusters lie, largest first."""
        return tuple(each for each in self.regions if each.parent is None)

    def colour_numbers(self) -> dict[int, int]:
        """For the id of each region the place in `COLOURS` of its broad cluster; 0 for none."""
        numbers = {each.id: n % (len(COLOURS) - 1) + 1 for n, each in enumerate(self.broad())}
        return {each.id: numbers.get(each.parent or each.id, 0) for each in self.regions}

    def colours(self) -> NDArray[np.uint8]:
        """The same for each picture."""
        of_cluster = self.colour_numbers()
        keys, places = np.unique(self.clusters, return_inverse=True)
        found = np.array([of_cluster.get(key, 0) for key in keys.tolist()], np.uint8)
        chosen: NDArray[np.uint8] = found[places]
        return chosen

    def levels(self) -> tuple[DensityLevel, ...]:
        """Lines around the densest parts; see `density_levels`."""
        return density_levels(self.positions)

    def spread(self, count: int) -> NDArray[np.intp]:
        """Places of pictures that lie all over the map; all of them if there are no more.

        The map is divided into squares, and of each the picture nearest to its middle is taken.
        """
        if len(self.ids) <= count:
            return np.arange(len(self.ids))
        side = max(1, int(count**0.5))
        scaled = (self.positions.astype(np.float64) + 1) / 2 * side
        squares = np.clip(scaled.astype(np.intp), 0, side - 1)
        far = ((scaled - squares - 0.5) ** 2).sum(axis=1)
        order = np.lexsort((far, squares @ np.array([1, side])))
        first = np.unique((squares @ np.array([1, side]))[order], return_index=True)[1]
        return np.sort(order[first])

    def inside(self, corners: Sequence[Corner]) -> Ids:
        """Ids of the pictures inside a polygon, sorted; see `inside`."""
        return inside(self.ids, self.positions, corners)


def inside(ids: Ids, positions: Positions, corners: Sequence[Corner]) -> Ids:
    """The ids of the points inside a polygon of three or more corners, in their order.

    A point is inside if a ray to the right crosses an odd number of edges.
    """
    polygon = np.array(corners, np.float64)
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    near = np.flatnonzero(((positions >= low) & (positions <= high)).all(axis=1))
    x, y = positions[near].astype(np.float64).T
    odd = np.zeros(len(near), np.bool_)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, 1, axis=0), strict=True):
        crosses = (y1 > y) != (y2 > y)
        odd[crosses] ^= x[crosses] < (x2 - x1) * (y[crosses] - y1) / (y2 - y1) + x1
    return ids[near[odd]]


def region_to_plain(region: MapRegion) -> dict[str, Any]:
    """A region as values for JSON."""
    return {
        "id": region.id,
        "name": region.name,
        "parent": region.parent,
        "count": region.count,
        "x": round(region.x, 4),
        "y": round(region.y, 4),
        "outline": [[round(x, 4), round(y, 4)] for x, y in region.outline],
    }


# Positions


def kept_map(
    catalog: Catalog,
    index: VectorIndex,
    note: Callable[[str], None],
    refit: bool = False,
    seed: int = 0,
) -> KeptMap:
    """The map of the index's space, caught up with the catalog and stored.

    It is not stored where the library cannot be written to.

    Parameters
    ----------
    refit : bool
        Lay out all pictures again.
    seed : int
        Of the landmarks of a large library.

    Raises
    ------
    QueryError
        Fewer than two pictures.
    """
    path = _path(catalog, index.space)
    with catalog.snapshot():
        stored, doubt = (None, "") if refit else read_map(catalog, index.space)
        if doubt:
            note(f"The map is made again, and pictures move: {doubt}.")
        if stored is not None and (stored.revision, stored.token) == catalog.head():
            return stored
        sync(catalog, index)
        kept = _made(catalog, index, seed) if stored is None else _grown(catalog, index, stored)
    if len(kept.ids) >= GROWTH * kept.made_of:
        note(
            f"The map was made of {kept.made_of} pictures, and has {len(kept.ids)} now."
            " To make a finer one, on which all pictures move: imgsearch map --refit"
        )
    write_arrays(path, **kept._asdict())
    return kept


def read_map(catalog: Catalog, space: EmbeddingSpace) -> tuple[KeptMap | None, str]:
    """The stored map, which may lack the latest pictures; or None and the reason in words."""
    values, doubt = read_arrays(_path(catalog, space))
    if values is None:
        return None, doubt
    kept = KeptMap(
        int(values["revision"]),
        str(values["token"]),
        int(values["made_of"]),
        values["ids"],
        values["positions"],
        values["landmarks"],
    )
    if not catalog.replayable(kept.revision, kept.token):
        return None, "the stored one belongs to another state of the library"
    return kept, ""


def _path(catalog: Catalog, space: EmbeddingSpace) -> str:
    return os.path.join(catalog.folder, FOLDER, f"{catalog.uuid}.{space.key}.npz")


def _made(catalog: Catalog, index: VectorIndex, seed: int) -> KeptMap:
    """A map of all pictures that have a vector."""
    ids = index.among(catalog.vector_ids(index.space))
    if len(ids) < 2:
        raise QueryError(
            "a map needs two pictures or more, and the library has"
            f" {'one' if len(ids) else 'none'}",
            "Add more: imgsearch index FOLDER",
        )
    chosen = np.ones(len(ids), np.bool_)
    if len(ids) > MAX_LANDMARKS:
        drawn = np.random.default_rng(seed).choice(len(ids), MAX_LANDMARKS, replace=False)
        chosen = np.isin(np.arange(len(ids)), drawn)
    vectors = index.vectors(ids[chosen])
    positions = np.empty((len(ids), 2), np.float32)
    positions[chosen] = layout(vectors)
    fixed, rest = positions[chosen], np.flatnonzero(~chosen)
    for start in range(0, len(rest), _BLOCK_IMAGES):
        block = rest[start : start + _BLOCK_IMAGES]
        positions[block] = beside(index.vectors(ids[block]), vectors, fixed)
    return KeptMap(*catalog.head(), len(ids), ids, positions, chosen)


def _grown(catalog: Catalog, index: VectorIndex, stored: KeptMap) -> KeptMap:
    """The map with the changes since: pictures that stay keep their positions."""
    present = index.among(catalog.vector_ids(index.space))
    changed = [batch.ids for batch in catalog.changes(index.space, stored.revision)]
    new = np.concatenate([np.empty(0, np.int64), *changed])
    stay = np.isin(stored.ids, present) & ~np.isin(stored.ids, new)
    landmarks = stay & stored.landmarks
    if not landmarks.any():
        return _made(catalog, index, seed=0)
    vectors, fixed = index.vectors(stored.ids[landmarks]), stored.positions[landmarks]
    ids = np.setdiff1d(present, stored.ids[stay], assume_unique=True)
    added = np.empty((len(ids), 2), np.float32)
    for start in range(0, len(ids), _BLOCK_IMAGES):
        block = slice(start, start + _BLOCK_IMAGES)
        added[block] = beside(index.vectors(ids[block]), vectors, fixed)
    every = np.concatenate([stored.ids[stay], ids])
    order = np.argsort(every)
    return KeptMap(
        *catalog.head(),
        stored.made_of,
        every[order],
        np.concatenate([stored.positions[stay], added])[order],
        np.concatenate([landmarks[stay], np.zeros(len(ids), np.bool_)])[order],
    )


# Clusters on the map


def picture_map(catalog: Catalog, space: EmbeddingSpace, kept: KeptMap, ids: Ids) -> PictureMap:
    """Some pictures on the map, with the clusters that they are in.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, sorted
        Those that are not on the map are left out.
    """
    here = np.isin(kept.ids, ids, assume_unique=True)
    shown, positions = kept.ids[here], kept.positions[here]
    labels = np.zeros(len(shown), np.int64)
    for key, members in catalog.cluster_members(space).items():
        labels[np.isin(shown, members, assume_unique=True)] = key
    clusters = catalog.clusters(space)
    return PictureMap(
        space.model,
        map_state(kept, clusters),
        shown,
        positions,
        labels,
        tuple(
            region
            for each in clusters
            if (region := _region(each, clusters, labels, positions)) is not None
        ),
        catalog.count() - len(kept.ids),
    )


def map_state(kept: KeptMap, clusters: Sequence[Cluster]) -> str:
    """Names positions and clusters: the state of a `PictureMap` of them."""
    named = [(each.id, each.parent, each.name, each.count) for each in clusters]
    head = repr((kept.revision, kept.token, kept.made_of, named)).encode("utf-8", "surrogatepass")
    return xxhash.xxh3_128_hexdigest(head + kept.positions[:1000].tobytes())


def _region(
    cluster: Cluster, clusters: Sequence[Cluster], labels: Ids, positions: Positions
) -> MapRegion | None:
    keys = [each.id for each in clusters if cluster.id in (each.id, each.parent)]
    own = positions[np.isin(labels, keys)]
    if not len(own):
        return None
    x, y = np.median(own, axis=0).tolist()
    return MapRegion(cluster.id, cluster.name, cluster.parent, len(own), x, y, _outline(own, x, y))


def _outline(points: Positions, x: float, y: float) -> tuple[Corner, ...]:
    """The convex hull of the points nearest to the middle."""
    from scipy.spatial import ConvexHull, QhullError

    points = points[:: -(-len(points) // MAX_OUTLINED_IMAGES)]
    far = ((points - np.array([x, y])) ** 2).sum(axis=1)
    core = points[np.argsort(far, kind="stable")[: max(3, round(CORE_SHARE * len(points)))]]
    try:
        corners = core[ConvexHull(core.astype(np.float64)).vertices]
    except (QhullError, ValueError):  # fewer than three, or all on one line
        return ()
    return tuple((float(one), float(other)) for one, other in corners)
