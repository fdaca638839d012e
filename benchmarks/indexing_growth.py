"""Measures how time, catalog and memory of indexing grow with the number of pictures.

Source and decoder generate synthetic pictures; the rest is the code of `imgsearch index`: Ingestor,
worklist, pool and catalog, with a fully durable commit per batch. The model is a sum of pixels.
Reading and decoding files, a real model and the index file are not included. Each size runs in its
own process, so that its memory is not affected by others.

    python benchmarks/indexing_growth.py --sizes 1000,10000,100000 --plot docs/indexing.svg
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

import numpy as np
import psutil

from imgsearch.bench.meter import Resident
from imgsearch.catalog import open_catalog
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.indexing.ingest import Ingestor
from imgsearch.model_card import InputSize
from imgsearch.ports import Unchanged, nothing_known
from imgsearch.records import (
    Decoded,
    FileRun,
    ImageFile,
    ImageMetadata,
    Known,
    RootRecord,
)
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

ROOT = "/synthetic"
FILES_PER_FOLDER = 500
BATCH_IMAGES = 32
CAMERAS = ("Canon EOS R6", "Nikon Z 6", "Pixel 8", "iPhone 15")


class SyntheticSource:
    """`count` files in folders of `FILES_PER_FOLDER`, in the order of paths. An `ImageSource`."""

    root, scope = ROOT, ""
    mounts: Sequence[str] = ()

    def __init__(self, count: int) -> None:
        self._count = count

    def scan(self, unchanged: Unchanged = nothing_known) -> Iterator[ImageFile]:
        for start in range(0, self._count, FILES_PER_FOLDER):
            times_ns = list(range(start, min(start + FILES_PER_FOLDER, self._count)))
            paths = [f"{start // FILES_PER_FOLDER:06d}/IMG_{i:08d}.jpg" for i in times_ns]
            sizes = [10**6 + i for i in times_ns]
            files = list(map(partial(ImageFile, ROOT), paths, sizes, times_ns))
            for place in unchanged(FileRun.of(*files)):
                yield files[place]

    def digest(self, file: ImageFile) -> Known:
        return Known(file, f"{file.mtime_ns:032x}")


class SyntheticDecoder:
    """A `Decoder` that computes pictures from the file's attributes."""

    def decode(self, files: Iterable[ImageFile]) -> Iterator[Decoded]:
        first = datetime(2010, 1, 1)
        for file in files:
            i = file.mtime_ns
            metadata = ImageMetadata(
                4000, 3000, "JPEG", taken_at=first + timedelta(minutes=i),
                camera_make=CAMERAS[i % 4].split()[0], camera_model=CAMERAS[i % 4],
                latitude=i % 90 / 2, longitude=i % 180 / 2,
            )  # fmt: skip
            pixels: Pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)
            yield Decoded(file, f"{i:032x}", metadata, pixels)

    def close(self) -> None:
        pass


class CheapEncoder:
    """A very cheap `Encoder`: random sums of 64 pixels."""

    input_size = InputSize()

    def __init__(self, dimension: int) -> None:
        self.space = EmbeddingSpace("cheap", "1", "none", dimension)
        self._weights = np.random.default_rng(0).standard_normal((192, dimension), np.float32)

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        return normalize(
            np.stack([i.reshape(-1) for i in images]).astype(np.float32) @ self._weights
        )


def measure(count: int, dimension: int, folder: str) -> dict[str, float]:
    """Index `count` pictures into a new library, and scan them again."""
    catalog = open_catalog(os.path.join(folder, "library"), create=True)
    found: dict[str, float] = {"pictures": count, "dimension": dimension}
    encoder = CheapEncoder(dimension)
    with catalog.writer() as writer:
        for name in ("index", "rescan"):
            writer.put_root(RootRecord(ROOT))
            writer.begin_run(encoder.space, "none", "fp32")
            pool = LocalPool(lambda: encoder, lambda size, most: SyntheticDecoder(), BATCH_IMAGES)
            ingestor = Ingestor(
                catalog, writer, pool, encoder.space, "none", BATCH_IMAGES, catalog.folder
            )
            started, busy = time.perf_counter(), time.process_time()
            before = psutil.Process().memory_info().rss
            with Resident() as memory:
                report = ingestor.run([(SyntheticSource(count), RootRecord(ROOT))])
            found[f"{name}_s"] = time.perf_counter() - started
            found[f"{name}_cpu_s"] = time.process_time() - busy
            found[f"{name}_growth_mb"] = (memory.peak - before) / 1e6
            assert report.encoded == (count if name == "index" else 0), report
    catalog.close()
    found["catalog_mb"] = os.path.getsize(os.path.join(catalog.folder, "catalog.sqlite")) / 1e6
    return found


def table(rows: Sequence[dict[str, float]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| pictures | index, s | processor, s | ms of it per picture | catalog, MB |"
        " kB per picture | memory grows, MB | re-scan, s | memory grows, MB |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        n = row["pictures"]
        cells = (
            f"{n:,.0f}".replace(",", " "), f"{row['index_s']:.1f}", f"{row['index_cpu_s']:.1f}",
            f"{row['index_cpu_s'] / n * 1e3:.2f}", f"{row['catalog_mb']:.1f}",
            f"{row['catalog_mb'] / n * 1e3:.2f}", f"{row['index_growth_mb']:.0f}",
            f"{row['rescan_s']:.2f}", f"{row['rescan_growth_mb']:.0f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(rows: Sequence[dict[str, float]], path: str) -> None:
    """Draw the figures over the number of pictures, with logarithmic axes."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "imgsearch"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    counts = [row["pictures"] for row in rows]
    for key, label, mark in (
        ("index_cpu_s", "indexing, s of processor", "o-"),
        ("rescan_s", "re-scan, s", "s-"),
        ("catalog_mb", "catalog, MB", "^-"),
        ("index_growth_mb", "memory grows, MB", "d-"),
    ):
        axes.plot(counts, [row[key] for row in rows], mark, label=label)
    axes.set(xscale="log", yscale="log", xlabel="pictures")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1000,10000,100000", help="1000000 takes minutes")
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--folder", help="folder of the libraries; default: a temporary one")
    parser.add_argument("--results", help="file of JSON lines to append to and to draw from")
    parser.add_argument("--plot", metavar="FILE.svg", help="needs the extra [bench]")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            print(json.dumps(measure(args.one, args.dimension, folder)))
        return
    rows = []
    if args.results and os.path.exists(args.results):
        with open(args.results, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    for size in (int(word) for word in args.sizes.split(",") if word):
        command = [sys.executable, __file__, "--one", str(size)]
        command += ["--dimension", str(args.dimension)]
        command += ["--folder", args.folder] if args.folder else []
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        rows.append(json.loads(done.stdout))
        if args.results:
            with open(args.results, "a", encoding="utf-8") as file:
                file.write(done.stdout)
    rows.sort(key=lambda row: row["pictures"])
    print(table(rows))
    if args.plot:
        draw(rows, args.plot)


if __name__ == "__main__":
    main()
