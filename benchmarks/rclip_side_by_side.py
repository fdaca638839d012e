"""Compares our indexing with rclip's on the same pictures, with the same stand-in for a model.

It compares everything except the model: scan, reading, hashing, decoding, database. Both get an
encoder that returns 512 sampled pixel values; ours needs pictures of 256 px, like rclip's. rclip is
not a dependency of imgsearch: install it first, or name a folder where it was unpacked. Both run in
this process, in turn, into new databases; our time includes starting the decoder processes. Then
both scan the same unchanged folder again.

    pip install rclip
    python benchmarks/rclip_side_by_side.py FOLDER [--rclip DIR-WITH-RCLIP]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from imgsearch.bench.wall_clock import seconds
from imgsearch.model_card import InputSize
from imgsearch.records import IngestReport, RootRecord
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

SIDE, DIMENSION, BATCH = 256, 512, 32


class Ours:
    """An `Encoder` as cheap as rclip's stand-in."""

    input_size = InputSize(short=SIDE)
    space = EmbeddingSpace("stand-in", "1", "none", DIMENSION)

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        rows = [np.resize(image[:256:16, :256:16].reshape(-1), DIMENSION) for image in images]
        return normalize(np.stack(rows).astype(np.float32) + 1)


class Theirs:
    """The methods of a model that rclip calls during indexing."""

    def compute_preprocessed_image_features(
        self, images: Sequence[Any], for_indexing: bool = False
    ) -> Embeddings:
        rows = [np.resize(image[:, ::16, ::16].reshape(-1), DIMENSION) for image in images]
        return normalize(np.stack(rows).astype(np.float32))


def ours(folder: str, place: str) -> Callable[[], IngestReport]:
    """A function that runs our indexer."""
    # Imported here, because decoder processes import this file too.
    from imgsearch.catalog import open_catalog
    from imgsearch.indexing.encode_pool import LocalPool
    from imgsearch.indexing.ingest import Ingestor

    catalog = open_catalog(os.path.join(place, "library"), create=True)

    def run() -> IngestReport:
        root = RootRecord(folder)

        def decoder(size: InputSize, most: int) -> ProcessDecoder:
            workers = os.cpu_count() or 1
            return ProcessDecoder(DecodeSettings(input_size=size), workers, in_flight=2 * BATCH)

        with catalog.writer() as writer:
            writer.put_root(root)
            writer.begin_run(Ours.space, "none", "auto")
            pool = LocalPool(Ours, decoder, BATCH)  # type: ignore[arg-type]
            ingestor = Ingestor(catalog, writer, pool, Ours.space, "none", BATCH, place)
            try:
                return ingestor.run([(FilesystemSource(folder), root)])
            finally:
                pool.close()

    return run


def theirs(folder: str, place: str) -> Callable[[], None]:
    """A function that runs rclip's indexer with its default batch size."""
    from rclip import db, main

    database = db.DB(os.path.join(place, "rclip.sqlite"))
    rclip = main.RClip(Theirs(), database, BATCH, None)

    def run() -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            rclip.ensure_index(folder)

    return run


def measure(folder: str, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of a first run and of a second one without changes, for each program."""
    found: dict[str, list[tuple[float, float]]] = {"imgsearch": [], "rclip": []}
    for number in range(rounds):
        for name, make in (("imgsearch", ours), ("rclip", theirs))[:: 1 - 2 * (number % 2)]:
            with tempfile.TemporaryDirectory(prefix=".imgsearch-rclip-", dir=os.curdir) as place:
                run = make(folder, place)
                found[name].append((seconds(run), seconds(run)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--rclip", metavar="DIR", help="folder of an unpacked rclip")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.rclip:
        sys.path.append(args.rclip)
    folder = os.path.realpath(args.folder)
    count = sum(1 for _ in FilesystemSource(folder).scan())
    print(f"{count} files, rclip {version('rclip')}, medians of {args.rounds}")
    print(f"{'':10} index, s  files/s  again, s")
    for name, runs in measure(folder, args.rounds).items():
        first, again = (statistics.median(each) for each in zip(*runs, strict=True))
        print(f"{name:10} {first:8.2f} {count / first:8.1f} {again:9.3f}")


if __name__ == "__main__":
    main()
