"""Compares a first index with rclip's, on the same pictures, with the same stand-in for a model.

Each run is a process of its own, measured from its start to its end, with all that it imports and
starts, into a new database. Ours is the whole command `imgsearch index`; rclip's is its indexer
without its command line. Both get an encoder that returns 512 sampled pixel values; ours needs
pictures of 256 px, like rclip's. The pictures come from `data/photos`, of 1024 px on the longer
side, or 96 px where there are more than 1000. rclip is not a dependency of imgsearch: name a folder
where it and what it imports was unpacked. After a pair that does not count, programs take turns.

    pip install --target DIR --no-deps --ignore-requires-python rclip==4.0.8 ftfy wcwidth regex
    python benchmarks/rclip_side_by_side.py --rclip DIR --counts 60,256,800,10000
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from imgsearch.model_card import EncoderOptions, InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

HERE = os.path.abspath(__file__)
SIDE, DIMENSION, BATCH = 256, 512, 32
MANY = 1000


class Ours:
    """An `Encoder` as cheap as rclip's stand-in, with a few texts that a library samples."""

    input_size = InputSize(short=SIDE)
    space = EmbeddingSpace("stand-in", "1", "none", DIMENSION)
    card = ModelCard("stand-in", "Sampled pixels.", ".")

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        rows = [np.resize(image[:256:16, :256:16].reshape(-1), DIMENSION) for image in images]
        return normalize(np.stack(rows).astype(np.float32) + 1)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        return normalize(np.random.default_rng(0).random((len(texts), DIMENSION), np.float32))


CARDS = (Ours.card,)


def load(name: str, options: EncoderOptions) -> Ours:
    """The stand-in as a plug-in."""
    return Ours()


def revision(name: str, source: str = "", text_source: str = "") -> str:
    return Ours.space.revision


class Theirs:
    """The methods of a model that rclip calls during indexing."""

    def compute_preprocessed_image_features(
        self, images: Sequence[Any], for_indexing: bool = False
    ) -> Embeddings:
        rows = [np.resize(image[:, ::16, ::16].reshape(-1), DIMENSION) for image in images]
        return normalize(np.stack(rows).astype(np.float32))


def index_with_rclip(folder: str, place: str) -> None:
    """Run rclip's indexer with its default batch size."""
    from rclip import db, main

    rclip = main.RClip(Theirs(), db.DB(os.path.join(place, "rclip.sqlite")), BATCH, None)
    with contextlib.redirect_stderr(io.StringIO()):
        rclip.ensure_index(folder)
    rclip.close()


def plug_in(folder: str) -> None:
    """Install the stand-in in a folder, as pip would do it."""
    info = os.path.join(folder, "stand_in-1.dist-info")
    os.makedirs(info)
    for name, text in (
        ("METADATA", "Metadata-Version: 2.1\nName: stand-in\nVersion: 1\n"),
        ("entry_points.txt", "[imgsearch.encoders]\nstand-in = rclip_side_by_side\n"),
    ):
        with open(os.path.join(info, name), "w") as file:
            file.write(text)


def run(name: str, folder: str, count: int, paths: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor for one process, including those it starts."""
    with tempfile.TemporaryDirectory(prefix=".imgsearch-rclip-", dir=os.getcwd()) as place:
        ours = ["-m", "imgsearch", "index", folder, "--library", place, "--model", "stand-in"]
        command = ours if name == "imgsearch" else [HERE, "--index", folder, "--into", place]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        before, started = _processor(), time.perf_counter()
        subprocess.run(
            [sys.executable, *command], check=True, env=environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        spent = time.perf_counter() - started, _processor() - before
        _require(count, place, name)
    return spent


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _require(count: int, place: str, name: str) -> None:
    """Stop if a program has not indexed all pictures."""
    file = {"imgsearch": "catalog.sqlite", "rclip": "rclip.sqlite"}[name]
    with contextlib.closing(sqlite3.connect(os.path.join(place, file))) as database:
        found = database.execute("select count(*) from images").fetchone()[0]
    assert found == count, f"{name} has indexed {found} of {count} pictures"


def pictures(place: str, count: int) -> str:
    """A folder with this many pictures."""
    folder = os.path.join(place, str(count))
    script = os.path.join(os.path.dirname(HERE), "make_pictures.py")
    side = "96" if count > MANY else "1024"
    command = [sys.executable, script, folder, "--count", str(count), "--side", side]
    subprocess.run(command, check=True)
    return folder


def measure(count: int, pairs: int, paths: Sequence[str], place: str) -> None:
    """Print the medians of a number of pictures, and of the ratios of each pair."""
    folder = pictures(place, count)
    found: list[dict[str, tuple[float, float]]] = []
    for number in range(pairs + 1):
        names = ("imgsearch", "rclip")[:: 1 - 2 * (number % 2)]
        found.append({name: run(name, folder, count, paths) for name in names})
    cells = []
    for which in (0, 1):
        ours, theirs = (
            [pair[name][which] for pair in found[1:]] for name in ("imgsearch", "rclip")
        )
        ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
        cells += [
            f"{statistics.median(ours):.2f}",
            f"{statistics.median(theirs):.2f}",
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        ]
    print(f"| {count} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rclip", metavar="DIR", default="", help="folder of an unpacked rclip")
    parser.add_argument("--counts", default="60,256,800,10000", help="numbers of pictures")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--index", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--into", metavar="DIR", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.index:
        index_with_rclip(args.index, args.into)
        return
    with tempfile.TemporaryDirectory(prefix="imgsearch-rclip-") as place:
        plug_in(os.path.join(place, "plug-in"))
        paths = [os.path.dirname(HERE), os.path.join(place, "plug-in"), os.path.abspath(args.rclip)]
        paths += filter(None, [os.environ.get("PYTHONPATH")])
        print("| pictures | clock, s | rclip | ratio | processor, s | rclip | ratio |")
        print("|--:|--:|--:|--:|--:|--:|--:|")
        for count in args.counts.split(","):
            measure(int(count), args.pairs, paths, place)


if __name__ == "__main__":
    main()
