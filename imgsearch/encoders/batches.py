"""Batches of similar inputs, and preparing the next batch while the device computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TypeVar

Source = TypeVar("Source")
Result = TypeVar("Result")

MAX_PADDING_SHARE = 0.1
"""Maximum share of padding in a batch."""


def plan_batches(costs: Sequence[float], size: int, room: float = math.inf) -> list[list[int]]:
    """Indices of the inputs, longest first, in batches of at most `size` with little padding.

    Parameters
    ----------
    costs : sequence of float
        Length of each input in the unit of the padding, such as tokens.
    room : float
        Maximum size of a batch with its padding, in the same unit. An input that exceeds it is a
        batch of its own.

    Returns
    -------
    list of lists of int
        Every index from 0 to len(costs) - 1 once.
    """
    order = sorted(range(len(costs)), key=lambda place: -costs[place])
    batches: list[list[int]] = []
    filled = 0.0
    for place in order:
        if batches and len(batches[-1]) < size:
            longest, count = costs[batches[-1][0]], len(batches[-1]) + 1
            padded = longest * count
            if padded <= room and filled + costs[place] >= (1 - MAX_PADDING_SHARE) * padded:
                batches[-1].append(place)
                filled += costs[place]
                continue
        batches.append([place])
        filled = costs[place]
    return batches


def split_batches(batches: Sequence[list[int]], size: int) -> list[list[int]]:
    """The same indices in the same order, in batches of at most `size`."""
    return [batch[i : i + size] for batch in batches for i in range(0, len(batch), size)]


def halved(batches: Sequence[list[int]], refusal: Exception) -> tuple[list[list[int]], int]:
    """Batches half the size of the first, which did not fit in memory, and their size.

    Raises
    ------
    refusal
        The first batch has only one input.
    """
    if len(batches[0]) == 1:
        raise refusal
    half = (len(batches[0]) + 1) // 2
    return split_batches(batches, half), half


def ahead(
    executor: Executor, prepare: Callable[[Source], Result], sources: Iterable[Source]
) -> Iterator[tuple[Source, Result]]:
    """Yield each source with its result, in order, while the next one is being prepared."""
    current = None
    for source in sources:
        upcoming = source, executor.submit(prepare, source)
        if current:
            yield current[0], current[1].result()
        current = upcoming
    if current:
        yield current[0], current[1].result()
