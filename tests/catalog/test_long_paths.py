"""Paths as long as Linux allows, which do not fit into a key of PostgreSQL's B-trees."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from imgsearch.catalog import Catalog, schema, unchanged_files
from imgsearch.catalog.dialects import one_of
from imgsearch.catalog.filter_sql import at_or_below
from imgsearch.catalog.overview import Overview
from imgsearch.catalog.spellings import for_postgresql
from imgsearch.catalog.tables import images, skipped
from imgsearch.errors import CatalogServerError
from imgsearch.filters.tree import Below
from imgsearch.sources.folder_source import FilesystemSource
from tests.catalog.test_shots import groups, put
from tests.conftest import needs_server
from tests.crash.plugin.cheap_encoder import CheapEncoder
from tests.fakes import MemoryFolder, held, ingest, long_path, rehearsed
from tests.indexing.real_files import Photos, picture


def test_pictures_with_long_paths_are_pictures_like_others(
    catalog: Catalog, catalog_url: str, tmp_path: Path
) -> None:
    photos = Photos(catalog, tmp_path / "photos")
    [root] = photos.roots
    deep = root / long_path(1)
    for seed, path in enumerate((root / "short.bmp", deep / "1.bmp", deep / "2.bmp")):
        picture(path, seed)
    (deep / "broken.bmp").write_bytes(b"no picture")
    report = photos.index()
    assert (report.added, report.skipped) == (3, 1)
    report = photos.index()
    assert (report.unchanged, report.added, photos.encoded) == (3, 0, [])
    assert [os.path.basename(each.file.path) for each in catalog.skipped()] == ["broken.bmp"]
    assert photos.record(deep / "1.bmp").file.absolute == str(deep / "1.bmp")
    assert catalog.count(Below(str(deep))) == catalog.count(Below(str(deep.parent))) == 2
    assert catalog.count(Below(str(deep) + "x")) == 0

    names = [(deep / name).relative_to(root).as_posix() for name in ("1.bmp", "broken.bmp")]
    with closing(Overview(catalog.folder, catalog_url)) as overview:
        assert set(overview.known_files(str(root), [*names, "none.bmp"])) == set(names)

    moved = picture(root / long_path(2) / "1.bmp", 1)  # the same content
    (deep / "1.bmp").unlink()
    picture(deep / "broken.bmp", 9)
    (deep / "2.bmp").write_bytes(b"changed")
    rehearsal = rehearsed(catalog, FilesystemSource(str(root)), space=CheapEncoder.space)
    assert len(rehearsal.names["moved"]) == 1
    report = photos.index()
    assert (report.moved, report.added, report.skipped) == (1, 1, 1)
    assert set(photos.vectors()) == {
        str(each) for each in (root / "short.bmp", moved, deep / "broken.bmp")
    }
    assert catalog.check() == []


def test_a_long_folder_of_the_library_becomes_part_of_a_shorter_one(
    catalog: Catalog, tmp_path: Path
) -> None:
    folder = tmp_path / "photos" / long_path(3)
    picture(folder / "1.bmp", 1)
    picture(tmp_path / "photos" / "2.bmp", 2)
    assert Photos(catalog, folder).index().added == 1
    assert Photos(catalog, folder).index().unchanged == 1
    report = Photos(catalog, tmp_path / "photos").index()
    assert (report.unchanged, report.added) == (1, 1)
    assert [root.path for root in catalog.roots()] == [str(tmp_path / "photos")]


MANY = """
INSERT INTO images (id, root_id, path, size, mtime_ns, content_hash, width, height, format,
  orientation, name_key, status, added_at)
SELECT 100 + n, root_id, n / 50 || '/' || n, size, mtime_ns, content_hash, width, height, format,
  orientation, name_key, status, added_at
FROM images, generate_series(1, 2000) AS n WHERE id = 1;
INSERT INTO embeddings (space_id, image_id, revision, vector)
SELECT 1, id, id, '' FROM images WHERE id > 100;
ANALYZE
"""
"""Copies of a picture in folders of 50, so that the planner weighs its choices."""


@pytest.mark.parametrize("rows", [1, 2])
def test_paths_that_begin_alike_stay_in_order(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """More of them than a page has, and the same up to where the index of PostgreSQL ends."""
    monkeypatch.setattr(unchanged_files, "PAGE_ROWS", rows)
    folder, start = MemoryFolder(), "語" * 700
    names = sorted(f"{start}/{name}" for name in ("b.jpg", "a/b.jpg", "a.jpg", "a!.jpg", "é.jpg"))
    folder.files = {name: (f"content {i}", 1) for i, name in enumerate(["0.jpg", *names, "龍.jpg"])}
    assert ingest(catalog, folder).added == 7
    report = ingest(catalog, folder)
    assert (report.unchanged, report.encoded) == (7, 0)
    del folder.files[names[0]]
    assert ingest(catalog, folder).removed == 1
    assert catalog.count(Below(f"/photos/{start}/a")) == 1


def test_shots_are_found_at_long_paths(catalog: Catalog) -> None:
    stem, noon = long_path(4), datetime(2024, 5, 1, 12)
    files = (f"{stem}/a.CR2", "RAW", noon), (f"{stem}/a.JPG", "JPEG", noon)
    put(catalog, *files, (f"{stem}/b.JPG", "JPEG", noon))
    assert groups(catalog) == {(f"{stem}/a.JPG", f"{stem}/a.CR2")}


@needs_server
@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_an_older_catalog_on_a_server_takes_long_paths_after_its_upgrade(catalog: Catalog) -> None:
    """And its queries for paths use the new indexes."""
    folder, path = MemoryFolder(), long_path(5)
    folder.files = {f"{n}.jpg": (f"content {n}", 1) for n in range(3)}
    ingest(catalog, folder)
    with catalog._engine.begin() as connection:
        for statement in (
            "DROP INDEX ix_images_root_id_path_start, ix_skipped_root_id_path_start",
            "ALTER TABLE roots ADD CONSTRAINT uq_roots_path UNIQUE (path)",
            "ALTER TABLE images ADD CONSTRAINT uq_images_root_id_path UNIQUE (root_id, path)",
            "ALTER TABLE skipped ADD CONSTRAINT uq_skipped_root_id_path UNIQUE (root_id, path)",
            "ALTER TABLE reference_texts DROP COLUMN priors",  # of 0017
            "UPDATE alembic_version SET version_num = '0015'",
        ):
            connection.execute(text(statement))
    long = MemoryFolder("/elsewhere")
    long.files = {f"{path}.jpg": ("content 3", 1), f"{path}.png": ("broken", 1)}
    with pytest.raises(CatalogServerError, match="exceeds btree"):
        ingest(catalog, long)
    schema.upgrade_server(catalog._engine, lambda connection: None)
    folder.files |= long.files
    report = ingest(catalog, folder)
    assert (report.added, report.unchanged, report.skipped) == (1, 3, 1)
    assert f"/photos/{path}.jpg" in held(catalog)

    after = for_postgresql(unchanged_files._SQL_ON_SERVER).replace("LIMIT ?", "LIMIT 9")
    here = images.select().where(images.c.root_id == 1)
    with catalog._engine.connect() as connection:
        for statement in MANY.split(";"):
            connection.execute(text(statement))
        connection.execute(text("SET enable_seqscan = off"))
        queries = [
            ("images", text(after.replace("?", "'1'"))),
            ("images", here.where(at_or_below("7"))),
            ("images", here.where(one_of(connection, images.c.path, ["a", "b"]))),
            ("skipped", skipped.select().where(one_of(connection, skipped.c.path, ["a", "b"]))),
        ]
        for table, query in queries:
            written = query.compile(connection, compile_kwargs={"literal_binds": True})
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {written}").scalars())
            scan = plan.partition(f"ix_{table}_root_id_path_start")[2]
            assert '"left"(path, 640)' in scan.partition("Filter")[0], f"{written}\n{plan}"
