"""Wall-clock times of calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one call: median and 95th percentile."""

    p50_ms: float
    p95_ms: float
    runs: int


def latency(calls: Sequence[Callable[[], object]]) -> Latency:
    """The latency of calls; the first one runs once more before, to warm up."""
    calls[0]()
    times = [seconds(call) * 1e3 for call in calls]
    return Latency(float(np.median(times)), float(np.percentile(times, 95)), len(times))


def seconds(work: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
