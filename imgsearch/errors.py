"""Every error that imgsearch raises on purpose.

    ImgSearchError                 a set-up or request that cannot work; `hint` says how to fix it
    |- MissingExtra                an optional package is not installed
    |- CatalogError                the library folder cannot be used
    |  |- LibraryMissing           the folder has no library yet
    |  |- LibraryBusy              another process is writing to it
    |  |- LibraryTooNew            its schema is newer than this program
    |- SpaceMismatch               vectors of two embedding spaces would have been compared
    |- EncoderError                a model cannot be loaded or fails
    |- QueryError                  a query that cannot be answered
    |- SourceError                 a folder that cannot be indexed

A bad image is not an error but a value: `records.Skipped`.
"""

from __future__ import annotations


class ImgSearchError(Exception):
    """A set-up or request that cannot work.

    Attributes
    ----------
    hint : str
        One sentence that says how to fix it, or "".
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class MissingExtra(ImgSearchError):
    """A required optional package is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs a package that is not installed",
            f"In your clone of imgsearch, run: pip install '.[{extra}]'",
        )


class CatalogError(ImgSearchError):
    """The library folder or its catalog cannot be used."""


class LibraryMissing(CatalogError):
    """The folder has no library yet."""


class LibraryBusy(CatalogError):
    """Another process holds the writer lock of this library."""


class LibraryTooNew(CatalogError):
    """The catalog was written by a newer version of imgsearch."""


class SpaceMismatch(ImgSearchError):
    """Vectors of two embedding spaces would have been compared."""


class EncoderError(ImgSearchError):
    """A model cannot be loaded, or fails on every input."""


class QueryError(ImgSearchError):
    """A query that cannot be answered: empty, unreadable or out of range."""


class SourceError(ImgSearchError):
    """A folder that cannot be indexed."""
