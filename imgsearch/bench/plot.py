"""Diagrams of measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imgsearch.bench.measurement import Row
from imgsearch.bench.model_bench import ModelReport
from imgsearch.bench.search_bench import SearchReport
from imgsearch.errors import MissingExtra

_INCHES = (5.0, 3.6)


def require_matplotlib() -> Any:
    """matplotlib's Figure, which needs no display; `MissingExtra` if it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("--plot", "bench") from error
    return Figure


def draw(report: ModelReport, path: str) -> None:
    """Write a PNG: a panel for texts and one for pictures, with a bar per precision and batch size.

    A bar shows milliseconds per input, so batches can be compared, and its label the speed-up.
    """
    kinds = report.work.kinds
    figure = require_matplotlib()(figsize=(_INCHES[0] * len(kinds), _INCHES[1]))
    for place, kind in enumerate(kinds, start=1):
        axes = figure.add_subplot(1, len(kinds), place)
        _panel(axes, kind, [row for row in report.rows if row.kind == kind and row.latency_ms])
        axes.legend(fontsize="small", title=None)
    weights = " with random weights" if report.random_weights else ""
    machine = report.machine
    figure.suptitle(
        f"{report.model}{weights} on {machine['device']}, {machine['threads']} CPU threads,"
        f" torch {machine['torch']}, {report.date}",
        fontsize="small",
    )
    figure.tight_layout()
    figure.savefig(path, format="png", dpi=150)


def _panel(axes: Any, kind: str, rows: list[Row]) -> None:
    precisions = list(dict.fromkeys(row.precision for row in rows))
    batches = sorted({row.batch for row in rows})
    width = 0.8 / max(1, len(precisions))
    for shift, precision in enumerate(precisions):
        own = [row for row in rows if row.precision == precision]
        where = [batches.index(row.batch) + (shift + 0.5) * width - 0.4 for row in own]
        heights = [(row.latency_ms or 0.0) / row.batch for row in own]
        bars = axes.bar(where, heights, width, label=precision)
        labels = [f"{row.speedup:.2g}x" if row.speedup else "" for row in own]
        axes.bar_label(bars, labels, fontsize="x-small")
    axes.set_xticks(range(len(batches)), [str(batch) for batch in batches])
    axes.set_xlabel("batch size")
    axes.set_ylabel("ms per text" if kind == "text" else "ms per picture")


def draw_growth(reports: Sequence[SearchReport], path: str) -> None:
    """Write an SVG of file size, memory, opening and one query over the number of vectors."""
    reports = sorted((each for each in reports if each.facts), key=lambda each: each.vectors)
    facts = [each.facts for each in reports if each.facts]
    counts = [each.vectors for each in reports]
    panels = (
        ("MB", {
            "on disk": [each.file_bytes / 1e6 for each in facts],
            "memory to open and search": [each.opening.memory_bytes / 1e6 for each in facts],
        }),
        ("ms", {
            "open": [each.opening.open_ms for each in facts],
            "one query, p50": [each.index["1"].p50_ms for each in reports],
            "one query, p95": [each.index["1"].p95_ms for each in reports],
        }),
    )  # fmt: skip
    figure = require_matplotlib()(figsize=(_INCHES[0] * len(panels), _INCHES[1]))
    for place, (unit, lines) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        for name, values in lines.items():
            axes.loglog(counts, values, marker="o", label=name)
        axes.set_xlabel("vectors")
        axes.set_ylabel(unit)
        axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
