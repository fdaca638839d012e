"""Every error that imgsearch raises on purpose.

    ImgSearchError                 a set-up or request that cannot work; `hint` says how to fix it
    |- MissingExtra                an optional package is not installed
    |- CatalogError                the library folder cannot be used
    |  |- LibraryMissing           the folder has no library yet
    |  |- LibraryBusy              another process is writing to it
    |  |- LibraryTooNew            its schema is newer than this program
    |  |- CatalogServerError       the server that holds the catalog cannot be used
    |  |- IndexServerError         the server that holds the index cannot be used
    |- SpaceMismatch               vectors of two embedding spaces would have been compared
    |- EncoderError                a model cannot be loaded or fails
    |  |- ModelServerError         the server that runs a model cannot be used
    |- QueryError                  a query that cannot be answered
    |- SourceError                 a folder that cannot be indexed
    |- ExchangeError               an export that cannot be written, files that cannot be imported
    |- TooManyFiles                the system lets this process, or all of them, open no more files

A bad image is not an error but a value: `records.Skipped`.
"""

from __future__ import annotations

import errno
import os


class ImgSearchError(Exception):
    """A set-up or request that cannot work.

    Parameters
    ----------
    message : str
        What is wrong, in a sentence without a full stop.
    hint : str
        One sentence that says how to fix it, or "".

    Attributes
    ----------
    hint : str
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


class CatalogServerError(CatalogError):
    """The server that holds the catalog of a library cannot be used."""


class IndexServerError(CatalogError):
    """The server that holds the index of a library cannot be used."""


class SpaceMismatch(ImgSearchError):
    """Vectors of two embedding spaces would have been compared."""


class EncoderError(ImgSearchError):
    """A model cannot be loaded, or fails on every input."""


class ModelServerError(EncoderError):
    """The server that runs a model cannot be used, whatever the input."""


class QueryError(ImgSearchError):
    """A query that cannot be answered: empty, unreadable or out of range."""


class SourceError(ImgSearchError):
    """A folder that cannot be indexed."""


class ExchangeError(ImgSearchError):
    """An export that cannot be written, or a file that cannot be imported."""


class TooManyFiles(ImgSearchError):
    """The system lets this process, or all processes, open no more files."""

    def __init__(self) -> None:
        super().__init__(
            "too many open files",
            "Raise the limit, for example with 'ulimit -n 4096', or close other programs.",
        )


def is_too_many_files(error: OSError) -> bool:
    """True for the errors of a process, or a system, that can open no more files."""
    return error.errno in (errno.EMFILE, errno.ENFILE)


def require_free_descriptor() -> None:
    """Raise `TooManyFiles` if that is why something could not be opened.

    For callers that learn that opening has failed, but not why.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if is_too_many_files(error):
            raise TooManyFiles from error
