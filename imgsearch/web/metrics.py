"""Numbers about the server, in the format of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imgsearch.encoders.memory import device_memory

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STEP_SECONDS = (
    0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.0125, 0.015, 0.02, 0.025,
    0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30,
)  # fmt: skip
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
"""Others are told as one: each name that a client thinks of would be kept for ever."""


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
            buckets=_STEP_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._together = Counter(
            "imgsearch_texts_encoded", "Texts that went through the model.", registry=self.registry
        )
        self._batches = Counter(
            "imgsearch_encodings", "Calls of the model with texts.", registry=self.registry
        )
        self.registry.register(_Devices())
        self._gauge("imgsearch_resident_bytes", "Memory of the server.", _resident)

    def watch(self, name: str, value: float) -> None:
        """What `Gallery` tells."""
        if name == "together":
            self._together.inc(value)
            self._batches.inc()
        else:
            self._steps.labels(name).observe(value)

    def gauge(self, name: str, told: str, read: Callable[[], float]) -> None:
        """A number that is read when somebody asks."""
        self._gauge(f"imgsearch_{name}", told, read)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        """A request was answered; it is told by the pattern of its route and not by its path."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(route, method, status).observe(seconds)

    def _gauge(self, name: str, told: str, read: Callable[[], float]) -> None:
        Gauge(name, told, registry=self.registry).set_function(read)


class Timed:
    """ASGI middleware: how long it takes until an answer begins."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start" and not begun:
                begun = True
                self._metrics.note(scope, message["status"], time.perf_counter() - started)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            if not begun:
                self._metrics.note(scope, 500, time.perf_counter() - started)


class _Devices(Collector):
    """Memory of the GPUs that this process uses; no family at all where it uses none."""

    def collect(self) -> Iterator[Metric]:
        found = device_memory()
        if not found:
            return
        family = GaugeMetricFamily(
            "imgsearch_gpu_bytes",
            "Memory of a GPU: all of it, what is used by whatever program, and what is used here.",
            labels=("device", "kind"),
        )
        for number, memory in found.items():
            for kind, value in memory.items():
                family.add_metric((str(number), kind), value)
        yield family


def _resident() -> float:
    return float(psutil.Process().memory_info().rss)
