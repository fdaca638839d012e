"""Lines around the densest parts of a map, like the contour lines of a landscape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.curation.layout import Positions

SHARES = (0.9, 0.6, 0.3)
"""Shares of the pictures that lie inside the lines of a level, the outermost first."""
MIN_IMAGES = 16
"""With fewer pictures, every one of them would be a hill."""
REACH = 1.25
"""The grid reaches beyond the map, which ends at 1, so that lines around its edge are closed."""
CELLS = 160
MIN_BANDWIDTH_CELLS = 1.5

Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class DensityLevel:
    """Closed lines of one density.

    Attributes
    ----------
    share : float
        Share of the pictures in places at least as dense.
    lines : tuple of lines
        Each a tuple of corners (x, y); the last one is the first.
    """

    share: float
    lines: tuple[Line, ...]


def density_levels(positions: Positions) -> tuple[DensityLevel, ...]:
    """The levels of `SHARES`, or none for few pictures, or for pictures on one line.

    The density is estimated with a Gaussian kernel of half the width of Scott's rule (1992),
    because a map has many hills. A level is around the smallest area that holds its share of the
    density (Hyndman 1996, highest density regions).

    Parameters
    ----------
    positions : ndarray of shape (n, 2), float32
        From -1 to 1.
    """
    spread = positions.std(axis=0, dtype=np.float64) if len(positions) else np.zeros(2)
    if len(positions) < MIN_IMAGES or not spread.all():
        return ()
    from contourpy import contour_generator

    density = _density(positions, float(spread.mean()) * len(positions) ** (-1 / 6) / 2)
    middles = (np.arange(CELLS) + 0.5) * (2 * REACH / CELLS) - REACH
    generator = contour_generator(middles, middles, density)
    ranked = np.sort(density, axis=None)[::-1]
    sums = np.cumsum(ranked)
    levels = []
    for share in SHARES:
        height = ranked[np.searchsorted(sums, share * sums[-1])]
        levels.append(
            DensityLevel(share, tuple(_line(np.asarray(line)) for line in generator.lines(height)))
        )
    return tuple(levels)


def _density(positions: Positions, bandwidth: float) -> NDArray[np.float64]:
    """The density in each cell; rows are y."""
    from scipy.ndimage import gaussian_filter

    edges = np.linspace(-REACH, REACH, CELLS + 1)
    counts, _, _ = np.histogram2d(positions[:, 1], positions[:, 0], [edges, edges])
    cells = max(MIN_BANDWIDTH_CELLS, bandwidth * CELLS / (2 * REACH))
    smooth: NDArray[np.float64] = gaussian_filter(counts, cells, mode="constant")
    return smooth


def _line(corners: NDArray[np.float64]) -> Line:
    return tuple((round(x, 3), round(y, 3)) for x, y in corners.tolist())


def level_to_plain(level: DensityLevel) -> dict[str, Any]:
    """A level as values for JSON."""
    lines = [[list(corner) for corner in line] for line in level.lines]
    return {"share": level.share, "lines": lines}
