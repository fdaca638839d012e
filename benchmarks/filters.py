"""Measures filters and filtered searches in a library of synthetic pictures.

    python benchmarks/filters.py [--pictures 200000] [--dimension 768]

Writes rows of pictures into a catalog in a temporary folder: 30 cameras, 400 folders, dates over 20
years, a position for every third. Then measures, 7 times each, typical filters from the tree to
sorted ids, listing by date, the clusters of the map of the world, and searches among the ids that
pass, in an exact index of random unit vectors, at several selectivities and with both methods.
Prints the median CPU time in milliseconds; set OMP_NUM_THREADS=1 to compare it with wall-clock
time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import insert

from imgsearch.catalog import Catalog, open_catalog, rows
from imgsearch.catalog.engine import writing
from imgsearch.catalog.tables import images, roots
from imgsearch.filters.parser import parse
from imgsearch.indexes import faiss_index
from imgsearch.records import ChangeBatch, ImageMetadata
from imgsearch.serving.world_map import BANDS_PER_COLUMN, CELLS_PER_TILE, MAX_CELLS, joined
from imgsearch.vectors import EmbeddingSpace, Ids, normalize

REPEATS = 7
FILTERS = (
    "taken = 2023",
    "taken = 2023-05-17",
    "taken >= 2015",
    "camera ~ 'model 17'",
    "format = heic",
    "name ~ 'img_0012*'",
    "name ~ 99",
    "width >= 4000 and height >= 3000",
    "orientation = portrait",
    "in /photos/album123",
    "in /photos",
    "has gps",
    "near(48.8566, 2.3522, 10)",
    "near(48.8566, 2.3522, 500)",
    "not taken < 2020",
    "taken = 2023 and camera ~ 'model 17' and not has gps",
    "in /photos/album123 or (format = heic and taken < 2010)",
)
MAPS = (("", 2), ("box(40, -5, 50, 10)", 7), ("taken = 2019", 2))
"""Filters and zooms of the map of the world."""
SHARES = (1.0, 0.5, 0.1, 0.01, 1e-3, 1e-4)


def picture(random: np.random.Generator, number: int) -> dict[str, object]:
    """The columns of one synthetic picture."""
    wide = random.random() < 0.7
    gps = number % 3 == 0
    taken = datetime(2004, 1, 1) + timedelta(seconds=float(random.random() * 20 * 365 * 86_400))
    metadata = ImageMetadata(
        4032 if wide else 3024,
        3024 if wide else 4032,
        "HEIF" if random.random() < 0.2 else "JPEG",
        taken_at=taken if number % 20 else None,
        camera_make="Maker",
        camera_model=f"Model {random.integers(30)}",
        latitude=float(random.normal(48, 5)) if gps else None,
        longitude=float(random.normal(3, 8)) if gps else None,
    )
    path = f"album{number % 400}/IMG_{number:08}.jpg"
    return {
        "id": number, "root_id": 1, "size": 3_000_000, "mtime_ns": number,
        "content_hash": str(number), "status": "present", "added_at": taken,
        **rows.path_values(path), **rows.metadata_values(metadata),
    }  # fmt: skip


def fill(catalog: Catalog, count: int) -> None:
    random = np.random.default_rng(0)
    now = datetime.now()
    with writing(catalog._engine) as connection:
        connection.execute(insert(roots).values(
            id=1, path="/photos", exclude=[], hidden=False, mounts=[], added_at=now))  # fmt: skip
        for start in range(1, count + 1, 10_000):
            numbers = range(start, min(start + 10_000, count + 1))
            connection.execute(insert(images), [picture(random, number) for number in numbers])


def build_index(folder: str, space: EmbeddingSpace, count: int) -> faiss_index.FlatIndex:
    def batches() -> Iterator[ChangeBatch]:
        for start in range(1, count + 1, 20_000):
            ids = np.arange(start, min(start + 20_000, count + 1))
            random = np.random.default_rng(start)
            rows = normalize(random.standard_normal((len(ids), space.dimension), np.float32))
            vectors = normalize(rows.astype(np.float16))  # as a catalog returns them
            yield ChangeBatch(start, start + 1, "", np.empty(0, np.int64), ids, vectors)

    index = faiss_index.FlatIndex(folder, "", space)
    index.build(count, "-", batches)
    return index


def median_ms(work) -> tuple[float, object]:
    result = work()  # warms the cache
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        result = work()
        times.append(time.process_time() - started)
    return statistics.median(times) * 1000, result


def filter_lines(catalog: Catalog) -> Iterator[str]:
    for text in FILTERS:
        where = parse(text)
        spent, ids = median_ms(lambda where=where: catalog.select(where))
        listed, _ = median_ms(lambda where=where: catalog.newest(where, 20))
        yield f"{spent:9.1f} {listed:9.1f} {len(ids):9}  {text}"


def map_lines(catalog: Catalog) -> Iterator[str]:
    for text, zoom in MAPS:
        where, columns = parse(text) if text else None, CELLS_PER_TILE << zoom
        bands = BANDS_PER_COLUMN * columns

        def clusters(where=where, columns=columns, bands=bands):
            return joined(catalog.position_cells(where, columns, bands, MAX_CELLS), columns)

        spent, found = median_ms(clusters)
        yield f"{spent:9.1f}            {len(found):9}  clusters at zoom {zoom}: {text or 'all'}"


def search_lines(index: faiss_index.FlatIndex, allowed: Ids) -> Iterator[str]:
    query = normalize(np.random.default_rng(1).standard_normal((1, index.space.dimension)))
    spent, _ = median_ms(lambda: index.search(query, 21))
    yield f"{spent:9.1f}            {len(allowed):9}  no filter"
    random = np.random.default_rng(2)
    for share in SHARES:
        some = np.sort(random.choice(allowed, max(1, round(share * len(allowed))), replace=False))
        spent, found = median_ms(lambda some=some: index.search(query, 21, some))
        yield f"{spent:9.1f}            {len(some):9}  share {share:g}: {found.method}"
        for limit in (0, 1 << 40):  # never gather, always gather
            default, faiss_index.MAX_GATHERED_BYTES = faiss_index.MAX_GATHERED_BYTES, limit
            spent, found = median_ms(lambda some=some: index.search(query, 21, some))
            faiss_index.MAX_GATHERED_BYTES = default
            yield f"          {spent:9.1f}  {'':9}    {found.method}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=768)
    options = parser.parse_args()
    space = EmbeddingSpace("made-up", "", "", options.dimension)
    with tempfile.TemporaryDirectory() as folder:
        catalog = open_catalog(folder, create=True)
        fill(catalog, options.pictures)
        print("filter ms   list ms  pictures")
        for line in filter_lines(catalog):
            print(line, flush=True)
        for line in map_lines(catalog):
            print(line, flush=True)
        catalog.close()
        print("search ms  forced ms pictures")
        index = build_index(f"{folder}/index", space, options.pictures)
        for line in search_lines(index, np.arange(1, options.pictures + 1)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
