"""Folders to library: settings and requests to an `Ingestor`, and what comes after it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

from imgsearch import plugins
from imgsearch.catalog import CatalogWriter, SqlCatalog, open_catalog
from imgsearch.catalog.filesystem import network_warning
from imgsearch.errors import (
    CatalogError,
    EncoderError,
    LibraryMissing,
    MissingExtra,
    SpaceMismatch,
)
from imgsearch.indexes.sealed_files import newest
from imgsearch.indexing import ocr_run
from imgsearch.indexing.calibration import Calibrator
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.indexing.index_files import MOST_REPLAYED
from imgsearch.indexing.ingest import Ingestor, preview
from imgsearch.indexing.ocr_run import TextIngestor
from imgsearch.indexing.plan import IndexRequest, plan
from imgsearch.ocr.null import NullReader
from imgsearch.ocr.rapid import RapidReader
from imgsearch.opened import BATCH, LOCK_WAIT_S, Opened
from imgsearch.ports import Encoder, TextReader, VectorIndex
from imgsearch.records import (
    IngestReport,
    OnProgress,
    Revision,
    RootRecord,
)
from imgsearch.searching.strength import outdated
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.spaces import same_weights, told_apart
from imgsearch.text_records import TextReport
from imgsearch.vectors import RANDOM, EmbeddingSpace


class Indexing(Opened):
    """The half of a library that writes."""

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
        roots = self._known_roots()
        planned = plan(request, roots, self.settings.library)
        if not roots:
            self._require_index()  # before a library is made for nothing
        catalog = self.create()
        warning = network_warning(catalog.folder)
        if warning:
            self.say(f"Beware: {warning[0]}. {warning[1]}")
        with catalog.writer(wait_s=LOCK_WAIT_S) as writer:
            reader = self._reader(writer, request.ocr)
            space = _trained(self.known_space() or self._new_space())
            for root, _ in planned:
                writer.put_root(root)

            given = self.settings.batch_size

            def ingest(into: EmbeddingSpace) -> IngestReport:
                sources = [(_source(root, scope, request), root) for root, scope in planned]
                pool = LocalPool(self._loading(into), self.decoder, given or BATCH)
                ingestor = Ingestor(
                    catalog, writer, pool, into, self._signature, min(given or BATCH, BATCH),
                    catalog.folder, on_progress, stop, self._following(into),
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
            if reader.engine and not report.interrupted:
                places = [(root.path, scope) for root, scope in planned]
                report.texts = self._read_texts(writer, reader, places, on_progress, stop)
                report.interrupted = stop()
        return report

    def _reader(self, writer: CatalogWriter, asked: bool | None) -> TextReader:
        """What reads texts: none where nobody asked for it, or where it is not installed though
        an earlier run has asked."""
        wanted = self.catalog.wants_texts() if asked is None else asked
        try:
            reader = RapidReader(self.settings.threads) if wanted else NullReader()
        except MissingExtra as error:
            if asked:
                raise
            self.say(f"Texts in pictures are not read: {error}. {error.hint}")
            return NullReader()
        if asked is not None:
            writer.want_texts(asked)
        return reader

    def _read_texts(
        self,
        writer: CatalogWriter,
        reader: TextReader,
        places: Sequence[tuple[str, str]],
        on_progress: OnProgress,
        stop: Callable[[], bool],
    ) -> TextReport:
        decoder = self.decoder(reader.input_size, ocr_run.BATCH)
        try:
            ingestor = TextIngestor(self.catalog, writer, decoder, reader, on_progress, stop)
            return ingestor.run(places)
        finally:
            decoder.close()

    def _loading(self, space: EmbeddingSpace) -> Callable[[], Encoder]:
        """The encoder, when there is something to encode."""

        def load() -> Encoder:
            self._require_index()
            return self._encoder_of(space)()

        return load

    def _require_index(self) -> None:
        """Fail now, and not after hours of encoding, where no index can be made."""
        plugins.index_class(self.settings.index)("", "", EmbeddingSpace("", "", "", 1))

    def _new_space(self) -> EmbeddingSpace:
        """The space of a model that is new to this library; tells what the model can do."""
        self._require_index()
        encoder = self._new_encoder()
        card = encoder.card
        if self.models.automatic_in_use:
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

    def preview(self, request: IndexRequest) -> IngestReport:
        """What `index` would do; writes nothing, not even a new library."""
        with self._catalog_or_empty() as catalog:
            space = self.known_space() or EmbeddingSpace(self.model, "", "", 1)
            planned = plan(request, self._known_roots(), self.settings.library)
            sources = [_source(*each, request) for each in planned]
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
        if self._nothing_to_finish(space):
            writer.purge(0, timedelta(days=self.settings.keep_days))
            self._choose_default(writer, space)
            return
        index, flushed = self.brought_up(space)
        writer.purge(self._in_every_file(flushed), timedelta(days=self.settings.keep_days))
        self._choose_default(writer, space)
        if not report.interrupted:
            self._calibrate(writer, index)

    def _following(self, space: EmbeddingSpace) -> Callable[[], None]:
        """What brings the index file up in the midst of a long run, when so much is missing from it
        that searches would take long to replay it: while we run, they cannot write one."""
        written = self._in_file(space)

        def follow() -> None:
            nonlocal written
            head = self.catalog.head()[0]
            if head - written > MOST_REPLAYED // 2:
                written = head  # even if it fails: it need not be tried again at each commit
                with suppress(CatalogError, OSError):  # the end of the run will tell
                    self.brought_up(space)

        return follow

    def _in_every_file(self, flushed: Revision) -> Revision:
        """The latest revision, `flushed` at most, up to which the index files of all spaces hold
        everything, but for those so old that they are made from the catalog in any case."""
        head = self.catalog.head()[0]
        held = [self._in_file(space) for space in self.catalog.known_spaces()]
        return min([flushed, *(each for each in held if each and head - each <= MOST_REPLAYED)])

    def _in_file(self, space: EmbeddingSpace) -> Revision:
        """Up to where the index file of a space goes; 0 if there is none."""
        name = newest(self.index_folder, self.catalog.uuid, space.key)
        return name.revision if name else 0

    def _nothing_to_finish(self, space: EmbeddingSpace) -> bool:
        """True if the index lies there as it should, and the references are still good.

        After a run that found nothing new: then the index is not even loaded.
        """
        kind = plugins.index_class(self.settings.index)
        if not kind.settled(self.index_folder, self.catalog.uuid, space, *self.catalog.head()):
            return False
        return not outdated(self.catalog.references(space), self.catalog.count())

    def _calibrate(self, writer: CatalogWriter, index: VectorIndex) -> None:
        """Nothing of it is worth failing a run whose pictures are all in the library."""
        try:
            Calibrator(self.catalog, writer, index, self._encoder_of(index.space)).run()
        except Exception as error:  # of the model, its device, or the disk
            self.say(f"Strengths were not measured, the next run will try again: {error}")

    def _choose_default(self, writer: CatalogWriter, space: EmbeddingSpace) -> None:
        """A second space takes over once it covers as many pictures as the first."""
        if self.catalog.default_space() == space:
            return
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

    def _known_roots(self) -> list[RootRecord]:
        try:
            return self.catalog.roots(counted=False)
        except LibraryMissing:
            return []


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
