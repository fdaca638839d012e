"""Compares the feed of a model with its floor for several inputs, formats and sizes of pictures.

Each row is `imgsearch bench feed` with random weights: pictures are decoded and prepared by decoder
processes, assembled into batches and dropped. The rate on paper is that of 16 cores which share the
measured processor time, unless the main process alone takes longer: its threads take turns.

    python benchmarks/feed_formats.py > table.md
    python benchmarks/feed_formats.py --draw table.md docs/feed.svg    # with the extra [bench]
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass

from imgsearch.bench.feed_bench import FeedReport, FeedWork, measure_feed
from imgsearch.library import Library
from imgsearch.settings import Settings

CORES = 16
GPU_CEILINGS = {"256 tokens": 346, "1280 tokens": 52}
"""Pictures per second of the 2B model of gme on an H200, computed: docs/PERFORMANCE.md."""
INPUTS = {
    "224 px": ("clip-vit-b-32", 0),
    "256 tokens": ("gme-tiny", 256),
    "1280 tokens": ("gme-tiny", 1280),
}
PICTURES = (
    ("JPEG", 1.0, 384),
    ("JPEG", 12.0, 64),
    ("JPEG", 16.0, 48),
    ("HEIF", 12.0, 8),
    ("PNG", 12.0, 8),
)


@dataclass(frozen=True)
class Row:
    """One measurement, and the rate of `CORES` on paper."""

    input: str
    pictures: str
    report: FeedReport

    @property
    def on_paper(self) -> float:
        report = self.report
        return 1e3 / max((report.decoder_ms + report.main_ms) / CORES, report.main_ms)

    def __str__(self) -> str:
        report = self.report
        cells = (
            self.input,
            self.pictures,
            f"{report.pixel_bytes / 1e6:.2f}",
            f"{report.share:.2f}",
            f"{report.floor_ms / (report.decoder_ms + report.main_ms):.2f}",
            f"{report.decoder_ms:.1f}",
            f"{report.main_ms:.2f}",
            f"{self.on_paper:.0f}",
        )
        return f"| {' | '.join(cells)} |"


def measured(model: str, tokens: int, work: FeedWork) -> FeedReport:
    with tempfile.TemporaryDirectory() as folder:
        library = Library(
            Settings(library=folder, model=model, visual_tokens=tokens, device="cpu", workers=2)
        )
        try:
            return measure_feed(library, work, random_weights=True)
        finally:
            library.close()


def draw(table: str, file: str) -> None:
    """Bars of the rates on paper, and what a GPU takes as a line across the bars of its input."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "imgsearch"
    from matplotlib import pyplot

    with open(table, encoding="utf-8") as lines:
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines][2:]
    figure, axes = pyplot.subplots(figsize=(8, 1.5 + 0.3 * len(rows)), layout="constrained")
    for place, row in enumerate(rows):
        rate = float(row[-1])
        axes.barh(place, rate, color="tab:blue")
        axes.text(rate * 1.05, place, row[-1], va="center", fontsize=8)
        if ceiling := GPU_CEILINGS.get(row[0]):
            axes.plot([ceiling] * 2, [place - 0.5, place + 0.5], color="tab:red")
    axes.plot([], [], color="tab:red", label="ceiling of gme 2B on an H200, computed")
    axes.set_yticks(range(len(rows)), [f"{row[0]}, {row[1]}" for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel(f"pictures/s that {CORES} cores would deliver, on paper")
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inputs", default=",".join(INPUTS), help="some of the inputs")
    parser.add_argument("--draw", nargs=2, metavar=("TABLE", "FILE.svg"))
    args = parser.parse_args()
    if args.draw:
        draw(*args.draw)
        return
    print("| input | pictures | MB | of the floor, clock | of the floor, processor |", end="")
    print(" decoders, ms | main process, ms | on paper, 16 cores |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for name in args.inputs.split(","):
        for form, megapixels, count in PICTURES:
            work = FeedWork("", megapixels, form, count, args.rounds)
            print(Row(name, f"{form} {megapixels:g} MP", measured(*INPUTS[name], work)), flush=True)


if __name__ == "__main__":
    main()
