"""Guarantees of a snapshot of the catalog."""

from __future__ import annotations

import pytest

from imgsearch.catalog import Catalog
from imgsearch.catalog.engine import writing
from imgsearch.errors import CatalogError
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexing.index_files import sync
from tests.fakes import SPACE, MemoryFolder, ingest


@pytest.fixture
def folder(catalog: Catalog) -> MemoryFolder:
    """One picture, indexed."""
    folder = MemoryFolder()
    folder.files = {"a.jpg": ("a", 1)}
    ingest(catalog, folder)
    return folder


def test_a_value_read_once_stays_the_same_until_the_snapshot_ends(
    catalog: Catalog, folder: MemoryFolder
) -> None:
    with catalog.snapshot():
        first = catalog.head()
        with catalog.snapshot():
            assert catalog.head() == first
        references = catalog.references(SPACE)
        references["text"] = None  # type: ignore[assignment] # this is a copy
        assert "text" not in catalog.references(SPACE)
    folder.files["b.jpg"] = ("b", 1)
    ingest(catalog, folder)
    assert catalog.head()[0] > first[0]


def test_an_error_within_a_snapshot_is_the_same_as_outside(catalog: Catalog) -> None:
    """The snapshot remains usable after one of its reads has failed."""
    with writing(catalog._engine) as other:
        other.exec_driver_sql("ALTER TABLE reference_scores RENAME TO gone")
    with catalog.snapshot(), pytest.raises(CatalogError):
        catalog.references(SPACE)


@pytest.mark.usefixtures("folder")
def test_an_index_of_the_same_revision_but_another_history_is_rebuilt(
    catalog: Catalog,
) -> None:
    index = MemoryIndex("", catalog.uuid, SPACE)
    assert sync(catalog, index) == ""
    assert sync(catalog, index) == ""  # nothing to do
    with writing(catalog._engine) as other:
        other.exec_driver_sql("UPDATE commits SET token = 'another'")
    assert "does not belong" in sync(catalog, index)
    assert (index.revision, index.token) == catalog.head()
