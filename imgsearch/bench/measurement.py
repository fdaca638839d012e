"""Measures speed, memory and agreement of a model on one device in several precisions.

A measurement is a call of the port `Encoder`, from texts or pixels in host memory to vectors in
host memory, so it includes tokenizing, resizing and both transfers. The first calls are not timed.
A figure is the median of the timed calls, with the device synchronised before and after each.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from imgsearch.bench.meter import meter_of
from imgsearch.errors import EncoderError
from imgsearch.ports import Encoder
from imgsearch.vectors import Embeddings, Pixels

PRECISIONS = ("fp32", "bf16", "fp16", "autocast")
REFERENCE = "fp32"
KINDS = ("text", "image")
TEXT = (
    "a photo of red boats in the old harbour at sunset with two children on the wooden pier"
    " and white birds"
)
_WARM_UP_CALLS = 2
_MAX_RUNS = 1000
Time = tuple[float, float]
"""Wall-clock seconds and CPU seconds."""


@dataclass(frozen=True, slots=True)
class Work:
    """The measurements to make.

    Attributes
    ----------
    precisions, kinds : sequence of str
        From `PRECISIONS` and `KINDS`.
    batch_sizes : sequence of int
    image_size : int
        Side of the pictures, squares of noise, in pixels.
    seconds : float
        Minimum measuring time per figure.
    repeats : int
        Minimum number of timed calls per figure.
    interleave : bool
        Load all precisions and call them in turn, so that other programs slow them equally. Else
        measure one after the other, so that memory is that of one.
    """

    precisions: Sequence[str] = PRECISIONS
    kinds: Sequence[str] = KINDS
    batch_sizes: Sequence[int] = (1, 8, 16)
    image_size: int = 448
    seconds: float = 1.0
    repeats: int = 5
    interleave: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes
    ----------
    latency_ms : float or None
        Median time of one call; None if it could not be measured for the reason in `note`.
    cpu_ms : float or None
        Median CPU time of one call over all threads of this process; other programs hardly
        affect it.
    per_second : float or None
        Inputs per second at that latency.
    spread : float or None
        Range from the fastest to the slowest call, as a share of the median.
    weights_bytes : int or None
        Parameters and buffers of the network; None if the encoder does not expose them.
    memory_bytes, peak_bytes : int or None
        Memory in use after the first calls, and the peak during one call; the meter's label says
        which memory.
    speedup : float or None
        Latency in float32 of the same run over this latency.
    cosine : float or None
        Smallest cosine between a vector and that of the same input in float32.
    """

    precision: str
    kind: str
    batch: int
    latency_ms: float | None = None
    cpu_ms: float | None = None
    per_second: float | None = None
    runs: int = 0
    spread: float | None = None
    weights_bytes: int | None = None
    memory_bytes: int | None = None
    peak_bytes: int | None = None
    speedup: float | None = None
    cosine: float | None = None
    note: str = ""


def default_precisions(device: torch.device) -> tuple[str, ...]:
    """The precisions to measure by default: without fp16 on processors, which emulate it."""
    if device.type == "cpu":
        return ("fp32", "bf16", "autocast")
    if device.type == "cuda":
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        return PRECISIONS if native else ("fp32", "fp16")
    return ("fp32", "bf16", "fp16")


def sample_texts(count: int) -> list[str]:
    """Queries with the same words in different orders, the same in each call."""
    words = TEXT.split()
    orders = (np.random.default_rng(i).permutation(len(words)) for i in range(count))
    return [" ".join(words[place] for place in order) for order in orders]


def sample_pictures(count: int, size: int) -> list[Pixels]:
    """Squares of coloured noise, the same in each call."""
    numbers = np.random.default_rng(0)
    return [numbers.integers(0, 256, (size, size, 3), np.uint8) for _ in range(count)]


class Measurement:
    """Measures one model.

    Parameters
    ----------
    open_encoder : callable
        Returns the encoder of a precision; its error becomes the note of that precision's rows.
    on_row : callable
        Gets each row when it is measured; compared with float32 only if that came before.
    """

    def __init__(
        self,
        open_encoder: Callable[[str], Encoder],
        device: torch.device,
        work: Work,
        on_row: Callable[[Row], None] = lambda row: None,
    ) -> None:
        self._open = open_encoder
        self._work = work
        self._on_row = on_row
        self._meter = meter_of(device)
        self._expected: dict[tuple[str, int], Embeddings] = {}
        self._base: dict[tuple[str, int], float] = {}
        self._rows: list[Row] = []
        self._errors: list[Exception] = []

    def run(self) -> list[Row]:
        """All rows, sorted by kind, batch size and precision.

        Raises
        ------
        Exception
            The error of the first precision, if none could be opened.
        """
        precisions = sorted(self._work.precisions, key=lambda name: name != REFERENCE)
        groups = [precisions] if self._work.interleave else [[name] for name in precisions]
        for group in groups:
            self._measure_group(group)
            self._meter.release()
        if len(self._errors) == len(precisions):
            raise self._errors[0]
        places = {name: place for place, name in enumerate(self._work.precisions)}
        kinds = {name: place for place, name in enumerate(self._work.kinds)}
        return sorted(self._rows, key=lambda r: (kinds[r.kind], r.batch, places[r.precision]))

    def _measure_group(self, group: Sequence[str]) -> None:
        encoders = {}
        for name in group:
            try:
                encoders[name] = self._open(name)
            except Exception as error:  # a precision that this device or model does not support
                self._errors.append(error)
                note = _first_line(error)
                self._rows += [Row(name, *cell, note=note) for cell in self._cells()]
        for kind, batch in self._cells():
            self._measure_cell(encoders, kind, batch)

    def _cells(self) -> Iterator[tuple[str, int]]:
        for kind in self._work.kinds:
            for batch in self._work.batch_sizes:
                yield kind, batch

    def _measure_cell(self, encoders: dict[str, Encoder], kind: str, batch: int) -> None:
        """Measure one kind and batch size in all loaded precisions."""
        calls, rows = {}, {}
        for name, encoder in encoders.items():
            call, row = self._call(encoder, kind, batch), Row(name, kind, batch)
            try:
                rows[name] = self._warm_up(row, encoder, call)
                calls[name] = call
            except Exception as error:  # out of memory, or an unsupported operation
                self._meter.release()
                self._keep(replace(row, note=_first_line(error)))
        for name, times in self._time(calls).items():
            self._keep(self._with_times(rows[name], times))

    def _call(self, encoder: Encoder, kind: str, batch: int) -> Callable[[], Embeddings]:
        if kind == "text":
            return partial(encoder.encode_texts, sample_texts(batch))
        return partial(encoder.encode_images, sample_pictures(batch, self._work.image_size))

    def _warm_up(self, row: Row, encoder: Encoder, call: Callable[[], Embeddings]) -> Row:
        """The row with memory and agreement, from untimed calls."""
        for _ in range(_WARM_UP_CALLS):
            vectors = call()
        self._meter.synchronize()
        memory = self._meter.allocated()
        peak = self._meter.peak_of(call)
        key = row.kind, row.batch
        if row.precision == REFERENCE:
            self._expected[key] = vectors
        expected = self._expected.get(key)
        cosine = None if expected is None else float((vectors * expected).sum(1).min())
        return replace(
            row,
            weights_bytes=_weights(encoder),
            memory_bytes=memory,
            peak_bytes=peak,
            cosine=cosine,
            note=_halved(encoder, row.batch),
        )

    def _time(self, calls: dict[str, Callable[[], Embeddings]]) -> dict[str, list[Time]]:
        """Times of each call, with the precisions in turn."""
        times: dict[str, list[Time]] = {name: [] for name in calls}
        while calls and not all(self._enough(each) for each in times.values()):
            for name, call in calls.items():
                self._meter.synchronize()
                begin, busy = time.perf_counter(), time.process_time()
                call()
                self._meter.synchronize()
                times[name].append((time.perf_counter() - begin, time.process_time() - busy))
        return times

    def _enough(self, times: list[Time]) -> bool:
        long = sum(wall for wall, _ in times) >= self._work.seconds or len(times) >= _MAX_RUNS
        return long and len(times) >= self._work.repeats

    def _with_times(self, row: Row, both: list[Time]) -> Row:
        times = [wall for wall, _ in both]
        middle, key = statistics.median(times), (row.kind, row.batch)
        if row.precision == REFERENCE:
            self._base[key] = middle
        base = self._base.get(key)
        return replace(
            row,
            latency_ms=middle * 1e3,
            cpu_ms=statistics.median(busy for _, busy in both) * 1e3,
            per_second=row.batch / middle,
            runs=len(times),
            spread=(max(times) - min(times)) / middle,
            speedup=base / middle if base else None,
        )

    def _keep(self, row: Row) -> None:
        self._rows.append(row)
        self._on_row(row)


def _weights(encoder: Encoder) -> int | None:
    network: Any = getattr(encoder, "model", None)
    if not isinstance(network, torch.nn.Module):
        return None
    tensors = (*network.parameters(), *network.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _halved(encoder: Encoder, batch: int) -> str:
    """A note if the encoder ran out of memory and continued with smaller batches."""
    size = getattr(encoder, "batch_size", None)
    return f"memory was too small: in batches of {size}" if size and size < batch else ""


def _first_line(error: Exception) -> str:
    text = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return text if isinstance(error, EncoderError) else f"{type(error).__name__}: {text}"[:200]
