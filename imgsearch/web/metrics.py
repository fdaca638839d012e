"""Server metrics in the format of Prometheus."""

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
"""Other methods share one label, because clients can invent any number of names."""


class Metrics:
    """Counters and timings. Thread-safe."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "imgsearch_request_seconds", "Duration of a request.", ("route", "method", "status"),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._steps = Histogram(
            "imgsearch_step_seconds", "Duration of a step of a search.", ("step",),
            buckets=_STEP_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._texts = Counter(
            "imgsearch_texts_encoded", "Texts encoded by the model.", registry=self.registry
        )
        self._batches = Counter(
            "imgsearch_encodings", "Calls of the text encoder.", registry=self.registry
        )
        self.registry.register(_Devices())
        self._gauge("imgsearch_resident_bytes", "Resident memory of the server.", _resident)

    def watch(self, name: str, value: float) -> None:
        """Record a measurement of `Gallery`."""
        if name == "together":
            self._texts.inc(value)
            self._batches.inc()
        else:
            self._steps.labels(name).observe(value)

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Add a gauge, which is read whenever the metrics are requested."""
        self._gauge(f"imgsearch_{name}", description, read)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        """Record an answered request under the pattern of its route, not its path."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(route, method, status).observe(seconds)

    def _gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        Gauge(name, description, registry=self.registry).set_function(read)


class Timed:
    """ASGI middleware that measures the time until an answer starts."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        answered = False

        async def timed_send(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start" and not answered:
                answered = True
                self._metrics.note(scope, message["status"], time.perf_counter() - start)
            await send(message)

        try:
            await self._app(scope, receive, timed_send)
        finally:
            if not answered:
                self._metrics.note(scope, 500, time.perf_counter() - start)


class _Devices(Collector):
    """Memory of the GPUs that this process uses; no metric if it uses none."""

    def collect(self) -> Iterator[Metric]:
        devices = device_memory()
        if not devices:
            return
        family = GaugeMetricFamily(
            "imgsearch_gpu_bytes",
            "Memory of a GPU: total, used by all programs, and used by this server.",
            labels=("device", "kind"),
        )
        for number, memory in devices.items():
            for kind, value in memory.items():
                family.add_metric((str(number), kind), value)
        yield family


def _resident() -> float:
    return float(psutil.Process().memory_info().rss)
