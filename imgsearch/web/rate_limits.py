"""How much one client may ask for: a bucket of tokens for each address and kind of request."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

MOST_CLIENTS = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second in the long run, and so many at once."""

    per_second: float
    at_once: float


class Buckets:
    """The token bucket algorithm: each request takes a token, and tokens come back with time."""

    def __init__(self, rates: dict[str, Rate]) -> None:
        self._rates = rates
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str, kind: str) -> float:
        """Take a token; 0 if there was one, else the seconds until there is."""
        rate, now = self._rates[kind], time.monotonic()
        left, since = self._left.pop((client, kind), (rate.at_once, now))
        left = min(rate.at_once, left + (now - since) * rate.per_second)
        enough = left >= 1.0
        self._left[client, kind] = (left - enough, now)
        while len(self._left) > MOST_CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if enough else (1.0 - left) / rate.per_second
