"""The tables of imgsearch bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgsearch.cli.terminal import count_of, plain

if TYPE_CHECKING:
    from imgsearch.bench.feed_bench import FeedReport
    from imgsearch.bench.index_bench import IndexReport
    from imgsearch.bench.measurement import Row
    from imgsearch.bench.model_bench import ModelReport
    from imgsearch.bench.search_bench import IndexFacts, SearchReport
    from imgsearch.bench.wall_clock import Latency

HEADINGS = (
    "input", "batch", "precision", "ms", "inputs/s", "x fp32", "weights", "memory", "peak", "cosine"
)  # fmt: skip
_GIB = 1 << 30


def model_table(report: ModelReport) -> str:
    """The table of a model: machine, rows and a legend."""
    weights = " with random weights" if report.random_weights else ""
    lines = [f"{report.model}{weights}", *_where(report.machine, report.date), ""]
    cells = [HEADINGS, *(_cells(row) for row in report.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row, line in zip([None, *report.rows], cells, strict=True):
        lines.append(_aligned(line, widths) + (f"  {row.note}" if row and row.note else ""))
    lines += [
        "",
        f"ms: median time of a call. Weights, memory and peak in GiB: {report.memory}.",
        f"Pictures of {report.work.image_size} x {report.work.image_size} pixels."
        + " All precisions were in memory at once." * report.work.interleave,
    ]
    return "\n".join(plain(line) for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.kind,
        str(row.batch),
        row.precision,
        _number(row.latency_ms, ".1f"),
        _number(row.per_second, ".1f"),
        _number(row.speedup, ".2f"),
        _gib(row.weights_bytes),
        _gib(row.memory_bytes),
        _gib(row.peak_bytes),
        _number(row.cosine, ".5f"),
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Align words (first and third column) left, numbers right."""
    pairs = enumerate(zip(cells, widths, strict=True))
    return "  ".join(
        cell.ljust(width) if place in (0, 2) else cell.rjust(width)
        for place, (cell, width) in pairs
    ).rstrip()


def index_table(report: IndexReport) -> str:
    """The table of indexing: rates, efficiency and memory."""
    rates = (
        ("decode alone", report.decode_per_s),
        ("encode alone", report.encode_per_s),
        ("index", report.index_per_s),
    )
    skipped = f", {count_of(report.skipped, 'file')} skipped" if report.skipped else ""
    lines = [
        f"{report.model}, {count_of(report.images, 'picture')}{skipped}, in {plain(report.folder)}",
        *_where(report.machine, report.date),
        "",
        *(f"{name:<24}{rate:>8.1f} pictures/s" for name, rate in rates),
        f"{'efficiency':<24}{report.efficiency:>8.2f} of the slower half",
    ]
    if report.of_shared_cores is not None:
        lines.append(f"{'':<24}{report.of_shared_cores:>8.2f} of the limit on shared cores")
    lines.append(
        f"{'peak memory':<24}{_gib(report.peak_bytes):>8} GiB in this process,"
        f" {_gib(report.peak_with_decoders_bytes)} with the decoder processes"
    )
    if report.device_peak_bytes is not None:
        lines.append(f"{'':<24}{_gib(report.device_peak_bytes):>8} GiB on the GPU")
    busy = "not known" if report.gpu_busy is None else f"{report.gpu_busy:.2f} of the time"
    lines.append(
        f"{'GPU busy':<24}{busy:>8}"
        if report.machine["kind"] == "cuda"
        else f"{'GPU busy':<24}no CUDA GPU was used"
    )
    return "\n".join(plain(line) for line in lines)


def feed_table(report: FeedReport) -> str:
    """The table of a feed: rates, their ratio, and the costs of a picture."""
    skipped = f", {count_of(report.skipped, 'file')} skipped" if report.skipped else ""
    lines = [
        f"{report.model}, {count_of(report.images, 'picture')} in each round{skipped}:"
        f" {report.pictures}",
        *_where(report.machine, report.date),
        "",
        f"{'to the model':<24}{report.per_s:>8.1f} pictures/s",
        f"{'floor':<24}{report.floor_per_s:>8.1f} pictures/s, decoded and prepared by"
        f" {count_of(report.workers, 'decoder')}",
        f"{'share of the floor':<24}{report.share:>8.2f}",
        f"{'this process':<24}{report.main_ms:>8.2f} ms of processor for each picture",
        f"{'decoders':<24}{report.decoder_ms:>8.2f} ms of processor for each picture, those of the"
        f" floor {report.floor_ms:.2f}",
        f"{'between processes':<24}{report.pixel_bytes / 1e6:>8.2f} MB for each picture",
    ]
    return "\n".join(plain(line) for line in lines)


def search_table(report: SearchReport) -> str:
    """The table of a search: one line for each part."""
    lines = [
        f"{report.model}, {report.vectors} vectors of {report.dimension} numbers",
        *_where(report.machine, report.date),
        "",
    ]
    if report.open_ms is not None:
        lines.append(f"{'open library and index':<24}{report.open_ms:>9.2f} ms")
    if report.load_model_s is not None:
        lines.append(f"{'load the model':<24}{report.load_model_s * 1e3:>9.2f} ms")
    lines.append(f"{'':<24}{'p50':>9}    {'p95':>9}")
    parts: list[tuple[str, Latency | None]] = [("encode a text", report.text)]
    for batch, latency in report.index.items():
        parts.append((f"index, {batch} at once", latency))
    parts.append(("one search", report.search))
    lines += [
        f"{name:<24}{each.p50_ms:>9.2f} ms {each.p95_ms:>9.2f} ms" for name, each in parts if each
    ]
    lines.append(f"{'recall@10':<24}{report.recall_at_10:>9.4f} of exact search in NumPy")
    if report.facts:
        lines += ["", *_facts(report.facts)]
    return "\n".join(plain(line) for line in lines)


def _facts(facts: IndexFacts) -> list[str]:
    """Figures of a synthetic index."""
    lines = [
        facts.described,
        f"{'on disk':<24}{facts.file_bytes / 1e6:>9.1f} MB",
        f"{'open':<24}{facts.opening.open_ms:>9.2f} ms",
        f"{'first query':<24}{facts.opening.first_ms:>9.2f} ms",
        f"{'memory for both':<24}{facts.opening.memory_bytes / 1e6:>9.1f} MB",
        f"{'bytes / memory rate':<24}{facts.floor_ms:>9.2f} ms, lower bound of a query",
    ]
    rows = [
        (f"{float(share):g} of the vectors pass", each) for share, each in facts.filtered.items()
    ]
    rows.append(("with a busy process", facts.neighbour))
    lines += [f"{name:<24}{each.p50_ms:>9.2f} ms {each.p95_ms:>9.2f} ms" for name, each in rows]
    lines += [
        f"{f'{batch} at once':<24}{ratio:>9.2f} of the rate of FAISS's own search"
        for batch, ratio in facts.of_raw.items()
    ]
    if facts.build_s is not None:
        lines.append(f"{'built in':<24}{facts.build_s:>9.1f} s, including the vectors")
    return lines


def _where(machine: dict[str, Any], date: str) -> list[str]:
    return [
        f"{machine['device']}, {machine['cores']} cores,"
        f" {count_of(machine['threads'], 'thread')} of the model",
        f"torch {machine['torch']}, transformers {machine['transformers']}, Python"
        f" {machine['python']}, {machine['platform']}, {date}",
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _gib(size: int | None) -> str:
    return "-" if size is None else f"{size / _GIB:.2f}"
