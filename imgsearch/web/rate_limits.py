"""Rate limits: a token bucket for each client address and kind of request."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

MAX_CLIENTS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests per second in the long run, and the size of a burst."""

    per_second: float
    at_once: float


class Buckets:
    """Token buckets: each request takes a token, and tokens are refilled over time."""

    def __init__(self, rates: dict[str, Rate]) -> None:
        self._rates = rates
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str, kind: str) -> float:
        """Take a token. Returns 0 if one was available, otherwise the seconds until one is."""
        rate, now = self._rates[kind], time.monotonic()
        left, since = self._left.pop((client, kind), (rate.at_once, now))
        left = min(rate.at_once, left + (now - since) * rate.per_second)
        enough = left >= 1.0
        self._left[client, kind] = (left - enough, now)
        while len(self._left) > MAX_CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if enough else (1.0 - left) / rate.per_second
