"""Compares the files of a scan with the catalog."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, Table, and_, literal, not_, select

from imgsearch.catalog import rows
from imgsearch.catalog.dialects import joined, one_of, path_between
from imgsearch.catalog.tables import embeddings, images, roots, skipped
from imgsearch.records import (
    METADATA_VERSION,
    Comparison,
    ImageFile,
    Known,
    Skipped,
    Unvisited,
)
from imgsearch.vectors import Ids


class _Terms(NamedTuple):
    """Values that each file of a batch is compared with: the versions of the decoders, the sizes
    that occur in the catalog, and the paths to be verified."""

    decoder: str
    sizes: Set[int]
    pending: Set[str]


def compare(
    connection: Connection,
    root_id: int | None,
    space_id: int | None,
    decoder: str,
    files: Sequence[ImageFile | Skipped],
    pending: Set[str] = frozenset(),
) -> Comparison:
    """The work to do for these files of one root; those of the paths `pending` to be verified."""
    result = Comparison()
    paths = [(f if isinstance(f, ImageFile) else f.file).path for f in files]
    known = _images(connection, root_id, space_id, paths)
    skips = _skipped(connection, root_id, paths)
    sizes = _sizes(connection, [f.size for f in files if isinstance(f, ImageFile)])
    terms = _Terms(decoder, sizes, pending)
    for path, file in zip(paths, files, strict=True):
        image, skip = known.get(path), skips.get(path)
        if image is not None:
            result.image_ids.append(image.id)
        if skip is not None:
            result.skipped_ids.append(skip.id)
        if isinstance(file, Skipped):
            _compare_skipped(result, file, skip)
        else:
            _compare_file(result, file, image, skip, terms)
    return result


def _compare_skipped(result: Comparison, file: Skipped, skip: Row[Any] | None) -> None:
    if (
        skip is not None
        and skip.reason == file.reason
        and _same(skip, file.file)
        and _is_stamped(skip, file.file)
    ):
        result.still_skipped += 1
    else:
        result.to_skip.append(file)


def _compare_file(
    result: Comparison,
    file: ImageFile,
    image: Row[Any] | None,
    skip: Row[Any] | None,
    terms: _Terms,
) -> None:
    same = image is not None and _same(image, file)
    if image is not None and same and image.status != "present":
        result.returned.append(Known(file, image.content_hash))
    elif image is not None and same and image.embedded:
        _compare_unchanged(result, file, image, terms)
    elif skip is not None and _same(skip, file) and _is_final(skip, terms):
        _compare_skipped(result, Skipped(file, skip.reason), skip)
    else:
        result.changed += image is not None
        maybe_known = not same and file.size in terms.sizes
        (result.to_digest if maybe_known else result.to_encode).append(file)


def _is_final(skip: Row[Any], terms: _Terms) -> bool:
    return bool(skip.decoder == terms.decoder and not skip.transient)


def _compare_unchanged(result: Comparison, file: ImageFile, image: Row[Any], terms: _Terms) -> None:
    """Compare attributes that may have changed beside the bytes of a file."""
    if image.sidecar_stamp != file.sidecar_stamp:
        result.changed += 1
        result.to_describe.append(file)
    elif file.path in terms.pending:
        result.to_verify.append(file)
    elif _is_stamped(image, file):
        result.unchanged += 1
    else:
        result.restamped.append(Known(file, image.content_hash))


def _same(row: Row[Any], file: ImageFile) -> bool:
    """True if the bytes must be those that the row was made from.

    Programs can give another file the same size and mtime, but not the same ctime. Where ctime or
    inode is 0, in the catalog or in the scan, it is unknown.
    """
    return (
        row.size == file.size
        and row.mtime_ns == file.mtime_ns
        and agree(row.ctime_ns, file.ctime_ns)
        and agree(row.inode, file.inode)
    )


def agree(one: int, other: int) -> bool:
    """True for equal stamps of a file, and if one of them is unknown (0)."""
    return one == other or not one or not other


def _is_stamped(row: Row[Any], file: ImageFile) -> bool:
    return bool((row.ctime_ns, row.inode) == (file.ctime_ns, file.inode))


def _images(
    connection: Connection, root_id: int | None, space_id: int | None, paths: Sequence[str]
) -> dict[str, Row[Any]]:
    embedded = (
        select(embeddings.c.id)
        .where(embeddings.c.image_id == images.c.id, embeddings.c.space_id == space_id)
        .exists()
    )
    columns = (
        images.c.id,
        images.c.path,
        images.c.size,
        images.c.mtime_ns,
        images.c.ctime_ns,
        images.c.inode,
        images.c.sidecar_stamp,
        images.c.status,
        images.c.content_hash,
    )
    by_path = {}
    for chunk in rows.chunks(paths):
        query = select(*columns, embedded.label("embedded")).where(
            images.c.root_id == root_id, one_of(connection, images.c.path, chunk)
        )
        by_path.update({row.path: row for row in connection.execute(query)})
    return by_path


def _skipped(
    connection: Connection, root_id: int | None, paths: Sequence[str]
) -> dict[str, Row[Any]]:
    by_path = {}
    for chunk in rows.chunks(paths):
        here = one_of(connection, skipped.c.path, chunk)
        query = select(skipped).where(skipped.c.root_id == root_id, here)
        by_path.update({row.path: row for row in connection.execute(query)})
    return by_path


def _sizes(connection: Connection, sizes: Sequence[int]) -> set[int]:
    """The sizes that also occur in the catalog; only such files can have known bytes."""
    known: set[int] = set()
    for chunk in rows.chunks(sizes):
        query = select(images.c.size).where(images.c.size.in_(chunk)).distinct()
        known.update(connection.execute(query).scalars())
    return known


def outdated(connection: Connection, files: Sequence[ImageFile]) -> set[tuple[str, str]]:
    """Root and path of the files whose metadata an older reader has read."""
    found: set[tuple[str, str]] = set()
    for chunk in rows.chunks([file.path for file in files]):
        query = (
            select(roots.c.path.label("root"), images.c.path)
            .join(roots)
            .where(
                one_of(connection, images.c.path, chunk),
                images.c.metadata_version < METADATA_VERSION,
            )
        )
        found.update((row.root, row.path) for row in connection.execute(query))
    return found


def below(path: ColumnElement[Any], folder: str) -> ColumnElement[bool]:
    """The condition that a path lies in a folder, at any depth.

    "0" follows "/", so all paths that start with the folder and a slash sort between the two. A
    byte that is not UTF-8 is stored as "//d" and three digits; right after the folder it is part
    of a longer name, not a slash.
    """
    ends = (literal(folder + end, path.type) for end in ("/", "0"))
    escaped = path.between(folder + "//d", folder + "//e")
    return and_(path_between(path, *ends), not_(escaped))


def missing(
    connection: Connection,
    table: Table,
    root_id: int | None,
    scope: str,
    seen: Ids,
    unvisited: Sequence[Unvisited],
) -> list[int]:
    """Ids of the rows below `scope` that were not seen, except below `unvisited` folders."""
    if any(not folder.path for folder in unvisited):
        return []
    condition = [table.c.root_id == root_id]
    if table is images:
        condition.append(table.c.status != "gone")
    if scope:
        condition.append(below(table.c.path, scope))
    query = select(joined(table.c.id)).where(*condition)
    present = np.fromstring(connection.execute(query).scalar() or "", np.int64, sep=",")
    unseen = present[~np.isin(present, seen)]
    if not unvisited:
        return [int(i) for i in unseen]
    kept = tuple(folder.path + "/" for folder in unvisited)
    return [
        row.id
        for chunk in rows.chunks([int(i) for i in unseen])
        for row in connection.execute(select(table.c.id, table.c.path).where(table.c.id.in_(chunk)))
        if not row.path.startswith(kept)
    ]
