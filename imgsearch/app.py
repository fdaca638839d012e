"""The composition root: settings -> adapters -> services. The only room that knows them all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import cached_property, partial
from typing import Any

import numpy as np

from imgsearch import plugins
from imgsearch.calibrate import Calibrator
from imgsearch.catalog import CatalogWriter, SqlCatalog, open_catalog
from imgsearch.catalog.place import network_warning
from imgsearch.catalog.summary import summary
from imgsearch.encoders.memory import MemoryUse, memory_used
from imgsearch.encoders.pool import LocalPool
from imgsearch.errors import (
    CatalogError,
    EncoderError,
    LibraryBusy,
    LibraryMissing,
    SourceError,
    SpaceMismatch,
)
from imgsearch.explain import Explanation
from imgsearch.filters import Filter
from imgsearch.folding import near_identical, search_folded
from imgsearch.ingest import Ingestor, preview
from imgsearch.model_records import InputSize
from imgsearch.models import Models, canonical
from imgsearch.plan import IndexRequest, known_root, plan
from imgsearch.ports import Decoder, Encoder, VectorIndex
from imgsearch.records import (
    Hit,
    IngestReport,
    OnProgress,
    Query,
    RootRecord,
    Skipped,
    Term,
    Thumbnail,
    clamped,
)
from imgsearch.search import Searcher, by_date, similarity
from imgsearch.settings import Settings
from imgsearch.sources.decode import (
    DecodeSettings,
    decode_given,
    decode_path,
    decoder_signature,
)
from imgsearch.sources.pool import ProcessDecoder
from imgsearch.sources.thumbnails import thumbnails
from imgsearch.sources.walk import FilesystemSource
from imgsearch.spaces import Asked, choose, require_searchable, same_weights, told_apart
from imgsearch.sync import sync, worth_flushing
from imgsearch.vectors import RANDOM, Embeddings, EmbeddingSpace, Ids, Pixels

INDEX = "faiss"
MOST_IN_FLIGHT = 512
"""Pictures that are decoded or wait for the model; their pixels are bounded by the decoder, too."""
BATCH = 32
"""Pictures per commit at most, and per call of a model that does not say how many it wants."""
LOCK_WAIT_S = 3.0
"""A search may hold the lock for a moment, to write an index file."""


class Library:
    """A library of pictures: the services over one catalog, wired up.

    Parameters
    ----------
    say : callable
        Gets notes for the user, one sentence each.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda note: None) -> None:
        self.settings = settings
        self.say = say
        self.models = Models(settings)

    @cached_property
    def catalog(self) -> SqlCatalog:
        """The catalog; raises `LibraryMissing` if there is none yet."""
        return open_catalog(self.settings.library)

    def create(self) -> SqlCatalog:
        """The catalog, made if there is none."""
        if "catalog" not in self.__dict__:
            self.catalog = open_catalog(self.settings.library, create=True)
        return self.catalog

    def close(self) -> None:
        """Close the catalog."""
        if "catalog" in self.__dict__:
            self.catalog.close()

    def status(self) -> dict[str, Any]:
        """What is in the library, as plain values for JSON."""
        return summary(self.catalog)

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

    # Models

    @property
    def model(self) -> str:
        """The model in use: the one that was asked for, else the library's, else `automatic`."""
        if self.settings.model:
            return canonical(self.settings.model)
        with suppress(LibraryMissing):
            default = self.catalog.default_space()
            if default is not None:
                return default.model
        return self.models.automatic.name

    def encoder(self) -> Encoder:
        """The model in use, loaded once, as the library has it."""
        model = self.model
        with suppress(LibraryMissing):
            known = self.catalog.known_spaces
            spaces = self._asked.fitting(known(filled=True), model)
            spaces = spaces or self._asked.fitting(known(), model)
            if spaces:
                return self._load(self._meant(spaces))
        return self.models.encoder(model, self._asked)

    def known_space(self) -> EmbeddingSpace | None:
        """The space of the model in use if this library has it already; loads no model."""
        model = self.model
        revision = self.models.revision(model)
        spaces = self._asked.fitting(self.catalog.known_spaces(), model)
        spaces = [space for space in spaces if space.revision == revision]
        return self._meant(spaces) if spaces else None

    @property
    def _asked(self) -> Asked:
        return Asked(self.settings.document_instruction, self.settings.dimension)

    def _meant(self, spaces: Sequence[EmbeddingSpace]) -> EmbeddingSpace:
        return choose(spaces, self.catalog.default_space())

    # Indexing

    def index(
        self,
        request: IndexRequest,
        on_progress: OnProgress = lambda progress: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> IngestReport:
        """Bring the library up to what lies in the folders.

        Raises
        ------
        SourceError
            A folder that cannot be indexed.
        LibraryBusy
            Another process is indexing into this library.
        """
        planned = self._planned(request)
        self._require_index()
        catalog = self.create()
        warning = network_warning(catalog.folder)
        if warning:
            self.say(f"Beware: {warning[0]}. {warning[1]}")
        with catalog.writer(wait_s=LOCK_WAIT_S) as writer:
            space = _trained(self.known_space() or self._new_space())
            for root, _ in planned:
                writer.put_root(root)

            given = self.settings.batch_size

            def ingest(into: EmbeddingSpace) -> IngestReport:
                sources = [(_source(root, scope, request), root) for root, scope in planned]
                pool = LocalPool(self._encoder_of(into), self.decoder, given or BATCH)
                ingestor = Ingestor(
                    catalog, writer, pool, into, self._signature, min(given or BATCH, BATCH),
                    catalog.folder, on_progress, stop,
                )  # fmt: skip
                with self._run(writer, into, ingestor, pool):
                    return ingestor.run(sources)

            try:
                report = ingest(space)
            except SpaceMismatch:
                self.say(f"{space.model} has changed: all pictures are encoded again.")
                space = _trained(self._new_encoder().space)
                report = ingest(space)
            self._finish(writer, space, report)
        return report

    def _require_index(self) -> None:
        """Fail now, and not after hours of encoding, where no index can be made."""
        plugins.index_class(INDEX)("", "", EmbeddingSpace("", "", "", 1))

    def _new_space(self) -> EmbeddingSpace:
        """The space of a model that is new to this library; tells what the model can do."""
        encoder = self._new_encoder()
        card = encoder.card
        if self.models.chosen:
            self.say(f"No model was named, so it is {card.name}: {self.models.automatic.reason}.")
        self.say(f"Model {card.name}: {card.summary} {card.limits}".rstrip())
        return encoder.space

    def _new_encoder(self) -> Encoder:
        """The model for a space that this library has not: where nothing else is asked for, the
        library's document instruction and shorter vectors hold for a new revision, too."""
        model = self.model
        spaces = [space for space in self.catalog.known_spaces() if space.model == model]
        if not spaces:
            return self.models.encoder(model, self._asked)
        card = self.models.card(model)
        full = card.dimension if card and card.dimensions else 1
        return self.models.encoder(model, self._asked.completed(self._meant(spaces), full))

    def _load(self, space: EmbeddingSpace) -> Encoder:
        """The model of a space, told and cut as then; it may have changed since."""
        try:
            return self.models.encoder(space.model, Asked(space.instruction, space.dimension))
        except EncoderError as error:
            if self.models.revision(space.model) == space.revision:
                raise
            raise SpaceMismatch(
                f"the model has changed since pictures were indexed with {space}: {error}",
                f"Index again: imgsearch index --model {space.model}",
            ) from error

    def preview(self, request: IndexRequest) -> IngestReport:
        """What `index` would do; writes nothing, not even a new library."""
        with self._catalog_or_empty() as catalog:
            space = self.known_space() or EmbeddingSpace(self.model, "", "", 1)
            sources = [_source(*planned, request) for planned in self._planned(request)]
            return preview(catalog, space, self._signature, sources)

    @contextmanager
    def _catalog_or_empty(self) -> Iterator[SqlCatalog]:
        with ExitStack() as stack:
            try:
                catalog = self.catalog
            except LibraryMissing:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsearch-"))
                catalog = self.catalog = open_catalog(folder, create=True)
                stack.callback(self._drop_catalog)
            yield catalog

    def _drop_catalog(self) -> None:
        self.close()
        del self.catalog

    @contextmanager
    def _run(
        self, writer: CatalogWriter, space: EmbeddingSpace, ingestor: Ingestor, pool: LocalPool
    ) -> Iterator[None]:
        """Note the run in the catalog, and how it ended."""
        writer.begin_run(space, self._signature, self.settings.precision)
        outcome = "failed"
        try:
            yield
            outcome = "interrupted" if ingestor.report.interrupted else "done"
        except KeyboardInterrupt:
            outcome = "interrupted"
            raise
        finally:
            pool.close()
            with suppress(CatalogError):
                writer.end_run(outcome, _counts(ingestor.report))

    def _finish(self, writer: CatalogWriter, space: EmbeddingSpace, report: IngestReport) -> None:
        """Bring the index up, forget what nobody needs, and make a complete space the default."""
        index, flushed = self._open_index(space), 0
        if worth_flushing(index):
            index.flush()
            flushed = index.revision
        writer.purge(flushed, timedelta(days=self.settings.keep_days))
        self._choose_default(writer, space)
        if not report.interrupted:
            Calibrator(self.catalog, writer, index, self._encoder_of(space)).run()

    def _choose_default(self, writer: CatalogWriter, space: EmbeddingSpace) -> None:
        """A second space takes over once it covers as many pictures as the first."""
        records = {record.space: record for record in self.catalog.spaces()}
        before = next((record for record in records.values() if record.default), records[space])
        if before.space == space:
            return
        old, new = told_apart(before.space, space), told_apart(space, before.space)
        if before.space.model == space.model and not same_weights(before.space, space):
            writer.set_default_space(space)  # another revision of it: the old one is not here
        elif records[space].vectors >= before.vectors:
            writer.set_default_space(space)
            self.say(f"Searches now use {new}; {old} stays in the library.")
        else:
            self.say(
                f"Searches go on with {old} until {new} covers all pictures "
                f"({records[space].vectors} of {before.vectors} so far)."
            )

    def _encoder_of(self, space: EmbeddingSpace) -> Callable[[], Encoder]:
        def load() -> Encoder:
            encoder = self._load(space)
            if encoder.space != space:
                raise SpaceMismatch(
                    f"the model has changed since pictures were indexed with it:\n"
                    f"  indexed with {space}\n  present      {encoder.space}",
                    f"Index again: imgsearch index --model {space.model}",
                )
            return encoder

        return load

    def _planned(self, request: IndexRequest) -> list[tuple[RootRecord, str]]:
        roots = self._known_roots()
        return plan(request, roots, self.settings.library)

    def _known_roots(self) -> list[RootRecord]:
        try:
            return self.catalog.roots()
        except LibraryMissing:
            return []

    @property
    def _signature(self) -> str:
        return decoder_signature(self._decode_settings(InputSize()))

    def _decode_settings(self, size: InputSize) -> DecodeSettings:
        return DecodeSettings(max_pixels=self.settings.max_pixels, input_size=size)

    def decoder(self, size: InputSize, at_once: int = BATCH) -> Decoder:
        """Decoder processes as the settings have them; close them after use.

        Parameters
        ----------
        at_once : int
            Pictures per call of the model: there will be enough for two calls in flight, so that
            decoding goes on while it works.
        """
        return ProcessDecoder(
            self._decode_settings(size),
            workers=self.settings.decoders,
            timeout_s=self.settings.decode_seconds,
            in_flight=min(2 * at_once, MOST_IN_FLIGHT),
        )

    # Searching

    @cached_property
    def searcher(self) -> Searcher:
        """Answers queries in the space of the model in use."""
        space = self._searchable()
        index = self._open_index(space, flush=True)
        return Searcher(
            self.catalog, index, lambda: sync(self.catalog, index), self._encoder_of(space)
        )

    def search(self, query: Query, told: Explanation | None = None) -> list[Hit]:
        """The best pictures for a query; without terms, those that pass its filter, by date."""
        told = told or Explanation()
        if query.where is not None and not query.terms:
            return by_date(self.catalog, query, told)
        with told.step("open"):
            searcher = self.searcher
        return searcher.search(query, told)

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
        size = self.encoder().input_size
        return Term(image=decode_given(data, name, self._decode_settings(size)), weight=weight)

    def pixels(self, path: str) -> Pixels:
        """A picture decoded for the model in use; raises `QueryError` if it cannot be."""
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

    @property
    def index_folder(self) -> str:
        """Where the index files lie."""
        return os.path.join(self.catalog.folder, "index")

    def stored_index(self, space: EmbeddingSpace) -> VectorIndex:
        """The index of a space as it lies on disk; empty if there is none."""
        index: VectorIndex = plugins.index_class(INDEX)(self.index_folder, self.catalog.uuid, space)
        return index

    def _open_index(self, space: EmbeddingSpace, flush: bool = False) -> VectorIndex:
        """The index of a space, brought up to the catalog; rebuilt on any doubt."""
        index = self.stored_index(space)
        doubt = sync(self.catalog, index) or index.doubt
        if doubt:
            self.say(f"The index was rebuilt from the catalog: {doubt}.")
        if flush and worth_flushing(index):
            # Only to spare the next opening the same work: never mind if someone else writes.
            with suppress(LibraryBusy, CatalogError, OSError), self.catalog.writer():
                sync(self.catalog, index)  # or an older file could replace a newer one
                index.flush()
        return index


def _trained(space: EmbeddingSpace) -> EmbeddingSpace:
    """The space, unless its vectors mean nothing: then `EncoderError`."""
    if space.revision == RANDOM:
        raise EncoderError(
            f"{space.model} has random weights: nothing that is indexed with it could be found",
            "Random weights are for 'imgsearch bench' only; 'imgsearch models' lists real models.",
        )
    return space


def _source(root: RootRecord, scope: str, request: IndexRequest) -> FilesystemSource:
    return FilesystemSource(
        root.path,
        scope=scope,
        exclude=root.exclude,
        hidden=root.hidden,
        mounts=root.mounts,
        prune=request.prune,
    )


def _counts(report: IngestReport) -> dict[str, float]:
    names = ("scanned", "added", "updated", "moved", "unchanged", "removed", "skipped", "seconds")
    return {name: getattr(report, name) for name in names}
