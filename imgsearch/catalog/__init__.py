"""The catalog: the only truth, kept in SQLite."""

from __future__ import annotations

from imgsearch.catalog.store import SqlCatalog, open_catalog
from imgsearch.catalog.writer import CatalogWriter

__all__ = ["CatalogWriter", "SqlCatalog", "open_catalog"]
