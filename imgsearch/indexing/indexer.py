"""A run of the indexer: folders to catalog, then to the index file, texts and reference scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from imgsearch import plugins
from imgsearch.catalog.lock import LOCK_TIMEOUT_SECONDS
from imgsearch.encoders.registry import canonical
from imgsearch.errors import CatalogError, MissingExtra, SpaceMismatch
from imgsearch.indexing import freshness, measure_run, ocr_run
from imgsearch.indexing.calibration import Calibrator
from imgsearch.indexing.encode_pool import DeferredPool, LocalPool
from imgsearch.indexing.index_files import IndexFiles, require_kind
from imgsearch.indexing.ingest import SCAN_BATCH_FILES, Ingestor, Unread
from imgsearch.indexing.measure_run import MeasureIngestor
from imgsearch.indexing.ocr_run import TextIngestor
from imgsearch.indexing.place_names import PlaceNames
from imgsearch.indexing.plan import IndexRequest, Planned, plan, with_planned, without_empty
from imgsearch.indexing.references import outdated
from imgsearch.indexing.verification import Verification
from imgsearch.model_card import InputSize
from imgsearch.ocr import rapid
from imgsearch.ports import Decoder, Encoder, EncoderPool, VectorIndex
from imgsearch.records import IngestReport, MeasureReport, OnProgress, RootRecord, TextReport
from imgsearch.settings import LOCAL, Settings
from imgsearch.sources.decoders import MEASURED_SIZE, DecodeSettings, decoder_signature
from imgsearch.sources.excludes import understood
from imgsearch.sources.filesystems import network_warning
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.spaces import Spaces, require_trained
from imgsearch.vectors import EmbeddingSpace

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog, CatalogWriter
    from imgsearch.encoders.registry import Registry
    from imgsearch.sources.worker_process import SpareProcesses

MAX_COMMIT_IMAGES = 32
"""Pictures per commit, and per call of a model that does not state a number."""
MAX_IMAGES_IN_FLIGHT = 512
"""Pictures that are decoded or wait for the model; the decoder also bounds their pixels."""

OUTDATED = (
    "The metadata of {count} pictures was read by an older version of imgsearch, which read less:"
    " imgsearch index --verify reads it again."
)


class Indexer:
    """Brings one library up to date.

    Parameters
    ----------
    note : callable
        Gets notes for the user, one sentence each.
    """

    def __init__(
        self,
        settings: Settings,
        models: Registry,
        catalog: Catalog,
        note: Callable[[str], None],
    ) -> None:
        self._settings, self._models, self._catalog, self._note = settings, models, catalog, note
        self._spaces = Spaces(settings, models, catalog)
        self._index_files = IndexFiles(catalog, settings.index, note)
        self._place_names = PlaceNames(note)
        self._signature = decoder_signature(DecodeSettings(max_pixels=settings.max_pixels))

    def run(
        self,
        request: IndexRequest,
        on_progress: OnProgress = lambda progress: None,
        stop: Callable[[], bool] = lambda: False,
        spares: SpareProcesses | None = None,
    ) -> IngestReport:
        """Bring the library up to date with its folders.

        Parameters
        ----------
        spares : SpareProcesses or None
            Decoder processes that have been started for this run; it may close them.

        Raises
        ------
        SourceError
            A folder that cannot be indexed.
        LibraryBusy
            Another process is indexing into this library.
        """
        catalog = self._catalog
        planned, remarks = self._plan(request)
        warning = network_warning(catalog.folder)
        if warning:
            self._note(f"Beware: {warning[0]}. {warning[1]}")
        with (
            catalog.writer(wait_s=LOCK_TIMEOUT_SECONDS) as writer,
            closing(_Decoders(self._settings, spares)) as decoders,
        ):
            ocr = self._ocr_mode(writer, request.ocr_mode)
            space = require_trained(self._spaces.indexed() or self._new_space(decoders))
            for root, _ in planned:
                writer.put_root(root)
            try:
                report = self._ingest(writer, space, planned, request, decoders, on_progress, stop)
            except SpaceMismatch:
                self._note(f"{space.model} has changed: all pictures are encoded again.")
                space = require_trained(self._spaces.new_encoder().space)
                report = self._ingest(writer, space, planned, request, decoders, on_progress, stop)
            self._finish(writer, space, report)
            self._name_places(writer, on_progress, stop)
            places = [(root.path, scope) for root, scope in planned]
            if request.measure and not report.interrupted:
                report.measures = self._measure(writer, places, on_progress, stop)
                report.interrupted = stop()
            if ocr != "off" and not report.interrupted:
                report.texts = self._read_texts(writer, ocr, places, on_progress, stop)
                report.interrupted = stop()
        report.remarks += remarks
        return report

    def _plan(self, request: IndexRequest) -> tuple[list[Planned], list[str]]:
        """The folders to scan, and sentences about those without pictures."""
        roots = self._catalog.roots(counted=False)
        planned = plan(request, roots, self._settings.library)
        return without_empty(planned, roots, self._catalog.unused_roots())

    def _sources(
        self, planned: Sequence[Planned], request: IndexRequest
    ) -> list[tuple[FilesystemSource, RootRecord]]:
        roots = with_planned(self._catalog.roots(counted=False), planned)
        return [(_source(root, scope, request, roots), root) for root, scope in planned]

    def preview(
        self,
        request: IndexRequest,
        on_progress: OnProgress = lambda progress: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> IngestReport:
        """Report what `run` would do, from a run over a copy of the catalog; write nothing.

        Files whose size is known are hashed, others are not opened.
        """
        planned, remarks = self._plan(request)
        space = self._spaces.indexed() or EmbeddingSpace(self._spaces.model, "", "", 1)
        sources = self._sources(planned, request)
        with self._catalog.rehearsal() as (copy, rehearsal), copy.writer() as writer:
            for root, _ in planned:
                writer.put_root(root)
            rehearsal.begin()
            writer.begin_run(space, self._signature, self._settings.precision)
            report = Ingestor(
                catalog=copy,
                writer=writer,
                pool=Unread(space.dimension),
                space=space,
                decoder=self._signature,
                batch_size=SCAN_BATCH_FILES,
                workspace=copy.folder,
                on_progress=on_progress,
                stop=stop,
            ).run(sources)
            report.names = rehearsal.names()
        self._add_excludes(report, sources, request)
        report.remarks += remarks
        if report.encoded:
            report.remarks.append(_unread_remark(report.encoded))
        report.encoded = 0
        return report

    def forget(self, root: str) -> int:
        """Take a folder out of the library; returns the number of its pictures."""
        with self._catalog.writer(wait_s=LOCK_TIMEOUT_SECONDS) as writer:
            return writer.forget_root(root)

    def forget_model(self, model: str) -> int:
        """Delete the vectors of a model that is not in use, and empty its index files.

        Returns
        -------
        int
            Number of the deleted vectors.

        Raises
        ------
        QueryError
            The library searches with this model, or has no vectors of it.
        """
        with self._catalog.writer(wait_s=LOCK_TIMEOUT_SECONDS) as writer:
            spaces = self._spaces.forgettable(canonical(model))
            count = sum(writer.drop_space(space) for space in spaces)
            for space in spaces:
                self._index_files.bring_up(space)
        return count

    def optimize(self) -> str:
        """Rewrite the index of the space in use, trained for its size; describes what it is now."""
        with self._catalog.writer(wait_s=LOCK_TIMEOUT_SECONDS):
            index, _ = self._index_files.bring_up(self._spaces.searchable(), retrain=True)
        return f"{len(index)} vectors: {index.state.kind}"

    def _new_space(self, decoders: _Decoders) -> EmbeddingSpace:
        """The space of a model that is new to this library; notes what the model can do."""
        require_kind(self._settings.index)
        if self._settings.encoders == LOCAL:
            decoders.start(self._settings.decoders)  # all pictures are new
        card = self._spaces.new_encoder().card
        why = f" ({self._models.automatic.reason})" if self._models.automatic_in_use else ""
        more = "'imgsearch models' has its limits, and other models."
        self._note(f"Model {card.name}{why}: {card.summary} {more}")
        return self._spaces.new_encoder().space

    # Pictures

    def _ingest(
        self,
        writer: CatalogWriter,
        space: EmbeddingSpace,
        planned: Sequence[Planned],
        request: IndexRequest,
        decoders: _Decoders,
        on_progress: OnProgress,
        stop: Callable[[], bool],
    ) -> IngestReport:
        batch_size = self._settings.batch_size
        pool = self._pool(space, decoders)
        ingestor = Ingestor(
            catalog=self._catalog,
            writer=writer,
            pool=pool,
            space=space,
            decoder=self._signature,
            batch_size=min(batch_size or MAX_COMMIT_IMAGES, MAX_COMMIT_IMAGES),
            workspace=self._catalog.folder,
            on_progress=on_progress,
            stop=stop,
            after_commit=self._index_files.follower(space),
            verification=self._verification() if request.verify else None,
            place_names=self._place_names,
        )
        with self._run_record(writer, space, ingestor, pool):
            sources = self._sources(planned, request)
            report = ingestor.run(sources)
        if report.outdated:
            self._note(OUTDATED.format(count=f"{report.outdated:,}"))
        self._add_excludes(report, sources, request)
        if not report.interrupted:
            freshness.save(self._catalog.folder, [source for source, _ in sources])
        return report

    def _pool(self, space: EmbeddingSpace, decoders: _Decoders) -> EncoderPool:
        """The encoder pool of a run: of this machine, or of others for which it writes."""
        local = LocalPool(
            lambda: self._encoder(space),
            decoders.pool,
            self._settings.batch_size or MAX_COMMIT_IMAGES,
            start=decoders.start,
        )
        if self._settings.encoders == LOCAL:
            return local

        def load() -> EncoderPool:
            require_kind(self._settings.index)
            remote = plugins.encoder_pool(self._settings.encoders)
            pool: EncoderPool = remote(self._settings, space, local, self._note)
            return pool

        return DeferredPool(load, local)

    def _verification(self) -> Verification:
        verification = Verification(self._catalog.folder, self._catalog.uuid)
        if verification.resumed:
            self._note(f"The verification that began on {verification.resumed} is continued.")
        return verification

    def _add_excludes(
        self,
        report: IngestReport,
        sources: Sequence[tuple[FilesystemSource, RootRecord]],
        request: IndexRequest,
    ) -> None:
        """Report the patterns that held, and say which of the new ones met nothing."""
        report.exclude = {root.path: root.exclude for _, root in sources if root.exclude}
        new = understood(request.exclude or (), [root.path for _, root in sources])
        if report.interrupted:
            return
        report.remarks += [
            f"Nothing in {root.path} matches the exclude pattern {pattern}."
            for source, root in sources
            for pattern in source.rules.unmatched(new[root.path])
        ]

    def _encoder(self, space: EmbeddingSpace) -> Encoder:
        """Called when there is something to encode."""
        require_kind(self._settings.index)
        return self._spaces.encoder_for(space)

    @contextmanager
    def _run_record(
        self, writer: CatalogWriter, space: EmbeddingSpace, ingestor: Ingestor, pool: EncoderPool
    ) -> Iterator[None]:
        """Record the run in the catalog, and how it ended."""
        writer.begin_run(space, self._signature, self._settings.precision)
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

    # Index

    def _finish(self, writer: CatalogWriter, space: EmbeddingSpace, report: IngestReport) -> None:
        """Bring the index up, purge old vectors, and choose the default space."""
        keep = timedelta(days=self._settings.keep_days)
        files, catalog = self._index_files, self._catalog
        calibrated = not outdated(catalog.references(space), catalog.count())
        if calibrated and files.is_settled(space):  # nothing new: the index is not even loaded
            writer.purge(0, keep)
            self._choose_default(writer, space)
            return
        index, flushed = files.bring_up(space)
        writer.purge(files.held_by_all(flushed), keep)
        if not report.interrupted:
            self._calibrate(writer, index)  # before searches change over, for their strengths
        self._choose_default(writer, space)

    def _choose_default(self, writer: CatalogWriter, space: EmbeddingSpace) -> None:
        note = self._spaces.choose_default(writer, space)
        if note:
            self._note(note)

    def _calibrate(self, writer: CatalogWriter, index: VectorIndex) -> None:
        """A failure here does not fail a run whose pictures are all in the library."""
        try:
            Calibrator(
                self._catalog, writer, index, lambda: self._spaces.encoder_for(index.space)
            ).run()
        except Exception as error:  # of the model, its device, or the disk
            self._note(f"Strengths were not measured, the next run will try again: {error}")

    # Places

    def _name_places(
        self, writer: CatalogWriter, on_progress: OnProgress, stop: Callable[[], bool]
    ) -> None:
        """Name the places of pictures that an older version has indexed."""
        if count := self._place_names.name_old(self._catalog, writer, on_progress, stop):
            pictures = "1 picture" if count == 1 else f"{count:,} pictures"
            self._note(f"The places of {pictures} were named by position.")

    # Measures

    def _measure(
        self,
        writer: CatalogWriter,
        places: Sequence[tuple[str, str]],
        on_progress: OnProgress,
        stop: Callable[[], bool],
    ) -> MeasureReport:
        """Measure the pictures of these folders that an older version has read."""
        decoder = decoder_pool(
            self._settings, MEASURED_SIZE, measure_run.BATCH_IMAGES, measured=True
        )
        try:
            run = MeasureIngestor(self._catalog, writer, decoder, on_progress, stop)
            return run.run(places)
        finally:
            decoder.close()

    # Texts

    def _ocr_mode(self, writer: CatalogWriter, chosen: str) -> str:
        """Which pictures to read: by the request, which the library remembers; else by the library;
        else by the settings. "off" if the engine is missing, unless this request needs it."""
        mode = chosen or self._catalog.ocr_mode() or self._settings.ocr
        if mode != "off":
            try:
                rapid.require()
            except MissingExtra as error:
                if chosen:
                    raise
                self._note(f"Texts in pictures are not read: {error}. {error.hint}")
                return "off"
        if chosen:
            writer.set_ocr_mode(chosen)
        return mode

    def _read_texts(
        self,
        writer: CatalogWriter,
        mode: str,
        places: Sequence[tuple[str, str]],
        on_progress: OnProgress,
        stop: Callable[[], bool],
    ) -> TextReport:
        reader = rapid.RapidReader(self._settings.threads)
        run = TextIngestor(self._catalog, writer, reader, on_progress, stop)
        pool = partial(decoder_pool, self._settings, images=ocr_run.BATCH_IMAGES)
        if mode == "auto":
            with closing(pool(reader.glance_size, measured=True)) as decoder:
                run.glance(decoder, places)
        with closing(pool(reader.input_size)) as decoder:
            run.read(decoder, places, "seen" if mode == "auto" else "any")
        return run.report


class _Decoders:
    """Decoder processes of a run, which start while the model is loaded."""

    def __init__(self, settings: Settings, spares: SpareProcesses | None) -> None:
        self._settings = settings
        self._spares = spares

    def start(self, files: int) -> None:
        """Start a process for each of this many files, within the number of the settings."""
        from imgsearch.sources.worker_process import SpareProcesses  # an unchanged library has none

        self._spares = self._spares or SpareProcesses()
        self._spares.start(min(files, self._settings.decoders))

    def pool(self, size: InputSize, images: int) -> Decoder:
        """Decoder processes for a model's input size, which measure what they decode."""
        return decoder_pool(self._settings, size, images, self._spares, measured=True)

    def close(self) -> None:
        """Stop the processes that no pool has used."""
        if self._spares is not None:
            self._spares.close()


def decoder_pool(
    settings: Settings,
    size: InputSize,
    images: int = MAX_COMMIT_IMAGES,
    spares: SpareProcesses | None = None,
    measured: bool = False,
) -> Decoder:
    """Decoder processes according to the settings; close them after use.

    Parameters
    ----------
    images : int
        Pictures per call of the model. Twice as many are in flight, so that decoding goes on
        while the model works.
    spares : SpareProcesses or None
        Processes that have started already.
    measured : bool
        Take the measures of each picture as well.
    """
    from imgsearch.sources.decoder_pool import ProcessDecoder  # unchanged files need no Pillow

    return ProcessDecoder(
        DecodeSettings(max_pixels=settings.max_pixels, input_size=size, measured=measured),
        workers=settings.decoders,
        timeout_s=settings.decode_seconds,
        in_flight=min(2 * images, MAX_IMAGES_IN_FLIGHT),
        spares=spares,
    )


def _source(
    root: RootRecord, scope: str, request: IndexRequest, roots: Sequence[RootRecord]
) -> FilesystemSource:
    return FilesystemSource(
        root.path,
        scope=scope,
        exclude=root.exclude,
        hidden=root.hidden,
        mounts=root.mounts,
        prune=request.prune,
        roots=roots,
    )


def _unread_remark(count: int) -> str:
    files = "1 file was" if count == 1 else f"{count} files were"
    return f"{files} not opened: what cannot be decoded will be skipped instead."


def _counts(report: IngestReport) -> dict[str, float]:
    names = ("scanned", "added", "updated", "moved", "unchanged", "removed", "skipped", "seconds")
    return {name: getattr(report, name) for name in names}
