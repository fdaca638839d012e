"""Reads and writes clusters: groups of images by content; see `imgsearch.curation`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, literal, select, update

from imgsearch.catalog import rows
from imgsearch.catalog.dialects import BIG, among, upsert
from imgsearch.catalog.tables import (
    cluster_members,
    clusterings,
    embeddings,
    images,
    spaces,
)
from imgsearch.catalog.tables import clusters as table
from imgsearch.filters.text_keys import folded
from imgsearch.records import (
    Cluster,
    ClusterFacts,
    Clustering,
    ClusterTree,
    Revision,
    camera_name,
)
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids

OUTLIERS = 0
"""Stands for the cluster of images that are in none."""
MAX_FACT_IMAGES = 5000
"""Images of a cluster whose metadata is read."""


def clustering(connection: Connection, space_id: int | None) -> Clustering | None:
    """The last clustering of a space; None if there is none."""
    query = select(clusterings).where(clusterings.c.space_id == space_id)
    row = connection.execute(query).first()
    return None if row is None else Clustering(row.revision, row.pictures, row.threshold)


def clusters(connection: Connection, space_id: int | None, dimension: int) -> list[Cluster]:
    """The clusters of a space, largest first."""
    counts = _counts(connection, space_id)
    query = select(table).where(table.c.space_id == space_id)
    found = connection.execute(query).all()
    for row in found:
        if row.parent_id is not None:
            counts[row.parent_id] = counts.get(row.parent_id, 0) + counts.get(row.id, 0)
    records = [
        Cluster(
            row.id,
            row.parent_id,
            row.name,
            row.medoid_id,
            np.frombuffer(row.mean, rows.STORAGE, dimension).astype(np.float32),
            counts.get(row.id, 0),
        )
        for row in found
    ]
    return sorted(records, key=lambda cluster: (-cluster.count, cluster.id))


def _counts(connection: Connection, space_id: int | None) -> dict[int, int]:
    """Present images directly in each cluster: all of them, less the few that are not present."""
    count = func.count().label("pictures")
    key = cluster_members.c.cluster_id
    every = select(key, count).where(cluster_members.c.space_id == space_id).group_by(key)
    counts = {row.cluster_id: row.pictures for row in connection.execute(every)}
    absent = every.join(images).where(images.c.status.in_(("gone", "unreadable")))
    for row in connection.execute(absent):
        counts[row.cluster_id] -= row.pictures
    return counts


def members(connection: Connection, space_id: int | None) -> dict[int, Ids]:
    """Present images by the cluster that they are directly in; `OUTLIERS` for none."""
    query = (
        select(cluster_members.c.cluster_id, cluster_members.c.image_id)
        .join(images)
        .where(cluster_members.c.space_id == space_id, images.c.status == "present")
        .order_by(cluster_members.c.image_id)
    )
    ids: dict[int, list[int]] = defaultdict(list)
    for cluster_id, image_id in connection.execute(query):
        ids[cluster_id or OUTLIERS].append(image_id)
    return {key: np.array(each, np.int64) for key, each in ids.items()}


def unclustered(connection: Connection) -> int:
    """Number of present images newer than the clusters of their space."""
    query = (
        select(func.count())
        .select_from(embeddings)
        .join(images)
        .join(clusterings, clusterings.c.space_id == embeddings.c.space_id)
        .where(images.c.status == "present", embeddings.c.revision > clusterings.c.revision)
    )
    return int(connection.execute(query).scalar_one())


def facts(connection: Connection, ids: Ids) -> ClusterFacts:
    """Range of years, and the place and camera of most, of images of a cluster."""
    columns = ("taken_at", "city", "state", "country", "camera_make", "camera_model")
    query = select(*(images.c[name] for name in columns)).where(
        among(images.c.id, ids[:MAX_FACT_IMAGES].tolist())
    )
    found = connection.execute(query).all()
    years = sorted(row.taken_at.year for row in found if row.taken_at is not None)
    edge = len(years) // 20
    return ClusterFacts(
        tuple(sorted({years[edge], years[-1 - edge]})) if years else (),
        _usual([row.city or row.state or row.country for row in found]),
        _usual([camera_name(row.camera_make, row.camera_model) for row in found]),
    )


def _usual(values: Sequence[str | None]) -> str:
    """The value that at least half of the images have."""
    known = Counter(value for value in values if value)
    value, count = max(known.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    return value if 2 * count >= len(values) else ""


def words(
    connection: Connection, space_id: int | None, digest: str, dimension: int
) -> Embeddings | None:
    """The vectors of the words with this hash, or None."""
    query = select(clusterings.c.words).where(
        clusterings.c.space_id == space_id, clusterings.c.words_digest == digest
    )
    blob = connection.execute(query).scalar()
    if blob is None:
        return None
    size = dimension * rows.STORAGE.itemsize
    parts = [blob[start : start + size] for start in range(0, len(blob), size)]
    return rows.from_blobs(parts, dimension)


def replace(
    connection: Connection,
    space: EmbeddingSpace,
    made_of: Clustering,
    trees: Sequence[ClusterTree],
    outliers: Ids,
    digest: str,
    vectors: Embeddings,
) -> None:
    """Replace the clusters of a space. Those with an id keep it; others get one.

    Images that have left the catalog meanwhile are left out.

    Parameters
    ----------
    digest : str
        Hash of the words for names; "" without names.
    vectors : ndarray of shape (words, dimension), float32, unit norm
    """
    space_id = _id_of(connection, space)
    connection.execute(delete(cluster_members).where(cluster_members.c.space_id == space_id))
    connection.execute(delete(clusterings).where(clusterings.c.space_id == space_id))
    connection.execute(
        insert(clusterings).values(
            space_id=space_id,
            revision=made_of.revision,
            pictures=made_of.pictures,
            threshold=made_of.threshold,
            words_digest=digest,
            words=b"".join(rows.to_blob(each) for each in vectors),
        )
    )
    kept = [_put(connection, space_id, tree, None) for tree in trees]
    _put_members(connection, space_id, None, outliers)
    dropped = among(table.c.id, [i for ids in kept for i in ids], outside=True)
    stored = table.c.space_id == space_id, dropped
    connection.execute(update(table).where(*stored).values(parent_id=None))
    connection.execute(delete(table).where(*stored))


def _put(connection: Connection, space_id: int, tree: ClusterTree, parent: int | None) -> list[int]:
    """Write a cluster and those below it; their ids."""
    cluster = tree.cluster
    values: dict[str, Any] = {
        "parent_id": parent,
        "name": cluster.name,
        "name_key": folded(cluster.name),
        "medoid_id": cluster.medoid,
        "mean": rows.to_blob(cluster.mean),
    }
    change = update(table).where(table.c.id == cluster.id).values(**values)
    key = cluster.id
    if not key or not connection.execute(change).rowcount:  # another process may have deleted it
        query = insert(table).values(space_id=space_id, **values).returning(table.c.id)
        key = connection.execute(query).scalar_one()
    _put_members(connection, space_id, key, tree.ids)
    return [key, *(each for part in tree.parts for each in _put(connection, space_id, part, key))]


def _put_members(connection: Connection, space_id: int, cluster_id: int | None, ids: Ids) -> None:
    key = literal(cluster_id, BIG)
    there = select(literal(space_id), images.c.id, key).where(among(images.c.id, ids.tolist()))
    put = upsert(cluster_members).from_select(["space_id", "image_id", "cluster_id"], there)
    connection.execute(
        put.on_conflict_do_update(
            index_elements=["space_id", "image_id"], set_={"cluster_id": put.excluded.cluster_id}
        )
    )


def join(
    connection: Connection, space: EmbeddingSpace, revision: Revision, joined: Mapping[int, Ids]
) -> None:
    """Put images into clusters by id, `OUTLIERS` for none, and move to a revision."""
    space_id = _id_of(connection, space)
    for key, ids in joined.items():
        _put_members(connection, space_id, key or None, ids)
    connection.execute(
        update(clusterings).where(clusterings.c.space_id == space_id).values(revision=revision)
    )


def drop(connection: Connection, space: EmbeddingSpace) -> None:
    """Delete the clusters of a space."""
    space_id = _id_of(connection, space)
    connection.execute(delete(cluster_members).where(cluster_members.c.space_id == space_id))
    connection.execute(update(table).where(table.c.space_id == space_id).values(parent_id=None))
    for each in (table, clusterings):
        connection.execute(delete(each).where(each.c.space_id == space_id))


def _id_of(connection: Connection, space: EmbeddingSpace) -> int:
    query = select(spaces.c.id).where(spaces.c.key == space.key)
    return int(connection.execute(query).scalar_one())
