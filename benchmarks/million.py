"""Measures opening a library of a million synthetic pictures, and its first query.

    python benchmarks/million.py make DIR [--pictures 1000000] [--dimension 768] [--kept FOLDER]
    python benchmarks/million.py open DIR [--times 5] [--index KIND]

`make` writes rows of pictures and their vectors into a catalog: those of 'imgsearch bench search
--synthetic', read from its `--folder` with `--kept`. `open` prints the sizes of catalog and index
and starts processes that import imgsearch and then measure the time from `Library` to the hits of
the first query, which is a vector and needs no model, and 20 more queries.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from sqlalchemy import insert, text, update

from imgsearch.bench.synthetic_vectors import clustered, open_or_build, space_of
from imgsearch.catalog import open_catalog, rows
from imgsearch.catalog.engine import writing
from imgsearch.catalog.tables import commits, embeddings, library, roots, spaces
from imgsearch.library import Library
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.settings import Settings
from imgsearch.vectors import Embeddings, Ids, normalize

PICTURES = """
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count)
INSERT INTO images (id, root_id, path, size, mtime_ns, content_hash, width, height, format,
                    orientation, taken_at, camera_make, camera_model, name_key, camera_key, status,
                    added_at)
SELECT i, 1, printf('album%d/IMG_%08d.jpg', i % 400, i), 3000000, i, printf('%032d', i), 4032, 3024,
       'JPEG', 1, datetime('2004-01-01', printf('+%d minutes', i * 7919 % 10000000)) || '.000000',
       'Maker', printf('Model %d', i % 30), printf('img_%08d.jpg', i),
       printf('maker model %d', i % 30), 'present', '2026-01-01 00:00:00.000000'
FROM numbers
"""


def vectors(count: int, dimension: int, kept: str) -> Iterator[tuple[Ids, Embeddings]]:
    if not kept:
        yield from ((changes.ids, changes.vectors) for changes in clustered(count, dimension))
        return
    index, _ = open_or_build("auto", os.path.join(kept, f"{count}x{dimension}"), count, dimension)
    for start in range(1, count + 1, 8192):
        ids = np.arange(start, min(count + 1, start + 8192))
        yield ids, index.vectors(ids)


def make(folder: str, count: int, dimension: int, kept: str) -> None:
    catalog = open_catalog(folder, create=True)
    space, now, started = space_of(dimension), datetime.now(), time.perf_counter()
    with writing(catalog._engine) as connection:
        connection.execute(insert(roots).values(
            id=1, path="/photos", exclude=[], hidden=False, mounts=[], added_at=now))  # fmt: skip
        connection.execute(text(PICTURES), {"count": count})
    print(f"rows of pictures: {time.perf_counter() - started:.0f} s", flush=True)
    with writing(catalog._engine) as connection:
        connection.execute(
            insert(spaces).values(
                id=1, key=space.key, model=space.model, revision=space.revision,
                preprocessing=space.preprocessing, dimension=dimension, created_at=now,
            )
        )  # fmt: skip
        for ids, batch in vectors(count, dimension, kept):
            connection.execute(insert(embeddings), [
                {"space_id": 1, "image_id": i, "revision": i, "vector": rows.to_blob(vector)}
                for i, vector in zip(ids.tolist(), batch, strict=True)
            ])  # fmt: skip
        connection.execute(insert(commits).values(revision=count, token="0" * 16))
        connection.execute(update(library).values(revision=count, default_space_id=1))
    catalog.close()
    print(f"and vectors: {time.perf_counter() - started:.0f} s", flush=True)
    lib = Library(Settings(library=folder), print)
    started = time.perf_counter()
    with lib.catalog.writer():
        index, _ = lib.index_files.bring_up(space)
    print(f"index: {time.perf_counter() - started:.0f} s, {index.described()}", flush=True)
    lib.close()


def first(folder: str, kind: str) -> dict[str, float]:
    """Measure in this process, after importing everything."""
    import psutil

    from imgsearch.indexes.threads import import_faiss

    import_faiss()
    random = np.random.default_rng(os.getpid())
    process = psutil.Process()
    before, started = process.memory_info().rss, time.perf_counter()
    lib = Library(Settings(library=folder, index=kind), print)
    dimension = lib.catalog.default_space().dimension
    queries = [normalize(random.standard_normal((1, dimension)))[0] for _ in range(21)]
    hits = lib.search(SearchRequest([Term(vector=queries[0])], limit=20))
    opened = time.perf_counter() - started
    assert len(hits) == 20
    memory = process.memory_info().rss - before
    spent = []
    for query in queries[1:]:
        started = time.perf_counter()
        lib.search(SearchRequest([Term(vector=query)], limit=20))
        spent.append(time.perf_counter() - started)
    lib.close()
    return {"first_s": opened, "next_ms": statistics.median(spent) * 1e3, "memory_mb": memory / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["make", "open", "first"])
    parser.add_argument("folder")
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--kept", default="", help="of 'imgsearch bench search --synthetic'")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--index", default="auto")
    args = parser.parse_args()
    if args.what == "make":
        make(args.folder, args.pictures, args.dimension, args.kept)
    elif args.what == "first":
        print(json.dumps(first(args.folder, args.index)))
        return
    for path, _, names in os.walk(args.folder):
        for name in sorted(names):
            print(f"{os.path.getsize(os.path.join(path, name)) / 1e6:9.1f} MB  {name}")
    command = [sys.executable, __file__, "first", args.folder, "--index", args.index]
    for _ in range(args.times if args.what == "open" else 0):
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


if __name__ == "__main__":
    main()
