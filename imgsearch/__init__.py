"""imgsearch: search your own pictures by words or by an example picture, on your own machine.

    from imgsearch import open_library

    library = open_library("my-library")
    library.index("~/Pictures")
    for hit in library.search("a dog on the beach", limit=5):
        print(hit.rank, hit.strength, hit.path)

docs/PYTHON.md is the tour of the names below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgsearch.errors import ImgSearchError, LibraryMissing, QueryError
    from imgsearch.filters.parser import parse as parse_filter
    from imgsearch.indexing.plan import IndexRequest
    from imgsearch.library import Library, open_library
    from imgsearch.records import ImageRecord, IngestReport
    from imgsearch.searching.hits import Hit, SearchResult, hit_to_plain
    from imgsearch.searching.request import SearchRequest, Term

__version__ = "0.1.0"
__all__ = [
    "Hit",
    "ImageRecord",
    "ImgSearchError",
    "IndexRequest",
    "IngestReport",
    "Library",
    "LibraryMissing",
    "QueryError",
    "SearchRequest",
    "SearchResult",
    "Term",
    "hit_to_plain",
    "open_library",
    "parse_filter",
]

_MODULES = {
    "Hit": "searching.hits",
    "ImageRecord": "records",
    "ImgSearchError": "errors",
    "IndexRequest": "indexing.plan",
    "IngestReport": "records",
    "Library": "library",
    "LibraryMissing": "errors",
    "QueryError": "errors",
    "SearchRequest": "searching.request",
    "SearchResult": "searching.hits",
    "Term": "searching.request",
    "hit_to_plain": "searching.hits",
    "open_library": "library",
    "parse_filter": "filters.parser",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: the command line starts without them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"imgsearch.{_MODULES[name]}")
    return getattr(module, "parse" if name == "parse_filter" else name)
