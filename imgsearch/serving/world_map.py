"""Clusters of pictures on the map of the world, in the Mercator projection of web maps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from imgsearch.errors import LibraryMissing, QueryError
from imgsearch.filters.tree import Filter
from imgsearch.library import Library
from imgsearch.records import ImageRecord, PositionCell

MAX_ZOOM = 20
CELLS_PER_TILE = 4
"""Cells of the grid along a tile, which a page shows 256 pixels wide: a cell is 64 pixels."""
BANDS_PER_COLUMN = 2
"""Bands of latitude for each column. SQLite may lack logarithms, so bands of equal degrees are
counted, which become rows of the projection here: at the equator a row has four of them."""
MAX_CELLS = 10_000
MAX_LATITUDE = 85.0511
"""Where the projection of web maps ends, as a square."""
JOIN_CELLS = 0.75
"""Clusters nearer to a larger one than this share of a cell become part of it."""


@dataclass(frozen=True, slots=True)
class WorldMap:
    """Clusters of the pictures that pass a filter.

    Attributes
    ----------
    total, located : int
        Number of pictures that pass the filter, and of those with a position.
    clusters : sequence of PositionCell
        The largest first.
    covers : dict of id to ImageRecord
    """

    total: int = 0
    located: int = 0
    clusters: Sequence[PositionCell] = ()
    covers: dict[int, ImageRecord] = field(default_factory=dict)


def world_map(library: Library, where: Filter | None, zoom: int) -> WorldMap:
    """Clusters of the pictures that pass a filter, for a zoom of a web map; none without a library.

    Raises
    ------
    QueryError
        There would be too many clusters.
    """
    try:
        catalog = library.catalog
    except LibraryMissing:
        return WorldMap()
    columns = CELLS_PER_TILE << zoom
    with catalog.snapshot():
        bands = BANDS_PER_COLUMN * columns
        cells = catalog.position_cells(where, columns, bands, MAX_CELLS + 1)
        if len(cells) > MAX_CELLS:
            raise QueryError(
                f"at zoom {zoom} there are more than {MAX_CELLS} places with pictures",
                "Use a smaller box, or a lower zoom.",
            )
        clusters = joined(cells, columns)
        covers = catalog.get([each.cover for each in clusters])
        located = sum(each.count for each in clusters)
        return WorldMap(catalog.count(where), located, clusters, covers)


def joined(cells: Iterable[PositionCell], columns: int) -> list[PositionCell]:
    """Clusters from cells of equal bands of degrees, the largest first: one for each cell of the
    projection, and those that lie close to a larger one joined with it.

    Parameters
    ----------
    columns : int
        Number of columns, and of rows, of the world.
    """
    rows: dict[tuple[int, int], list[PositionCell]] = {}
    for cell in cells:
        _, y = _place(cell, columns)
        rows.setdefault((cell.column, int(y)), []).append(cell)
    clusters = sorted(map(_merged, rows.values()), key=lambda each: (-each.count, each.cover))
    groups: dict[tuple[int, int], list[list[PositionCell]]] = {}
    found: list[list[PositionCell]] = []
    for each in clusters:
        x, y = _place(each, columns)
        at = int(x), int(y)
        around = (
            group
            for column in range(at[0] - 1, at[0] + 2)
            for row in range(at[1] - 1, at[1] + 2)
            for group in groups.get((column, row), ())
        )
        near = (
            group for group in around if math.dist(_place(group[0], columns), (x, y)) < JOIN_CELLS
        )
        group = next(near, None)
        if group is None:
            group = []
            groups.setdefault(at, []).append(group)
            found.append(group)
        group.append(each)
    return sorted(map(_merged, found), key=lambda each: (-each.count, each.cover))


def _place(cell: PositionCell, columns: int) -> tuple[float, float]:
    """The mean position in columns and rows from the north-west corner of the world."""
    latitude = math.radians(max(-MAX_LATITUDE, min(MAX_LATITUDE, cell.latitude)))
    y = 0.5 - math.asinh(math.tan(latitude)) / (2 * math.pi)
    return (cell.longitude / 360 + 0.5) * columns, y * columns


def _merged(cells: Sequence[PositionCell]) -> PositionCell:
    if len(cells) == 1:
        return cells[0]
    count = sum(each.count for each in cells)
    return PositionCell(
        cells[0].column,
        count,
        max(each.cover for each in cells),
        sum(each.latitude * each.count for each in cells) / count,
        sum(each.longitude * each.count for each in cells) / count,
        min(each.south for each in cells),
        min(each.west for each in cells),
        max(each.north for each in cells),
        max(each.east for each in cells),
    )
