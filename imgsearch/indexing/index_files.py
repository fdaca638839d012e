"""The life of a stored index: open, sync with the catalog, rebuild, flush, train.

It is stored in files of the library, or on a server. An index is a projection of the catalog's
vectors of one space. It knows the revision it has reached; later changes are replayed, and on any
doubt it is rebuilt from the catalog.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch import plugins
from imgsearch.errors import CatalogError, ImgSearchError, LibraryBusy
from imgsearch.indexes.sealed_files import stored_kind
from imgsearch.ports import VectorIndex
from imgsearch.records import IndexState, Revision
from imgsearch.vectors import EmbeddingSpace

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog

MAX_TAIL_VECTORS = 4096
MAX_TAIL_SHARE = 0.1
MAX_REPLAYED_CHANGES = 65_536
"""With more changes than this, the file is rebuilt from the catalog instead of replaying them in
memory; while another process indexes it cannot be rebuilt, so they are replayed."""


class IndexFiles:
    """The stored indexes of a library: files in its folder, or on a server.

    Parameters
    ----------
    kind : str
        Name in the entry points `imgsearch.indexes`, or the URL of a server.
    note : callable
        Gets notes for the user.
    """

    def __init__(self, catalog: Catalog, kind: str, note: Callable[[str], None]) -> None:
        self._catalog, self._kind, self._note = catalog, kind, note

    @property
    def folder(self) -> str:
        """The folder of the index files."""
        return os.path.join(self._catalog.folder, "index")

    def open(self, space: EmbeddingSpace) -> VectorIndex:
        """The stored index of a space; empty if there is none."""
        return plugins.open_index(self._kind, self.folder, self._catalog.uuid, space)

    def for_search(self, space: EmbeddingSpace) -> VectorIndex:
        """The index, caught up, for a search.

        Nothing is trained. A file is written only if it is missing, or so old that each search
        would replay for longer; and not if another process writes or the library is read-only.
        """
        catalog, index = self._catalog, self.open(space)
        doubt = index.state.doubt
        if far_behind(catalog, index):
            with suppress(LibraryBusy, CatalogError, OSError), catalog.writer():
                rebuild(catalog, index)
                doubt = doubt or "too much has happened since it was written"
        doubt = sync(catalog, index) or doubt
        self._report(doubt)
        if worth_flushing(index, while_waiting=True):
            with suppress(LibraryBusy, CatalogError, OSError), catalog.writer():
                sync(catalog, index)  # or an older file could replace a newer one
                index.flush()
        prepare: Any = getattr(index, "prepare", None)
        if prepare is not None:
            prepare(self._note)
        return index

    def bring_up(
        self, space: EmbeddingSpace, retrain: bool = False
    ) -> tuple[VectorIndex, Revision]:
        """The index, caught up, trained and durable; the caller holds the writer lock.

        Parameters
        ----------
        retrain : bool
            Write and train it even if that is not due.

        Returns
        -------
        index, flushed
            `flushed` is the revision that was written; 0 if nothing was.
        """
        catalog, index = self._catalog, self.open(space)
        doubt, flushed = index.state.doubt, 0
        if far_behind(catalog, index):
            rebuild(catalog, index, train=True)
            flushed = index.state.revision
        doubt = sync(catalog, index) or doubt
        if retrain or index.state.due or worth_flushing(index):
            damage = index.check()  # damage in the old file must not be copied to the new one
            doubt = damage or doubt
            if damage:
                index.clear()
                rebuild(catalog, index, train=True)
            index.flush(train=True, retrain=retrain)
            flushed = index.state.revision
        self._report(doubt)
        return index, flushed

    def is_settled(self, space: EmbeddingSpace) -> bool:
        """True if the stored index is up to date and no training is due; loads no index."""
        state = self.stored(space)
        return (state.revision, state.token) == self._catalog.head() and not state.due

    def stored(self, space: EmbeddingSpace) -> IndexState:
        """The state of the stored index of a space, at revision 0 if there is none."""
        where = plugins.index_place(self._kind, self.folder)
        return plugins.index_class(self._kind).stored(where, self._catalog.uuid, space)

    def described(self, space: EmbeddingSpace) -> str:
        """The kind of the stored index of a space, in words; "" if there is none."""
        return described(self._kind, self.folder, self._catalog.uuid, space)

    def held_by_all(self, flushed: Revision) -> Revision:
        """The latest revision, `flushed` at most, that the stored indexes of all spaces hold.

        Those so old that they are rebuilt from the catalog anyway do not count.
        """
        head = self._catalog.head()[0]
        held = [self.stored(space).revision for space in self._catalog.known_spaces()]
        recent = (each for each in held if each and head - each <= MAX_REPLAYED_CHANGES)
        return min([flushed, *recent])

    def follower(self, space: EmbeddingSpace) -> Callable[[], None]:
        """A function to call at each commit of a long run, which updates a file that is far behind.

        Searches would replay for long otherwise: during the run they cannot write a file.
        """
        written = self.stored(space).revision

        def follow() -> None:
            nonlocal written
            head = self._catalog.head()[0]
            if head - written > MAX_REPLAYED_CHANGES // 2:
                written = head  # even if it fails: no need to try again at each commit
                with suppress(CatalogError, OSError):  # the end of the run reports it
                    self.bring_up(space)

        return follow

    def _report(self, doubt: str) -> None:
        if doubt:
            self._note(f"The index was rebuilt from the catalog: {doubt}.")


def described(kind: str, folder: str, library: str, space: EmbeddingSpace) -> str:
    """The kind of a stored index, in words; "" if there is none.

    A file is described whatever the kind, because all kinds share one format.
    """
    if not plugins.is_url(kind):
        return stored_kind(folder, library, space.key, kind)
    try:
        state = plugins.index_class(kind).stored(kind, library, space)
    except ImgSearchError as error:
        return str(error)
    return state.kind if state.revision else ""


def require_kind(kind: str) -> None:
    """Fail before hours of encoding if no index of that kind can be made."""
    engine(kind)


def engine(kind: str) -> str:
    """The engine of an index of that kind, in words; raises `ImgSearchError` if there is none."""
    return plugins.open_index(kind, "", "", EmbeddingSpace("", "", "", 1)).state.kind


def sync(catalog: Catalog, index: VectorIndex) -> str:
    """Replay the changes after the index's revision; on any doubt, rebuild it.

    Returns
    -------
    str
        Why the index had to be rebuilt, in words; empty when the tail was enough.
    """
    with catalog.snapshot():
        reason = ""
        state = index.state
        behind = (state.revision, state.token) != catalog.head()
        if state.unflushed > MAX_TAIL_VECTORS or (behind and not _replayable(catalog, index)):
            index.reload()
        elif not behind:
            return reason
        if not _replayable(catalog, index):
            reason = "the index does not belong to the present state of the catalog"
            index.clear()
        for changes in catalog.changes(index.space, since=index.state.revision):
            index.apply(changes)
    return reason


def _replayable(catalog: Catalog, index: VectorIndex) -> bool:
    state = index.state
    return catalog.replayable(state.revision, state.token)


def far_behind(catalog: Catalog, index: VectorIndex) -> bool:
    """True if a replay of the changes since the index was written would fill the memory."""
    with catalog.snapshot():
        known = index.state.revision if _replayable(catalog, index) else 0
        return catalog.head()[0] - known > MAX_REPLAYED_CHANGES


def rebuild(catalog: Catalog, index: VectorIndex, train: bool = False) -> None:
    """Rebuild the stored index from the catalog, in bounded memory; the caller holds the lock."""
    with catalog.snapshot():
        batches = partial(catalog.changes, index.space, 0)
        index.build(*catalog.head(), batches, train)


def worth_flushing(index: VectorIndex, while_waiting: bool = False) -> bool:
    """True if replaying the tail at each opening would cost more than writing the file once.

    A flush rewrites the whole file: one photo added to a million must not write gigabytes. While
    a search waits, only a tail that is a share of the file is written.
    """
    tail = index.state.unflushed
    return tail > MAX_TAIL_SHARE * len(index) or (tail >= MAX_TAIL_VECTORS and not while_waiting)


def verify(catalog: Catalog, index: VectorIndex) -> list[str]:
    """Differences between the index and the catalog, one sentence each; empty if there are none.

    Both ids and vectors are compared, the vectors bit by bit.
    """
    matched = missing = different = 0
    with catalog.snapshot():
        for changes in catalog.changes(index.space, since=0):
            held = np.isin(changes.ids, index.among(np.sort(changes.ids)))
            matched += int(held.sum())
            missing += int((~held).sum())
            vectors = index.vectors(changes.ids[held])
            different += int((vectors != changes.vectors[held]).any(axis=1).sum())
    counts = {
        "pictures of the catalog are not in the index": missing,
        "vectors of the index belong to no picture of the catalog": len(index) - matched,
        "vectors of the index differ from the catalog's": different,
    }
    return [f"{count} {fault}" for fault, count in counts.items() if count]
