"""Converts samples of any depth (integers, floats, scientific data) to 8 bits.

A picture keeps its brightness if its depth defines black and white. Otherwise the range of its
values is stretched, without the few that lie far outside: hot pixels and no-data values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_CONTAINER_BITS = (8, 10, 12, 14, 16, 24, 32, 64)
_MIN_SHARE_OF_CONTAINER = 1 / 3  # below that, the container does not say what black and white are
_MAX_SAMPLED = 1 << 20  # values that decide on the range
_MAX_OUTLIER_SHARE = 1 / 1000  # of the values, at each end
_MIN_OUTLIERS = 8  # one hot pixel may be several values of a small picture
_MIN_GAP_SHARE = 1 / 4  # between an outlier and the others, as a share of their range
_MIN_DISTINCT = 16  # fewer values are a drawing, which has no outliers
_MIN_NO_DATA = 1e30  # above that, a float stands for "no data"


def eight_bits(
    values: NDArray[Any], declared_bits: int = 0, no_data: float | None = None
) -> NDArray[np.uint8]:
    """Samples of any type as uint8; a gradient stays a gradient.

    Whole numbers keep their place in the depth that the file declares, or else in the smallest
    common depth that holds them (12-bit scans come in 16-bit files); floats keep theirs in 0 to 1.
    Values that fill only a small part of that, or lie outside, are stretched over 0 to 255.

    Parameters
    ----------
    values : ndarray of integers or floats, of any shape
    declared_bits : int, optional
        Bits per sample that the file declares, if they are fewer than those of `values`.
    no_data : float, optional
        The value of samples without data, which become 0.
    """
    if values.dtype.kind == "f" and values.dtype.itemsize < 4:
        values = values.astype(np.float32)
    valid = _valid(values, no_data)
    sample = _sample(values if valid is None else values[valid])
    if not sample.size:
        return np.zeros(values.shape, np.uint8)
    low, high = _black_and_white(*robust_range(sample), values.dtype, declared_bits)
    return _scaled(values, low, high, valid)


def fills_its_depth(upper_bytes: NDArray[np.uint8]) -> bool:
    """True if `eight_bits` would keep samples with these upper bytes where they are."""
    low, high = robust_range(_sample(upper_bytes))
    return high - low >= _MIN_SHARE_OF_CONTAINER * 255


def opaque_value(alpha: NDArray[Any], bits: int) -> float:
    """The alpha of an opaque sample.

    It is the limit of the depth, or the highest value if that is the limit of a smaller depth: 4095
    beside colours of 12 bits.
    """
    if alpha.dtype.kind == "f":
        return 1.0
    limits = [(1 << each) - 1 for each in _CONTAINER_BITS if each < bits]
    high = int(alpha.max(initial=0))
    return float(high if high in limits else (1 << bits) - 1)


def robust_range(values: NDArray[Any]) -> tuple[float, float]:
    """Minimum and maximum of sorted values, without hot pixels and no-data values.

    Left out are a single value that is far from all others, and the few values at either end that
    are behind a gap.
    """
    values = _without_lone_value(_without_lone_value(values, 0), -1)
    count = min(len(values) // 100, max(_MIN_OUTLIERS, int(len(values) * _MAX_OUTLIER_SHARE)))
    low, high = float(values[count]), float(values[-1 - count])
    gap = _MIN_GAP_SHARE * (high - low)
    top = values[len(values) - 1 - count :].astype(np.float64)
    bottom = values[count::-1].astype(np.float64)
    if not gap:
        return float(values[0]), float(values[-1])
    return _before_gap(bottom, gap), _before_gap(top, gap)


def _valid(values: NDArray[Any], no_data: float | None) -> NDArray[np.bool_] | None:
    """True for samples with data; None if all have some."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            valid = np.abs(values) < _MIN_NO_DATA  # False for NaN
    else:
        valid = np.ones(values.shape, bool)
    if no_data is not None:
        valid &= values != no_data
    return None if valid.all() else valid


def _sample(values: NDArray[Any]) -> NDArray[Any]:
    flat = values.reshape(-1)
    return np.sort(flat[:: max(1, flat.size // _MAX_SAMPLED)])


def _without_lone_value(values: NDArray[Any], end: int) -> NDArray[Any]:
    """Sorted values without the one at an end, however frequent, that is far from the others.

    At the limit of an unsigned type, which is an ordinary white, it must be farther. 0 is also a
    no-data value if the others are not near it: a photo whose values fill a third of the depth
    looks the same either way.
    """
    lone = values[end]
    at = np.searchsorted(values, lone, "right" if end == 0 else "left")
    rest = values[at:] if end == 0 else values[:at]
    if len(rest) < _MIN_DISTINCT or len(np.unique(rest)) < _MIN_DISTINCT:
        return values
    inner = rest[len(rest) // 100 : len(rest) - len(rest) // 100]
    span = float(inner[-1]) - float(inner[0])
    gap = abs(float(rest[end]) - float(lone))
    farness = 4 if values.dtype.kind == "u" and lone != 0 else 1
    return values if gap <= farness * span else rest


def _before_gap(values: NDArray[np.float64], gap: float) -> float:
    """The last value before the first step larger than `gap`."""
    steps = np.abs(np.diff(values)) > gap
    return float(values[int(steps.argmax())] if steps.any() else values[-1])


def _black_and_white(
    low: float, high: float, dtype: np.dtype[Any], declared_bits: int
) -> tuple[float, float]:
    white = _container(high, dtype, declared_bits) if low >= 0 else 0.0
    fills_it = high - low >= _MIN_SHARE_OF_CONTAINER * white or high == low
    return (0.0, white) if white and fills_it else (low, high)


def _container(high: float, dtype: np.dtype[Any], declared_bits: int) -> float:
    """The value of white; 0 if there is none."""
    if dtype.kind == "f":
        return 1.0 if high <= 1 else 0.0
    if declared_bits >= 8 and high < 1 << declared_bits:
        return float((1 << declared_bits) - 1)
    limit = dtype.itemsize * 8 - (dtype.kind == "i")
    fitting = (bits for bits in _CONTAINER_BITS if high < 1 << bits or bits >= limit)
    return float((1 << min(next(fitting), limit)) - 1)


def _scaled(
    values: NDArray[Any], low: float, high: float, valid: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    scale = 255.0 / (high - low) if high > low else 0.0
    out = np.empty(values.shape, np.uint8)
    for row in range(len(values)):  # by rows: floats of all of it would take eight times the memory
        with np.errstate(all="ignore"):
            line = (values[row].astype(np.float64) - low) * scale
        shown = np.nan_to_num(line, nan=0.0).clip(0, 255)
        out[row] = shown.round() if valid is None else np.where(valid[row], shown.round(), 0)
    return out
