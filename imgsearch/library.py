"""The composition root: settings -> adapters -> services. The only room that knows them all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import Any

import numpy as np

from imgsearch import plugins
from imgsearch.encoders.memory import MemoryUse, memory_used
from imgsearch.errors import QueryError, SourceError
from imgsearch.filters.tree import Filter
from imgsearch.indexes.sealed_files import stored_kind
from imgsearch.indexing.index_files import sync
from imgsearch.indexing.indexer import Indexing
from imgsearch.indexing.plan import known_root
from imgsearch.model_card import InputSize
from imgsearch.opened import LOCK_WAIT_S
from imgsearch.records import (
    Hit,
    Query,
    Ranked,
    Skipped,
    Term,
    Thumbnail,
    clamped,
)
from imgsearch.searching.duplicates import near_identical, search_folded
from imgsearch.searching.searcher import (
    Searcher,
    by_date,
    by_words,
    ranked_by_date,
    ranked_by_words,
    similarity,
)
from imgsearch.searching.trace import Explanation
from imgsearch.spaces import require_searchable
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Pixels


class Library(Indexing):
    """A library of pictures: the services over one catalog, wired up."""

    def status(self) -> dict[str, Any]:
        """What is in the library, as plain values for JSON."""
        found = self.catalog.summary()
        for told, space in zip(found["spaces"], self.catalog.known_spaces(), strict=True):
            told["index"] = stored_kind(self.index_folder, self.catalog.uuid, space.key)
        return found

    def optimize(self) -> str:
        """Write the index of the model in use anew, trained for its size; says what it is now."""
        with self.catalog.writer(wait_s=LOCK_WAIT_S):
            index, _ = self.brought_up(self._searchable(), anew=True)
        return f"{len(index)} vectors: {index.described()}"

    def memory(self) -> MemoryUse:
        """What this process has taken so far, decoder processes not included."""
        return memory_used()

    def forget(self, path: str) -> int:
        """Take a folder out of the library; returns the number of its pictures."""
        root = known_root(path, self.catalog.roots())
        if root is None:
            raise SourceError(
                f"{path} is no folder of this library", "'imgsearch roots' lists its folders."
            )
        with self.catalog.writer(wait_s=LOCK_WAIT_S) as writer:
            return writer.forget_root(root.path)

    @cached_property
    def searcher(self) -> Searcher:
        """Answers queries in the space of the model in use."""
        space = self._searchable()
        index = self.searched_index(space)
        return Searcher(
            self.catalog, index, lambda: sync(self.catalog, index), self._encoder_of(space)
        )

    @property
    def replaced(self) -> bool:
        """True if the catalog that is open here lies no longer in the library's folder."""
        return "catalog" in self.__dict__ and self.catalog.replaced

    def renew(self) -> None:
        """Open what lies in the library's folder by now, and search in the space that it has: if
        this process stays, others may have put back a copy meanwhile, or used another model."""
        if self.replaced:
            self.__dict__.pop("searcher", None)
            self.close()
            del self.catalog
        if "searcher" in self.__dict__:
            with self.catalog.snapshot():
                space = self._searchable()
            if space != self.searcher.index.space:
                del self.searcher

    def snapshot(self) -> AbstractContextManager[None]:
        """Within it, all searches see one state of the library, which is looked for but once.

        Nothing holds where no index is open yet: opening one may write it, and has to see the
        latest state.
        """
        return self.catalog.snapshot() if "searcher" in self.__dict__ else nullcontext()

    def search(self, query: Query, told: Explanation | None = None) -> list[Hit]:
        """The best pictures for a query; without terms, those that pass its filter, by date."""
        told = told or Explanation()
        if query.where is not None and not query.terms:
            return by_date(self.catalog, query, told)
        if query.terms and query.mode == "text":
            return by_words(self.catalog, query, told)
        with told.step("open"):
            searcher = self.searcher
        return searcher.search(query, told)

    def rank(self, query: Query, told: Explanation | None = None) -> list[Ranked]:
        """As `search`, without looking the pictures up; without terms and filter all, by date."""
        told = told or Explanation()
        if not query.terms:
            return ranked_by_date(self.catalog, query, told)
        if query.mode == "text":
            return ranked_by_words(self.catalog, query, told)
        with told.step("open"):
            searcher = self.searcher
        return searcher.rank(query, told)

    def picture_term(self, image_id: int, weight: float = 1.0) -> Term:
        """A picture of the library as a term; raises `QueryError` if there is none of that id."""
        vector = self.catalog.vector(self._searchable(), image_id)
        if vector is None:
            raise QueryError(
                f"there is no picture {image_id} that can be searched with",
                "It may have left the library: search again.",
            )
        return Term(vector=vector, weight=weight)

    def passing(self, where: Filter) -> int:
        """How many pictures pass a filter."""
        return self.catalog.count(where)

    def search_folded(self, query: Query, told: Explanation | None = None) -> list[Hit]:
        """The best pictures for a query that are no copies of a better one."""
        index = self.searcher.index

        def vectors(ids: Ids) -> Embeddings:
            """Zero for a picture that this model has not seen: like none but its very copies."""
            rows = np.zeros((len(ids), index.space.dimension), np.float32)
            seen = np.isin(ids, index.ids())
            rows[seen] = index.vectors(ids[seen])
            return rows

        least = near_identical(index.space.model)
        return search_folded(partial(self.search, told=told), vectors, query, least)

    def thumbnails(self, hits: Sequence[Hit], side: int) -> dict[int, Thumbnail | Skipped]:
        """A small copy of each picture by its id, of at most `side` pixels.

        Made in decoder processes from the files as they are now.
        """
        from imgsearch.sources.thumbnails import thumbnails

        ids = {hit.image.file.absolute: hit.image.id for hit in hits}
        decoder = self.decoder(InputSize(long=side))
        try:
            made = thumbnails(decoder, [hit.image.file for hit in hits])
            return {ids[each.file.absolute]: each for each in made}
        finally:
            decoder.close()

    def image_term(self, path: str, weight: float = 1.0) -> Term:
        """A picture as a term; one that is indexed and unchanged needs no model."""
        vector = self._stored_vector(path)
        if vector is not None:
            return Term(vector=vector, weight=weight)
        return Term(image=self.pixels(path), weight=weight)

    def given_term(self, data: bytes, name: str, weight: float = 1.0) -> Term:
        """A picture that is no file as a term; raises `QueryError` if it cannot be decoded."""
        from imgsearch.sources.decode import decode_given

        size = self.encoder().input_size
        return Term(image=decode_given(data, name, self._decode_settings(size)), weight=weight)

    def pixels(self, path: str) -> Pixels:
        """A picture decoded for the model in use; raises `QueryError` if it cannot be."""
        from imgsearch.sources.decode import decode_path

        size = self.encoder().input_size
        return decode_path(path, self._decode_settings(size)).pixels

    def _stored_vector(self, path: str) -> Embeddings | None:
        try:
            found = os.stat(path)
        except (OSError, ValueError):  # not there, or no path at all
            return None
        record = self.catalog.locate(os.path.realpath(path))
        if record is None or (found.st_size, clamped(found.st_mtime_ns)) != (
            record.file.size,
            record.file.mtime_ns,
        ):
            return None
        return self.catalog.vector(self._searchable(), record.id)

    def _searchable(self) -> EmbeddingSpace:
        model, filled = self.model, self.catalog.known_spaces(filled=True)
        if all(space.model != model for space in filled):
            plugins.encoder_module(model)  # a name that nothing bears is told first
        require_searchable(filled, model, self._asked)
        return self._meant(self._asked.fitting(filled, model))

    def similarity(self, first: Term, second: Term) -> float:
        """The inner product of two terms, with the model in use; needs no library."""
        return similarity(self.encoder(), first, second, self.settings.instruction or None)
