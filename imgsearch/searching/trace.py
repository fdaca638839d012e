"""A trace of a search: its steps, and the time of each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgsearch.searching.place_reading import PlaceReading
    from imgsearch.vectors import Embeddings


@dataclass(slots=True)
class Trace:
    """Filled in by each stage of a search, for `--explain` and for metrics.

    Attributes
    ----------
    passed : int or None
        Pictures that pass the filter; None if there is no filter.
    total : int
        Pictures that could be found without it.
    method : str
        The method by which the best were found, in words.
    seconds : dict of str to float
        Wall time by step, in the order in which each first began.
    vectors : sequence of ndarray of shape (dimension,), float32, unit norm
        Vectors of the terms of the query; empty if no vectors were compared.
    place : PlaceReading or None
        The place of the library that the query names.
    counted : bool
        False to leave `total` at 0 where it would be counted for the trace alone. In a large
        library that takes longer than a list by date itself.
    """

    passed: int | None = None
    total: int = 0
    method: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    vectors: Sequence[Embeddings] = ()
    place: PlaceReading | None = None
    counted: bool = True

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step; the times of one that runs twice add up."""
        self.seconds.setdefault(name, 0.0)
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started
