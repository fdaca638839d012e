"""A copy of a catalog in another database has all of it, and goes on after a stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from imgsearch.catalog import Catalog, open_catalog, transfer
from imgsearch.catalog.engine import writing
from imgsearch.catalog.overview import Overview
from imgsearch.errors import CatalogError, LibraryBusy
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexing.index_files import sync, verify
from imgsearch.records import (
    Cluster,
    Clustering,
    ClusterTree,
    ImageMetadata,
    Measures,
    RootRecord,
    TextFound,
)
from tests.conftest import needs_server
from tests.fakes import (
    DECODER,
    OTHER,
    SPACE,
    MemoryFolder,
    encoded,
    held,
    ingest,
    long_path,
    unit_rows,
)

pytestmark = needs_server
NAMES = ["a.jpg", "caf\udce9.jpg", "Łódź/Birthday cake.jpg", "語/東京タワー.jpg",
         f"{long_path(1)}.jpg"]  # fmt: skip


@pytest.fixture(scope="module")
def database_kind() -> str:
    return "postgresql"


@pytest.fixture
def original(tmp_path: Path) -> Catalog:
    """A catalog in a file with rows in every table."""
    catalog = open_catalog(str(tmp_path / "library"), create=True)
    folder = MemoryFolder()
    folder.files = {name: (f"content {i}", 1) for i, name in enumerate(NAMES)}
    folder.files |= {"bad.jpg": ("broken x", 1), "later.jpg": ("unreadable y", 1)}
    ingest(catalog, folder)
    ingest(catalog, folder, space=OTHER)
    del folder.files["a.jpg"]
    ingest(catalog, folder)
    metadata = ImageMetadata(4, 3, "JPEG", title="nul\0 in it", people=("Zoë",), latitude=50.1,
                             longitude=-0.1)  # fmt: skip
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/more", ("*.tmp",), True))
        writer.begin_run(SPACE, DECODER, "fp32")
        measures = Measures(0.1, 0.9, 0.0, 0.4, 0.05, 3.0, "document")
        item = replace(encoded("b.jpg", "b", "/more"), metadata=metadata, measures=measures)
        writer.commit([item])
        writer.put_texts([TextFound("b", "engine", "Total 12.50", "")])
        writer.set_ocr_mode("on")
        ids = catalog.all_ids()
        mean = unit_rows(1)[0]
        parts = [Cluster(0, None, f"part {i}", int(ids[i]), mean, 1) for i in range(2)]
        inner = [ClusterTree(each, ids[i : i + 1], ()) for i, each in enumerate(parts)]
        whole = ClusterTree(Cluster(0, None, "all", int(ids[0]), mean, 2), ids[:0], tuple(inner))
        made_of = Clustering(catalog.head()[0], len(ids), 0.5)
        writer.put_clusters(SPACE, made_of, [whole], ids[2:], "digest", unit_rows(2))
    with catalog.saving() as saved:
        saved.put("Beaches", "beaches", "{}")
        saved.remove(saved.put("Gone", "gone", "{}"))
    return catalog


def contents(catalog: Catalog) -> dict[str, object]:
    summary = catalog.summary()
    for name in ("library", "bytes", "catalog"):
        summary.pop(name, None)
    return {
        "summary": summary,
        "uuid": catalog.uuid,
        "head": catalog.head(),
        "roots": catalog.roots(),
        "skipped": catalog.skipped(),
        "saved": catalog.saved_searches(),
        "names": {key: record.file.path for key, record in catalog.get(range(1, 20)).items()},
        "words": [key for key, _ in catalog.with_words("birthday cake", 9)],
        "text": [key for key, _ in catalog.with_words("total", 9)],
        "labels": catalog.select(parse("people = zoe")).tolist(),
        "clusters": [(each.id, each.parent, each.name) for each in catalog.clusters(SPACE)],
        "members": {key: ids.tolist() for key, ids in catalog.cluster_members(SPACE).items()},
        "measured": catalog.unmeasured_count(),
        "faults": catalog.check(),
    }


def parse(expression: str):  # type: ignore[no-untyped-def]
    from imgsearch.filters.parser import parse

    return parse(expression)


def ignore(name: str, rows: int) -> None:
    pass


def test_a_copy_has_everything_and_so_has_a_copy_of_it(
    original: Catalog, tmp_path: Path, new_url: Callable[[], str]
) -> None:
    url, back = new_url(), str(tmp_path / "back")
    counts: dict[str, int] = {}
    rows = original.copy_to(url, counts.__setitem__)
    assert rows == sum(counts.values()) and all(
        counts[each.name] for each in transfer.TABLES if each.name not in ("reference_scores",
        "reference_texts")
    ), counts  # fmt: skip
    vectors = held(original)
    with closing(open_catalog(str(tmp_path / "local"), url=url)) as there:
        assert contents(there) == contents(original)
        copied = held(there)
        assert copied.keys() == vectors.keys()
        assert all(np.array_equal(copied[path], vectors[path]) for path in vectors)
        index = MemoryIndex("", there.uuid, SPACE)
        assert sync(there, index) == "" and verify(there, index) == []
        assert there.copy_to(back, ignore) == rows
        with closing(open_catalog(back)) as again:
            assert contents(again) == contents(there)
        folder = MemoryFolder("/new")
        folder.files = {"z.jpg": ("z", 1)}
        assert ingest(there, folder).added == 1
        (newest,) = there.latest_added(1)
        assert newest > max(original.all_ids()), "an id is not used again"
        with there.saving() as saved:
            assert saved.put("New", "new", "{}") == 3, "the id of a removed one, too"


def test_a_stopped_copy_cannot_be_opened_and_goes_on(
    original: Catalog, tmp_path: Path, new_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, local = new_url(), str(tmp_path / "local")
    monkeypatch.setattr(transfer, "ROWS_PER_PAGE", 2)
    for stop in ("roots", "images", "embeddings", "skipped"):

        def fail(name: str, rows: int, stop: str = stop) -> None:
            if name == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            original.copy_to(url, fail)
        with pytest.raises(CatalogError, match="not complete"):
            open_catalog(local, url=url)
        with pytest.raises(CatalogError, match="not complete"):
            open_catalog(local, create=True, url=url)
        with pytest.raises(CatalogError, match="not complete"):
            Overview(local, url)
    original.copy_to(url, ignore)
    with closing(open_catalog(local, url=url)) as there:
        assert contents(there) == contents(original)
    with pytest.raises(CatalogError, match="already holds a library"):
        original.copy_to(url, ignore)


def test_a_row_that_differs_is_noticed(
    original: Catalog, tmp_path: Path, new_url: Callable[[], str]
) -> None:
    url = new_url()

    def stop(name: str, rows: int) -> None:
        if name == "images":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        original.copy_to(url, stop)
    with writing(original._engine) as connection:
        connection.execute(text("UPDATE images SET title = 'another' WHERE id = 2"))
    with pytest.raises(CatalogError, match="the table images of the target differs"):
        original.copy_to(url, ignore)
    with pytest.raises(CatalogError, match="not complete"):
        open_catalog(str(tmp_path / "local"), url=url)


def test_nobody_writes_meanwhile(original: Catalog, new_url: Callable[[], str]) -> None:
    with original.writer(), pytest.raises(LibraryBusy):
        original.copy_to(new_url(), ignore)


def test_a_folder_with_other_files_is_refused(
    tmp_path: Path, catalog: Catalog, original: Catalog
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    with pytest.raises(CatalogError, match="not empty"):
        catalog.copy_to(str(tmp_path / "photos"), ignore)
    with pytest.raises(CatalogError, match="already holds a library"):
        catalog.copy_to(original.folder, ignore)
