"""A filter as a list of ids against a filter as a condition in SQL, with catalog and index in one
database on PostgreSQL.

    python benchmarks/server_filters.py postgresql://host/database [--count 100000]

In an empty database it first makes a library of synthetic vectors, with an approximate index. The
vectors of the library come from its catalog, so that both ways answer the same.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import psycopg
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import psycopg as dialect

from imgsearch.bench import synthetic_vectors
from imgsearch.catalog import Catalog, open_catalog
from imgsearch.catalog.filter_sql import present
from imgsearch.catalog.tables import images
from imgsearch.errors import LibraryMissing
from imgsearch.filters.parser import parse
from imgsearch.filters.tree import Below, Filter
from imgsearch.indexes.pgvector_index import (
    _PRECISE,
    _SCAN,
    _TRAINED,
    PgIndex,
    PgStore,
    _in_brackets,
)
from imgsearch.indexes.served_index import Generation, Selection
from imgsearch.indexing.index_files import rebuild
from imgsearch.records import Encoded, ImageFile, ImageMetadata, RootRecord
from imgsearch.vectors import normalize

DIMENSION, LIMIT, BATCH = 768, 20, 512
FILTERS: dict[str, Filter] = {
    "all": parse("width >= 1"),
    "50 %, orientation": parse("orientation = landscape"),
    "10 %, year": parse("taken = 2015"),
    "10 %, keyword": parse("keywords = beach"),
    "1 %, folder": Below("/photos/2015/003"),
    "1 %, camera": parse("camera = 'Model 7'"),
    "0.01 %, folder": Below("/photos/2015/003/012"),
}
WORDS = ("beach", "birthday", "dog", "party", "mountain", "walk", "snow", "garden", "cat", "boat")
TRAINED = (
    "SET LOCAL hnsw.ef_search = 400; SET LOCAL hnsw.iterative_scan = 'strict_order';"
    " SET LOCAL enable_seqscan = off"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=30)
    options = parser.parse_args()
    space = synthetic_vectors.space_of(DIMENSION)
    with tempfile.TemporaryDirectory() as folder:
        catalog = opened(folder, options.url, options.count)
        index = PgIndex(options.url, catalog.uuid, space)
        if index.revision == 0:
            PgIndex.trained_from = options.count
            with catalog.writer():
                rebuild(catalog, index, train=True)
        conditional = ConditionIndex(
            f"{options.url}?options=-c%20search_path%3Dimgsearch,public", catalog.uuid, space
        )
        numbers = np.random.default_rng(4)
        some = np.sort(numbers.choice(options.count, options.queries, replace=False)) + 1
        noise = normalize(numbers.standard_normal((options.queries, DIMENSION)))
        queries = normalize(index.vectors(some) + noise).astype(np.float32)
        print(index.described(), len(index))
        for name, where in FILTERS.items():
            compare(name, where, queries, catalog, index, conditional)
        catalog.close()


def opened(folder: str, url: str, count: int) -> Catalog:
    """The catalog, filled if it is new."""
    try:
        return open_catalog(folder, url=url)
    except LibraryMissing:
        catalog = open_catalog(folder, create=True, url=url)
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(synthetic_vectors.space_of(DIMENSION), "decoder", "fp32")
        batch: list[Encoded] = []
        for item in pictures(count):
            batch.append(item)
            if len(batch) == BATCH:
                writer.commit(batch)
                batch.clear()
        writer.commit(batch)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    return catalog


def pictures(count: int) -> Iterator[Encoded]:
    """Pictures in the order of their paths: ten years of folders of 1 %, with folders of 0.01 %."""
    numbers = np.random.default_rng(1)
    for batch in synthetic_vectors.clustered(count, DIMENSION):
        for i, vector in zip((batch.ids - 1).tolist(), batch.vectors, strict=True):
            part = i * 100_000 // count
            year = 2010 + part // 10_000
            path = f"{year}/{part // 1000 % 10:03}/{part // 10 % 100:03}/{i:06}.jpg"
            wide, word, model = (int(numbers.integers(top)) for top in (2, 10, 100))
            about = ImageMetadata(
                4000 if wide else 2000, 3000, "JPEG", taken_at=datetime(year, 6, 1 + i % 28),
                taken_precision="second", camera_make="Maker", camera_model=f"Model {model}",
                keywords=(WORDS[word],),
            )  # fmt: skip
            yield Encoded(ImageFile("/photos", path, i, i), f"{i:064}", about, vector)


class ConditionStore(PgStore):
    """The rows on the server, searched with a condition of the catalog in place of ids."""

    passing: tuple[str, dict[str, Any]]
    explained = False

    def nearest(
        self, generation: Generation, query: Any, k: int, rows: Selection, method: str
    ) -> Any:
        distance = {"scan": _SCAN, "trained": _TRAINED, "precise": _PRECISE}[method]
        distance = distance.replace("%s", "%(q)s").format(kind="halfvec")
        condition, values = self.passing
        text = (
            f"SELECT id, {distance} AS d, v FROM imgsearch_index.{generation.name}"
            f" WHERE id IN ({condition}) ORDER BY d LIMIT %(k)s"
        )
        numbers = query if method == "precise" else query.astype(np.float16)
        values = values | {"q": _in_brackets(numbers), "k": k}

        def read(connection: Any) -> list[Any]:
            with connection.transaction():
                if method == "trained":
                    connection.execute(TRAINED)
                if self.explained:
                    plan = connection.execute("EXPLAIN (COSTS OFF) " + text, values)
                    nodes = [row[0].strip(" ->") for row in plan]
                    print("   plan:", " / ".join(each for each in nodes if ":" not in each))
                return connection.execute(text, values, binary=True).fetchall()

        found = self._server.read(read)
        ids, codes = self._decoded(generation, [(row[0], row[2]) for row in found])
        return ids, -np.array([row[1] for row in found], np.float64), codes


class ConditionIndex(PgIndex):
    """The index as it would be with a condition: what follows the statement is the same."""

    store = ConditionStore

    def passing(self, catalog: Catalog, where: Filter) -> Any:
        """The query for the ids that pass, as `Catalog.select` makes it."""
        with catalog._read() as connection:
            return select(images.c.id).where(present(connection, where))

    def set_condition(self, passing: Any) -> None:
        """SQLAlchemy caches texts for a catalog, so that this is not timed."""
        options = {"render_postcompile": True}
        compiled = passing.compile(dialect=dialect.dialect(), compile_kwargs=options)
        values = dict(compiled.params)
        for name, process in compiled._bind_processors.items():
            values[name] = process(values[name])
        self._store.passing = str(compiled), values

    def best(self, query: np.ndarray, trained: bool, explained: bool = False) -> np.ndarray:
        """Ids of the best; `trained` allows the approximate index."""
        self._store.explained = explained
        rows = Selection(None, np.empty(0, np.int64))
        return self._best(query[0], LIMIT, rows, trained)[0]

    def passed(self) -> int:
        """The number of pictures that pass and have a vector."""
        condition, values = self._store.passing
        table = f"imgsearch_index.{self._main.name}"
        query = f"SELECT count(*) FROM {table} WHERE id IN ({condition})"

        def read(connection: Any) -> int:
            return connection.execute(query, values).fetchone()[0]

        return self._store._server.read(read)


RATIOS = {
    "select and search / condition": ("select, search", "filter, condition"),
    "by ids / by condition": ("select, among, search", "filter, condition, count"),
    "by ids / by condition, HNSW": ("select, among, search", "filter, condition HNSW, count"),
    "both HNSW": ("select, among, search HNSW", "filter, condition HNSW, count"),
}
"""A search needs the number of pictures that pass, which is that of the ids."""


def compare(
    name: str,
    where: Filter,
    queries: np.ndarray,
    catalog: Catalog,
    index: PgIndex,
    conditional: ConditionIndex,
) -> None:
    """All ways in turn, query by query."""
    conditional.set_condition(conditional.passing(catalog, where))
    print(f"{name}: {conditional.passed()} pass")
    for trained in (False, True):
        conditional.best(queries[:1], trained, explained=True)
    times: dict[str, list[float]] = {}
    shares: dict[str, list[float]] = {}

    def timed(what: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        times.setdefault(what, []).append(1e3 * (time.perf_counter() - started))
        return result

    def by_ids(query: np.ndarray) -> dict[str, np.ndarray]:
        index._forget_caches()
        len(index)
        ids = timed("select", partial(catalog.select, where))
        allowed = timed("among", partial(index.among, ids))
        found = {}
        for way, limit in (("search", len(index)), ("search HNSW", 0)):
            index.exact_filter_up_to = limit
            found[way] = timed(way, partial(index.search, query, LIMIT, allowed)).ids[0]
        return found

    def by_condition(query: np.ndarray) -> dict[str, np.ndarray]:
        timed("filter", partial(conditional.passing, catalog, where))
        found = {
            way: timed(way, partial(conditional.best, query, trained))
            for way, trained in (("condition", False), ("condition HNSW", True))
        }
        timed("count", conditional.passed)
        return found

    with catalog.snapshot():
        for number in range(len(queries)):
            query = queries[number : number + 1]
            found = {}
            for way in (by_ids, by_condition)[:: -1 if number % 2 else 1]:
                found |= way(query)
            exact = found["search"]
            for what, ids in found.items():
                share = len(np.intersect1d(ids, exact)) / len(exact)
                shares.setdefault(what, []).append(share)
    print("   medians", *(f"{what} {statistics.median(each):.1f}," for what, each in times.items()))
    print("   least", *(f"{what} {min(each):.1f}," for what, each in times.items()), "ms")
    print("   of the exact", *(f"{what} {np.mean(each):.3f}," for what, each in shares.items()))
    for what, parts in RATIOS.items():
        over, under = (np.array([times[each] for each in part.split(", ")]) for part in parts)
        median = np.median(over.sum(0)) / np.median(under.sum(0))
        least = over.min(1).sum() / under.min(1).sum()
        print(f"   {what:<30} {median:.2f}, of the least times {least:.2f}", flush=True)


if __name__ == "__main__":
    main()
