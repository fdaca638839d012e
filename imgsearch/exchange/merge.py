"""Merges: adds the pictures, vectors, texts and saved searches of another library to this one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from imgsearch.catalog import Catalog, open_catalog
from imgsearch.catalog.lock import LOCK_TIMEOUT_SECONDS
from imgsearch.catalog.sqlite_file import FILE
from imgsearch.errors import ExchangeError, LibraryMissing, SpaceMismatch
from imgsearch.records import ForeignImages, RootRecord, TakenOver
from imgsearch.searching.saved_searches import take_over
from imgsearch.sources.excludes import Excludes, is_excluded
from imgsearch.vectors import EmbeddingSpace

IMAGES_PER_COMMIT = 1000


@dataclass(frozen=True, slots=True)
class _Destination:
    """The root here that takes in a root of the other library.

    Attributes
    ----------
    source : RootRecord
        That root.
    root : RootRecord
        The root here.
    below : str
        Path of the source below that root: "" or a path that ends with "/".
    """

    source: RootRecord
    root: RootRecord
    below: str


def merge(
    catalog: Catalog,
    folder: str,
    on_commit: Callable[[TakenOver], None] = lambda total: None,
) -> TakenOver:
    """Add the present pictures and the saved searches of another library to this one.

    Roots at the same path are joined. Existing data is kept: a picture keeps its id, its metadata
    and its vectors, and gets the vectors and texts that it lacks. The other library is only read.
    Run a merge again if it was stopped; a second run changes nothing.

    Parameters
    ----------
    folder : str
        Folder of the other library.
    on_commit : callable
        Called after each transaction with the counts so far.

    Raises
    ------
    LibraryMissing
        The folder has no library.
    SpaceMismatch
        The other library has no vectors in the space that this one searches.
    ExchangeError
        It is the same library, or a root here excludes pictures that the other library has.
    LibraryBusy
        Another process is writing to this library.
    """
    require_library(folder)
    if os.path.samefile(folder, catalog.folder):
        raise ExchangeError(f"{folder} is this library itself", "Name another library.")
    total = TakenOver()
    with closing(open_catalog(folder)) as other, other.snapshot():
        spaces = _spaces(catalog, other)
        with catalog.writer(wait_s=LOCK_TIMEOUT_SECONDS) as writer:
            mine = catalog.roots(counted=False)
            destinations = _destinations(other.roots(counted=False), mine)
            for each in destinations:
                _require_included(other, each)
            known = set(mine)
            for each in destinations:
                for page in _pages(other, each.source.path):
                    if each.root not in known:  # a root joins with its first pictures
                        writer.put_root(each.root)
                        known.add(each.root)
                    _add(total, writer.take_over(each.root.path, each.below, page, spaces))
                    on_commit(total)
            if catalog.ocr_mode() in ("", "off") and other.ocr_mode() in ("on", "auto"):
                writer.set_ocr_mode(other.ocr_mode())
        total.searches = take_over(catalog, other)
    return total


def require_library(folder: str) -> None:
    """Raise `LibraryMissing` unless there is a library in a folder."""
    if not os.path.exists(os.path.join(folder, FILE)):
        raise LibraryMissing(
            f"there is no library in {folder}",
            "Name the folder of a library. A backup becomes one with 'imgsearch restore'.",
        )


def _spaces(catalog: Catalog, other: Catalog) -> list[EmbeddingSpace]:
    """The spaces of the other library, its default first, if this one can search its pictures."""
    mine, theirs = catalog.default_space(), other.default_space()
    filled = other.known_spaces(filled=True)
    if mine is not None and filled and mine not in filled:
        raise SpaceMismatch(
            f"the libraries have no model in common:\n  this one   {mine}\n  the other  "
            + "\n             ".join(map(str, filled)),
            f"Index the other one with the model of this one: imgsearch index --library"
            f" {other.folder} --model {mine.model}",
        )
    return sorted(filled, key=lambda space: space != theirs)


def _destinations(theirs: Sequence[RootRecord], mine: Sequence[RootRecord]) -> list[_Destination]:
    """The destination of each root of the other library, shortest paths first."""
    here = {root.path: root for root in mine}
    found = []
    for root in sorted(theirs, key=lambda root: len(root.path)):
        destination = _destination(root, list(here.values()))
        here[destination.root.path] = destination.root
        found.append(destination)
    # An option of a root that took in several of the others holds for all of them.
    return [replace(each, root=here[each.root.path]) for each in found]


def _destination(root: RootRecord, mine: Sequence[RootRecord]) -> _Destination:
    same = next((each for each in mine if each.path == root.path), None)
    around = same or next((each for each in mine if each.takes_in(root.path)), None)
    if around is not None:
        below = "" if same else os.path.relpath(root.path, around.path).replace(os.sep, "/") + "/"
        joined = replace(around, hidden=around.hidden or root.hidden)
        return _Destination(root, joined, below)
    inner = [each for each in mine if root.takes_in(each.path)]
    if inner and any(each.exclude for each in (root, *inner)):
        raise ExchangeError(
            f"{root.path} of the other library contains {inner[0].path} of this one, and their"
            " exclude patterns may contradict each other",
            f"Index the wider folder here first: imgsearch index {root.path}",
        )
    hidden = root.hidden or any(each.hidden for each in inner)
    return _Destination(root, replace(root, hidden=hidden, images=0), "")


def _require_included(other: Catalog, destination: _Destination) -> None:
    """Refuse pictures that the next scan of the root here would remove again."""
    source, root = destination.source, destination.root
    # No picture of the other library fits the patterns that it has at the same place itself.
    if not root.exclude or (root.path, root.exclude) == (source.path, source.exclude):
        return
    excludes = Excludes(root.exclude)
    for page in _pages(other, source.path):
        for row in page.rows:
            path = destination.below + row["path"]
            if is_excluded(excludes, path):
                raise ExchangeError(
                    f"{root.path} excludes {' '.join(root.exclude)} in this library, and the other"
                    f" one has {path} there",
                    f"Include it first: imgsearch index {root.path} --no-exclude",
                )


def _pages(other: Catalog, root: str) -> Iterator[ForeignImages]:
    """The pictures of a root, in parts."""
    after = 0
    while (page := other.foreign_images(root, after, IMAGES_PER_COMMIT)).rows:
        yield page
        after = page.rows[-1]["id"]


def _add(total: TakenOver, part: TakenOver) -> None:
    total.added += part.added
    total.known += part.known
    total.differing += part.differing
    total.vectors += part.vectors
