"""Compares a catalog on PostgreSQL with one in a file, batch by batch in turn.

    python benchmarks/catalog_server.py postgresql://host/EMPTY-DATABASE [--batches 60]

Writes batches of 32 synthetic pictures with vectors of 768 numbers, as `imgsearch index` does, and
prints the time of PostgreSQL in relation to that of SQLite. Both make commits durable, if the
server does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from sqlalchemy import event

from imgsearch.catalog import Catalog, open_catalog
from imgsearch.filters.parser import parse
from imgsearch.records import Encoded, ImageFile, ImageMetadata, RootRecord
from imgsearch.vectors import EmbeddingSpace, normalize

DIMENSION, BATCH = 768, 32
SPACE = EmbeddingSpace("synthetic", "1", "none", DIMENSION)
NAMES = ("beach", "birthday", "IMG", "München", "dog", "party", "mountain", "walk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--batches", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        catalogs = {
            name: stack.enter_context(
                closing(open_catalog(str(Path(place) / name), create=True, url=url))
            )
            for name, url in (("file", ""), ("server", options.url))
        }
        commits(catalogs, options.batches)
        reads(catalogs)


def commits(catalogs: dict[str, Catalog], batches: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in catalogs}
    trips = 0
    with ExitStack() as stack:
        writers = {name: stack.enter_context(each.writer()) for name, each in catalogs.items()}
        for writer in writers.values():
            writer.put_root(RootRecord("/photos"))
            writer.begin_run(SPACE, "decoder", "fp32")

        def count(*arguments: object) -> None:
            nonlocal trips
            trips += 1

        event.listen(catalogs["server"]._engine, "after_cursor_execute", count)
        for number in range(batches):
            items = batch(number)
            for name in sorted(writers, reverse=bool(number % 2)):
                start = time.perf_counter()
                writers[name].commit(items)
                seconds[name].append(time.perf_counter() - start)
        event.remove(catalogs["server"]._engine, "after_cursor_execute", count)
    rates = {name: BATCH / statistics.median(each) for name, each in seconds.items()}
    print(f"pictures committed per second, server / file: {rates['server'] / rates['file']:.2f}")
    print(f"statements per batch of {BATCH} on the server: {trips / batches:.1f}")


def batch(number: int) -> list[Encoded]:
    random = np.random.default_rng(number)
    vectors = normalize(random.standard_normal((BATCH, DIMENSION)))
    items = []
    for i, vector in enumerate(vectors):
        words = " ".join(random.choice(NAMES, 3))
        path = f"{2000 + number % 20}/{words}/{number:05}_{i:02}.jpg"
        about = ImageMetadata(4000, 3000, "JPEG", camera_make="NIKON", camera_model="D750",
                              title=words, keywords=tuple(words.split()))  # fmt: skip
        file = ImageFile("/photos", path, int(random.integers(1 << 24)), number)
        items.append(Encoded(file, f"{number:032}{i:032}", about, vector))
    return items


def reads(catalogs: dict[str, Catalog]) -> None:
    queries: dict[str, Callable[[Catalog], object]] = {
        "a filter on names": lambda catalog: catalog.select(parse("name ~ '*_0[1-4]*'")),
        "words": lambda catalog: catalog.with_words("birthday party", 100),
        "the 40 newest": lambda catalog: catalog.newest(None, 40),
        "changes to replay": lambda catalog: list(catalog.changes(SPACE, 0)),
    }
    for what, query in queries.items():
        seconds: dict[str, list[float]] = {name: [] for name in catalogs}
        for turn in range(11):
            for name in sorted(catalogs, reverse=bool(turn % 2)):
                start = time.perf_counter()
                query(catalogs[name])
                seconds[name].append(time.perf_counter() - start)
        medians = {name: statistics.median(each) for name, each in seconds.items()}
        print(f"{what}, server / file: {medians['server'] / medians['file']:.1f}")


if __name__ == "__main__":
    main()
