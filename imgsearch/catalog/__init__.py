"""The catalog: the only truth, kept in SQLite or on PostgreSQL.

SQLAlchemy is imported when one of the names below is first used, so `overview` works without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgsearch.catalog.store import Catalog, open_catalog
    from imgsearch.catalog.writer import CatalogWriter

__all__ = ["Catalog", "CatalogWriter", "open_catalog"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from imgsearch.catalog import store

    return getattr(store, name)
