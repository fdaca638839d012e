"""Batches of alike inputs, and the next one prepared while the device works on the present one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TypeVar

Source = TypeVar("Source")
Result = TypeVar("Result")

WASTE = 0.1
"""The share of padding that a batch may have at most."""


def plan_batches(costs: Sequence[float], size: int, room: float = math.inf) -> list[list[int]]:
    """Places of the inputs, longest first, in batches of at most `size` with little padding.

    Parameters
    ----------
    costs : sequence of float
        Length of each input in the unit that is padded, such as tokens.
    room : float
        What a batch may come to with its padding, in the same unit. A single input that is
        longer makes a batch of its own.

    Returns
    -------
    list of lists of int
        Every place from 0 to len(costs) - 1 once.
    """
    order = sorted(range(len(costs)), key=lambda place: -costs[place])
    batches: list[list[int]] = []
    filled = 0.0
    for place in order:
        if batches and len(batches[-1]) < size:
            longest, count = costs[batches[-1][0]], len(batches[-1]) + 1
            padded = longest * count
            if padded <= room and filled + costs[place] >= (1 - WASTE) * padded:
                batches[-1].append(place)
                filled += costs[place]
                continue
        batches.append([place])
        filled = costs[place]
    return batches


def split_batches(batches: Sequence[list[int]], size: int) -> list[list[int]]:
    """The same places in the same order, in batches of at most `size`."""
    return [batch[i : i + size] for batch in batches for i in range(0, len(batch), size)]


def halved(batches: Sequence[list[int]], refusal: Exception) -> tuple[list[list[int]], int]:
    """Batches of half the size of the first, which did not fit in memory, and that size.

    Raises
    ------
    refusal
        The first has one input only.
    """
    if len(batches[0]) == 1:
        raise refusal
    half = (len(batches[0]) + 1) // 2
    return split_batches(batches, half), half


def ahead(
    executor: Executor, prepare: Callable[[Source], Result], sources: Iterable[Source]
) -> Iterator[tuple[Source, Result]]:
    """Each source with its result, in order; the next one is prepared meanwhile."""
    waiting = None
    for source in sources:
        following = source, executor.submit(prepare, source)
        if waiting:
            yield waiting[0], waiting[1].result()
        waiting = following
    if waiting:
        yield waiting[0], waiting[1].result()
