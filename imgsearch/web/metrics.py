"""Numbers about the server, in the format of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import psutil
from fastapi import Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.responses import Response

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """What is counted and timed. Any thread may tell."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "imgsearch_request_seconds", "Time of a request.", ("route", "method", "status"),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._steps = Histogram(
            "imgsearch_step_seconds", "Time of a step of a search.", ("step",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._together = Counter(
            "imgsearch_texts_encoded", "Texts that went through the model.", registry=self.registry
        )
        self._batches = Counter(
            "imgsearch_encodings", "Calls of the model with texts.", registry=self.registry
        )
        self._gauge("imgsearch_resident_bytes", "Memory of the server.", _resident)

    def watch(self, name: str, value: float) -> None:
        """What `Gallery` tells."""
        if name == "together":
            self._together.inc(value)
            self._batches.inc(value > 0)
        else:
            self._steps.labels(name).observe(value)

    def gauge(self, name: str, told: str, read: Callable[[], float]) -> None:
        """A number that is read when somebody asks."""
        self._gauge(f"imgsearch_{name}", told, read)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)

    async def time(
        self, request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Middleware: how long a request takes, by the pattern of its route and not by its path."""
        started = time.perf_counter()
        status = 500
        try:
            response = await answer(request)
            status = response.status_code
            return response
        finally:
            route = getattr(request.scope.get("route"), "path", "other")
            seconds = time.perf_counter() - started
            self._requests.labels(route, request.method, status).observe(seconds)

    def _gauge(self, name: str, told: str, read: Callable[[], float]) -> None:
        Gauge(name, told, registry=self.registry).set_function(read)


def _resident() -> float:
    return float(psutil.Process().memory_info().rss)
