"""A library of pictures: the facade over its catalog, and the root that puts the parts together."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imgsearch.encoders.memory import MemoryUse, memory_used
from imgsearch.encoders.recommendation import (
    Recommendation,
    present_hardware,
    recommend,
    system_languages,
)
from imgsearch.encoders.registry import Registry
from imgsearch.errors import (
    CatalogError,
    LibraryBusy,
    LibraryMissing,
    QueryError,
    SourceError,
)
from imgsearch.filters.tree import Among, Filter
from imgsearch.indexing.index_files import IndexFiles, require_kind
from imgsearch.indexing.plan import IndexRequest, count_files, known_root, plan, without_empty
from imgsearch.model_card import InputSize
from imgsearch.ports import Decoder, Encoder
from imgsearch.records import (
    ImageRecord,
    IngestReport,
    OnProgress,
    RootRecord,
    Skipped,
    TakenOver,
    Thumbnail,
)
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.terms import text_term
from imgsearch.searching.trace import Trace
from imgsearch.settings import LOCAL, Settings, is_url, load_settings, require_catalog_url
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.spaces import Spaces, no_pictures
from imgsearch.vectors import Embeddings, Ids
from imgsearch.writing import close_to_others

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog
    from imgsearch.curation.clusters import ClusterReport, Clusters
    from imgsearch.curation.duplicate_groups import DuplicateGroup
    from imgsearch.curation.map import KeptMap, PictureMap
    from imgsearch.curation.sample import Kind
    from imgsearch.exchange.export import Export
    from imgsearch.exchange.vector_import import Import
    from imgsearch.indexing.indexer import Indexer
    from imgsearch.searching.hits import Hit, Ranking, SearchResult
    from imgsearch.searching.saved_searches import SavedSearches
    from imgsearch.searching.searcher import Searcher
    from imgsearch.sources.worker_process import SpareProcesses

IMAGES_PER_READ = 1000
MAX_EARLY_DECODERS = 4
"""Decoder processes that start before the number of pictures is known."""
MAX_COUNTING_SECONDS = 3.0
"""Time for counting the files of new folders before a model is recommended for them."""


def open_library(
    folder: str = "", note: Callable[[str], None] = lambda text: None, **settings: Any
) -> Library:
    """Open the library in a folder; it need not be there yet.

    Parameters
    ----------
    folder : str
        Folder of the catalog and the indexes; "" for the one that the command line uses.
    note : callable
        Gets notes for the user, one sentence each.
    **settings
        As in docs/SETTINGS.md. Others come from IMGSEARCH_* variables and the configuration file.

    Returns
    -------
    Library
        A context manager, closed at the end.

    Raises
    ------
    ImgSearchError
        A setting cannot be used.
    """
    return Library(load_settings({"library": folder or None, **settings}), note)


class Library:
    """A library of pictures.

    Everything is opened when it is first needed. Use it in one thread.

    Parameters
    ----------
    settings : Settings
    note : callable
        Gets notes for the user, one sentence each.

    Attributes
    ----------
    models : Registry
        The models on this machine.
    """

    def __init__(self, settings: Settings, note: Callable[[str], None] = lambda text: None) -> None:
        self.settings = settings
        self.models = Registry(settings)
        self._note = note
        self._catalog: Catalog | None = None
        self._searcher: Searcher | None = None

    # The parts

    @property
    def catalog(self) -> Catalog:
        """The catalog; raises `LibraryMissing` if there is none yet."""
        if self._catalog is None:
            from imgsearch.catalog import open_catalog  # decoder processes start meanwhile

            self._catalog = open_catalog(self.settings.library, url=self.settings.catalog)
        return self._catalog

    def create(self) -> Catalog:
        """The catalog, made if there is none.

        Returns
        -------
        Catalog

        Raises
        ------
        CatalogError
            The folder cannot be used.
        """
        if self._catalog is None:
            from imgsearch.catalog import open_catalog

            settings = self.settings
            self._catalog = open_catalog(settings.library, create=True, url=settings.catalog)
        return self._catalog

    @property
    def spaces(self) -> Spaces:
        """The model and the embedding space in use."""
        try:
            return Spaces(self.settings, self.models, self.catalog)
        except LibraryMissing:
            return Spaces(self.settings, self.models, None)

    @property
    def index_files(self) -> IndexFiles:
        """The index files of the catalog."""
        return IndexFiles(self.catalog, self.settings.index, self._note)

    @property
    def indexer(self) -> Indexer:
        """Writes to the catalog."""
        return self._indexer(self.catalog)

    def _indexer(self, catalog: Catalog) -> Indexer:
        from imgsearch.indexing.indexer import Indexer  # a search does not need it

        return Indexer(self.settings, self.models, catalog, self._note)

    @property
    def searcher(self) -> Searcher:
        """Searches the space in use."""
        from imgsearch.searching.searcher import Searcher  # a run of the indexer does not need it

        if self._searcher is None:
            self._searcher = Searcher(self.settings, self.catalog, self.spaces, self.index_files)
        return self._searcher

    @property
    def model(self) -> str:
        """Name of the model in use."""
        return self.spaces.model

    def encoder(self) -> Encoder:
        """The model in use, loaded once, in the space that the library has.

        Returns
        -------
        Encoder
            Its vectors are float32, C-order, of unit L2 norm.

        Raises
        ------
        EncoderError
            The model is not on this machine, or cannot be loaded.
        """
        return self.spaces.encoder()

    def recommended_model(
        self,
        languages: Sequence[str] | None = None,
        images: int | None = None,
        request: IndexRequest | None = None,
    ) -> Recommendation:
        """The model that suits this machine; nothing is loaded or changed.

        Parameters
        ----------
        languages : sequence of str, optional
            Tags of the languages of queries; by default English and the system's language.
        images : int, optional
            Number of pictures; by default those of the library.
        request : IndexRequest, optional
            For an empty library: count the files in these folders, for a few seconds.

        Returns
        -------
        Recommendation

        Raises
        ------
        SourceError
            A folder of `request` cannot be indexed.
        """
        if images is None and request is not None:
            planned = without_empty(plan(request, (), self.settings.library), (), ())[0]
            images = count_files(planned, MAX_COUNTING_SECONDS)
        elif images is None:
            images = self.catalog.count() if self.roots() else 0
        hardware = present_hardware(self.settings.device)
        return recommend(hardware, languages or system_languages(), images)

    # Indexing

    def index(
        self,
        request: IndexRequest | str | Sequence[str] = (),
        on_progress: OnProgress = lambda progress: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> IngestReport:
        """Bring the library up to date with its folders; a new library is made.

        Parameters
        ----------
        request : IndexRequest, str or sequence of str
            Folders to index, which join the library; none for all folders of the library.
        on_progress : callable
            Gets a `Progress` now and then.
        stop : callable
            Called between batches; True ends the run, and what was committed stays.

        Returns
        -------
        IngestReport
            Counts of the run.

        Raises
        ------
        SourceError
            A folder that cannot be indexed.
        LibraryBusy
            Another process is indexing into this library.
        """
        request = _index_request(request)
        with ExitStack() as cleanup:
            spares = None
            if self._is_missing() or not self.roots():  # before a library is made for nothing
                without_empty(plan(request, (), self.settings.library), (), ())
                if self.settings.encoders == LOCAL:
                    count = min(self.settings.decoders, MAX_EARLY_DECODERS)
                    spares = cleanup.enter_context(closing(_started(count)))
                require_kind(self.settings.index)
            self.create()
            if note := close_to_others(self.settings.library):
                self._note(note)
            return self.indexer.run(request, on_progress, stop, spares)

    def _is_missing(self) -> bool:
        """True if the library is a file that does not exist."""
        from imgsearch.catalog.sqlite_file import FILE

        settings = self.settings
        return not settings.catalog and not os.path.lexists(os.path.join(settings.library, FILE))

    def preview(
        self,
        request: IndexRequest | str | Sequence[str] = (),
        on_progress: OnProgress = lambda progress: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> IngestReport:
        """Report what `index` would do; writes nothing, not even a new library.

        Files whose size is known are hashed, to distinguish moved from new ones. Others are not
        opened: those that cannot be decoded count as added or updated.

        Parameters
        ----------
        request : IndexRequest, str or sequence of str
            As for `index`.
        on_progress : callable
            Gets a `Progress` now and then.
        stop : callable
            Called between batches; True ends the run.

        Returns
        -------
        IngestReport
            Counts of the run, and in `names` the paths behind them.

        Raises
        ------
        SourceError
            A folder that cannot be indexed.
        """
        request = _index_request(request)
        try:
            return self.indexer.preview(request, on_progress, stop)
        except LibraryMissing:
            with self._empty_catalog() as catalog:
                return self._indexer(catalog).preview(request, on_progress, stop)

    @contextmanager
    def _empty_catalog(self) -> Iterator[Catalog]:
        from imgsearch.catalog import open_catalog

        with (
            tempfile.TemporaryDirectory(prefix="imgsearch-") as folder,
            closing(open_catalog(folder, create=True)) as catalog,
        ):
            yield catalog

    def roots(self) -> list[RootRecord]:
        """The folders of the library, their pictures not counted; none if there is no library.

        Returns
        -------
        list of RootRecord
        """
        try:
            return self.catalog.roots(counted=False)
        except LibraryMissing:
            return []

    def forget(self, path: str) -> int:
        """Take a folder out of the library; its files stay as they are.

        Parameters
        ----------
        path : str
            The folder, as `roots` lists it, or a path that leads to it.

        Returns
        -------
        int
            The number of its pictures.

        Raises
        ------
        SourceError
            The library does not have that folder.
        """
        root = known_root(path, self.catalog.roots())
        if root is None:
            raise SourceError(
                f"{path} is not a folder of this library", "'imgsearch roots' lists its folders."
            )
        return self.indexer.forget(root.path)

    def forget_model(self, model: str) -> int:
        """Delete the vectors of a model that is not in use.

        Parameters
        ----------
        model : str
            Its name.

        Returns
        -------
        int
            The number of vectors deleted.

        Raises
        ------
        QueryError
            The library searches with this model, or has no vectors of it.
        """
        return self.indexer.forget_model(model)

    def optimize(self) -> str:
        """Rewrite the index of the model in use, trained for its size.

        Returns
        -------
        str
            A description of the new index.

        Raises
        ------
        LibraryBusy
            Another process is writing to this library.
        """
        return self.indexer.optimize()

    def upgrade(self) -> None:
        """Bring the catalog's schema up to date; opening it does that."""
        self.catalog.close()
        self._catalog = self._searcher = None

    # Searching

    def search(
        self, request: SearchRequest | str, trace: Trace | None = None, **options: Any
    ) -> SearchResult:
        """The best pictures for words or for a request; without terms, the newest.

        Parameters
        ----------
        request : SearchRequest or str
            Words, or a whole request.
        trace : Trace, optional
            Filled in with what the search did.
        **options
            Fields of `SearchRequest`, for words: ``limit=50``, ``unique=True``.

        Returns
        -------
        SearchResult
            A sequence of `Hit`, best first.

        Raises
        ------
        LibraryMissing
            There is no library yet.
        QueryError
            A request that cannot be answered.
        """
        if isinstance(request, str):
            request = SearchRequest([text_term(request)], **options)
        return replace(self.searcher.search(request, trace), thumbnails=self.thumbnails)

    def similar(self, image: str | int, **options: Any) -> SearchResult:
        """The pictures that look most like one, which need not be in the library.

        Parameters
        ----------
        image : str or int
            Path of a picture file, or the id of a picture of the library.
        **options
            Fields of `SearchRequest`.

        Returns
        -------
        SearchResult
            A sequence of `Hit`, best first.

        Raises
        ------
        LibraryMissing
            There is no library yet.
        QueryError
            The file cannot be read, or the library has no such picture.
        """
        term = Term(image_id=image) if isinstance(image, int) else Term(path=image)
        return self.search(SearchRequest([term], **options))

    @property
    def saved(self) -> SavedSearches:
        """The saved searches, by name: ``library.search(library.saved["beaches"].request)``.

        Raises `LibraryMissing` if there is no library yet.
        """
        from imgsearch.searching.saved_searches import SavedSearches

        return SavedSearches(self.catalog, self.searcher.result)

    def duplicates(
        self, where: Filter | None = None, level: str = "copies", prefer: Sequence[str] = ()
    ) -> Iterator[DuplicateGroup]:
        """Groups of duplicates, each with the picture to keep; nothing is read again or deleted.

        Parameters
        ----------
        where : Filter or None
            Only pictures that pass it are compared.
        level : {"exact", "copies", "shots"}
            Same bytes; also saved again or resized; also near-identical shots.
        prefer : sequence of str
            Glob patterns of the paths to keep, the most important first.

        Yields
        ------
        DuplicateGroup

        Raises
        ------
        LibraryMissing
            There is no library yet.
        QueryError
            The library has no pictures, or the level is unknown.
        """
        from imgsearch.curation.duplicates import DuplicateFinder, DuplicateRequest

        finder = DuplicateFinder(self.catalog, self.searcher, self._note)
        return finder.find(DuplicateRequest(where, level, prefer))

    def images(self, where: Filter | None = None) -> Iterator[ImageRecord]:
        """Every picture of the library that passes a filter, newest first, in bounded memory.

        Parameters
        ----------
        where : Filter or None
            As `parse_filter` makes it; None for all pictures.

        Yields
        ------
        ImageRecord

        Raises
        ------
        LibraryMissing
            There is no library yet.
        """
        ids = self.catalog.newest_ids(where, self.catalog.count(where))
        for start in range(0, len(ids), IMAGES_PER_READ):
            part = ids[start : start + IMAGES_PER_READ]
            records = self.catalog.get(part)
            yield from (records[each] for each in part if each in records)

    def rank(self, request: SearchRequest, trace: Trace | None = None, shown: int = 0) -> Ranking:
        """The ids that `search` would find, in the same order, without their pictures.

        Parameters
        ----------
        request : SearchRequest
        trace : Trace, optional
            Filled in with what the search did.
        shown : int
            Number of hits shown first; among these, pictures that are gone from disk are left out.

        Returns
        -------
        Ranking
            Its `ids` have shape (n,), int64; scores and strengths (n,), float32.

        Raises
        ------
        LibraryMissing
            There is no library yet.
        QueryError
            A request that cannot be answered.
        """
        return self.searcher.rank(request, trace, shown)

    def similarity(self, first: Term, second: Term) -> float:
        """The cosine of two terms with the model in use.

        Pictures are read from their files. Only a result of the last search needs a library.

        Parameters
        ----------
        first, second : Term
            Each with words or a picture.

        Returns
        -------
        float
            The inner product of two vectors of unit norm, -1 to 1.

        Raises
        ------
        QueryError
            A term is empty, or its picture cannot be read.
        EncoderError
            The model cannot be loaded, or fails.
        """
        from imgsearch.searching.term_vectors import similarity, with_pixels

        encoder = self.encoder()
        decode = DecodeSettings(encoder.input_size, max_pixels=self.settings.max_pixels)
        one, other = (with_pixels(self._with_path(term), decode) for term in (first, second))
        return similarity(encoder, one, other, self.settings.instruction or None)

    def _with_path(self, term: Term) -> Term:
        if term.result is None:
            return term
        return Term(path=self.searcher.result(term.result).file.absolute)

    def thumbnails(self, hits: Sequence[Hit], side: int) -> dict[int, Thumbnail | Skipped]:
        """A small copy of each picture, made from the files as they are now.

        Parameters
        ----------
        hits : sequence of Hit
        side : int
            Maximum of the longer side in pixels.

        Returns
        -------
        dict of int to Thumbnail or Skipped
            By the id of the picture; `Skipped` has the reason why a file could not be decoded.
        """
        from imgsearch.sources.thumbnails import thumbnails

        ids = {hit.path: hit.image.id for hit in hits}
        with closing(self.decoder(InputSize(long=side))) as decoder:
            made = thumbnails(decoder, [hit.image.file for hit in hits])
            return {ids[each.file.absolute]: each for each in made}

    def decoder(self, size: InputSize) -> Decoder:
        """Decoder processes according to the settings; close them after use.

        Parameters
        ----------
        size : InputSize
            The size in pixels that pictures are decoded to.

        Returns
        -------
        Decoder
        """
        from imgsearch.indexing.indexer import decoder_pool

        return decoder_pool(self.settings, size)

    # Contents

    def clusters(self, refit: bool = False, seed: int = 0, examples: int = 3) -> ClusterReport:
        """The pictures in groups by what they show, on two levels, with names.

        The first call makes them; later ones let new pictures join. No picture is read, and the
        model is loaded only to name clusters for the first time.

        Parameters
        ----------
        refit : bool
            Group all pictures again. Clusters that continue old ones keep their ids and names.
        seed : int
            Seed of the sample of a library of more than 5000 pictures.
        examples : int
            Number of example pictures of each cluster.

        Returns
        -------
        ClusterReport

        Raises
        ------
        QueryError
            Fewer than two pictures.
        LibraryBusy
            Another process is indexing into this library, and there are no clusters yet.
        """
        clusters = self._clusters()
        clusters.bring_up(refit, seed)
        return clusters.report(examples)

    def drop_clusters(self) -> None:
        """Delete the clusters; new ones get other ids."""
        self._clusters().drop()

    def map(
        self,
        where: Filter | None = None,
        refit: bool = False,
        seed: int = 0,
        clusters: bool = True,
    ) -> PictureMap:
        """The pictures on a plane, on which similar ones lie together, with the clusters there.

        The first call lays them out, which takes minutes in a large library; later ones place new
        pictures among the others, which do not move. No picture is read.

        Parameters
        ----------
        where : Filter or None
            Only pictures that pass it; their positions do not depend on it. None for all.
        refit : bool
            Lay out all pictures again.
        seed : int
            Of the landmarks of a library of more than 5000 pictures, where all are laid out.
        clusters : bool
            Make the clusters first, or let new pictures join them, as `clusters` does; False to
            take them as they are.

        Returns
        -------
        PictureMap
            Ids, positions from -1 to 1, and the regions of the clusters.

        Raises
        ------
        QueryError
            Fewer than two pictures, or none passes the filter.
        """
        from imgsearch.curation.map import picture_map

        kept = self.kept_map(refit, seed)
        if clusters:
            try:
                self._clusters().bring_up()
            except (LibraryBusy, CatalogError) as error:
                self._note(f"The map has no names of clusters: {error}.")
        catalog = self.catalog
        with catalog.snapshot():
            ids = catalog.select(where)
            shown = picture_map(catalog, self.searcher.space, kept, ids)
        if not len(shown.ids):
            raise QueryError("no picture on the map passes the filter")
        return shown

    def kept_map(self, refit: bool = False, seed: int = 0) -> KeptMap:
        """The positions of all pictures on the map, caught up with the library.

        Parameters
        ----------
        refit, seed
            As in `map`.

        Returns
        -------
        KeptMap
            Ids and positions, and the state of the library that they belong to.
        """
        from imgsearch.curation.map import kept_map

        return kept_map(self.catalog, self.searcher.index, self._note, refit, seed)

    def map_region(self, corners: Sequence[tuple[float, float]]) -> Filter:
        """The filter for the pictures inside a polygon of the map.

        Parameters
        ----------
        corners : sequence of (x, y)
            Three or more, in order; x and y as in `PictureMap.positions`.

        Returns
        -------
        Filter
            Passes the pictures that lie inside now; it does not follow a later `map(refit=True)`.

        Raises
        ------
        QueryError
            Fewer than two pictures, or fewer than three corners.
        """
        from imgsearch.curation.map import inside

        if len(corners) < 3:
            raise QueryError("a region of the map needs three corners or more")
        kept = self.kept_map()
        return Among(inside(kept.ids, kept.positions, corners).astype("<i8").tobytes())

    def sample(
        self,
        count: int,
        kind: Kind = "random",
        where: Filter | None = None,
        seed: int = 0,
    ) -> list[ImageRecord]:
        """A few pictures out of those that pass a filter; fewer if there are no more.

        Parameters
        ----------
        count : int
            Number of pictures.
        kind : {"random", "diverse", "typical", "outliers"}
            See `imgsearch.curation.sample`. All but the first compare vectors, and choose among
            the pictures that have one.
        where : Filter or None
            As `parse_filter` makes it; None for all pictures.
        seed : int
            Seed of the draw; another one draws other pictures.

        Returns
        -------
        list of ImageRecord

        Raises
        ------
        QueryError
            The library has no pictures, or too many are requested of this kind.
        """
        from imgsearch.curation.sample import sample

        catalog = self.catalog
        index = None if kind == "random" else self.searcher.index
        with catalog.snapshot():
            ids = catalog.select(where)
            if not catalog.count():
                raise no_pictures()
            if index is None:
                chosen = sample(ids, None, count, kind, seed)
            else:
                self.searcher.refresh()
                chosen = sample(index.among(ids), index.vectors, count, kind, seed)
            records = catalog.get(chosen)
        return [records[each] for each in chosen if each in records]

    def _clusters(self) -> Clusters:
        from imgsearch.curation.clusters import Clusters

        searcher = self.searcher
        return Clusters(self.catalog, searcher.index, searcher.encoder, self._note)

    # Exchange

    def merge(self, folder: str) -> TakenOver:
        """Add pictures, vectors, texts and saved searches of the library in a folder to this one.

        Folders that both have are joined, and existing data is kept. This library is made if there
        is none yet.

        Parameters
        ----------
        folder : str
            Folder of the other library, which is only read.

        Returns
        -------
        TakenOver
            Counts of the merge.

        Raises
        ------
        LibraryMissing
            The folder has no library.
        SpaceMismatch
            The other library has no vectors in the space that this one searches.
        ExchangeError
            It is the same library, or a folder here excludes pictures that the other library has.
        LibraryBusy
            Another process is writing to this library.
        """
        from imgsearch.exchange.merge import merge, require_library

        require_library(folder)  # before a library is made for nothing
        return merge(self.create(), folder)

    def to_arrow(self, where: Filter | None = None, vectors: bool = True) -> Any:
        """The pictures as a table of pyarrow, in the order of their ids.

        Its columns are those of an export (docs/EXCHANGE.md).

        Parameters
        ----------
        where : Filter or None
            As `parse_filter` makes it; None for all pictures.
        vectors : bool
            Add the column `vector`: lists of a fixed size, float32, unit norm, in the space in use;
            null where a picture has none.

        Returns
        -------
        pyarrow.Table

        Raises
        ------
        MissingExtra
            pyarrow is not installed.
        """
        from imgsearch.exchange.columns import table

        space = self.spaces.searchable() if vectors else None
        with self.catalog.snapshot():
            return table(self.catalog, self.catalog.select(where), space)

    def to_pandas(self, where: Filter | None = None, vectors: bool = True) -> Any:
        """The pictures as a data frame of pandas, in the order of their ids.

        Parameters
        ----------
        where : Filter or None
            As `parse_filter` makes it; None for all pictures.
        vectors : bool
            Add the column `vector`, as `to_arrow` does.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        MissingExtra
            pandas or pyarrow is not installed.
        """
        from imgsearch.exchange.columns import data_frame

        return data_frame(self.to_arrow(where, vectors))

    def vectors(self, where: Filter | None = None) -> tuple[Ids, Embeddings]:
        """The vectors of pictures in the space in use, as a read-only memory map.

        Parameters
        ----------
        where : Filter or None
            As `parse_filter` makes it; None for all pictures.

        Returns
        -------
        ids : ndarray of shape (n,), int64, sorted
            Ids of the pictures that have a vector.
        vectors : memmap of shape (n, dimension), float32, unit norm
            Row by row. It is mapped from a temporary file in the library folder, which takes
            4 * n * dimension bytes until the array is deleted.

        Raises
        ------
        LibraryMissing
            There is no library yet.
        """
        from imgsearch.exchange.vector_map import vector_map

        space = self.spaces.searchable()
        with self.catalog.snapshot():
            return vector_map(self.catalog, space, self.catalog.select(where))

    def export(
        self,
        target: str,
        where: Filter | None = None,
        form: str = "",
        dtype: str = "",
        shard_rows: int = 100_000,
        replace: bool = False,
    ) -> Export:
        """Write pictures and their vectors of the model in use into files for other programs.

        If there is a map of them (`map`), the columns x and y have their positions on it.

        Parameters
        ----------
        target : str
            Folder or, for one parquet file, file.
        where : Filter or None
            As `parse_filter` makes it; None for all pictures.
        form : {"clip-retrieval", "parquet"} or ""
            "" for parquet if the target's name ends with ".parquet", else clip-retrieval.
        dtype : {"float16", "float32"} or ""
            Type of the vectors; "" for float16 in shards and float32 in one parquet file.
        shard_rows : int
            Pictures of a shard.
        replace : bool
            Replace an existing file, or an export of something else.

        Returns
        -------
        Export
            Counts and files of the export.

        Raises
        ------
        ExchangeError
            The target holds something else, or cannot be written.
        QueryError
            There is nothing to export.
        MissingExtra
            pyarrow is not installed.
        """
        from imgsearch.curation.map import read_map
        from imgsearch.exchange.columns import Places
        from imgsearch.exchange.export import ExportRequest, export

        request = ExportRequest(where, form, dtype, shard_rows, replace)
        catalog, space = self.catalog, self.spaces.searchable()
        kept = read_map(catalog, space)[0]
        places = None if kept is None else Places(kept.ids, kept.positions)
        return export(catalog, space, target, request, places=places)

    def import_vectors(self, path: str) -> Import:
        """Import the vectors of an export for pictures with the same bytes.

        Vectors that pictures already have in that space are kept. Rows whose pictures are not in
        the library are counted.

        Parameters
        ----------
        path : str
            The target of an `export`, here or on another machine.

        Returns
        -------
        Import
            Counts of the import.

        Raises
        ------
        ExchangeError
            The files are not an export, or damaged.
        SpaceMismatch
            The model on this machine makes vectors of another space.
        LibraryBusy
            Another process is writing to this library.
        """
        from imgsearch.exchange.vector_import import import_vectors

        return import_vectors(self.catalog, self.spaces, path)

    def migrate(
        self, target: str, on_table: Callable[[str, int], None] = lambda name, rows: None
    ) -> int:
        """Copy the catalog into a database on a server, or from there into a folder.

        Parameters
        ----------
        target : str
            The URL of an empty database, or a folder: a new one, or that of this library if its
            catalog is on a server. It may have what a copy that was stopped has left.
        on_table : callable
            Gets the name of each table and the number of its rows, once it is copied.

        Returns
        -------
        int
            The number of rows that were compared.

        Raises
        ------
        CatalogError
            The target holds a library already, or differs from the library in the end.
        LibraryBusy
            Another process is writing to one of them.
        ImgSearchError
            The target is a URL, but not of a server that can hold a catalog.
        """
        if is_url(target):
            require_catalog_url(target, "target", "or name a folder")
        return self.catalog.copy_to(target, on_table)

    # The library itself

    def status(self) -> dict[str, Any]:
        """Counts, spaces and state of the library.

        Returns
        -------
        dict of str to Any
            Plain values for JSON, as `imgsearch status --json` prints them.

        Raises
        ------
        LibraryMissing
            There is no library yet.
        """
        summary = self.catalog.summary()
        for values, space in zip(summary["spaces"], self.catalog.known_spaces(), strict=True):
            values["index"] = self.index_files.described(space)
        return summary

    def memory(self) -> MemoryUse:
        """The memory of this process so far, decoder processes not included.

        Returns
        -------
        MemoryUse
            Sizes in bytes.
        """
        return memory_used()

    @property
    def replaced(self) -> bool:
        """True if the catalog that is open here no longer lies in the library's folder."""
        return self._catalog is not None and self._catalog.replaced

    def renew(self) -> None:
        """Open the library again as it is now, and search in the space in use now.

        A backup may have been restored meanwhile, or another model used to index.
        """
        if self.replaced:
            self.close()
        if self._searcher is not None:
            self._searcher.renew()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A context in which all searches see one state of the library, which is read only once.

        Nothing is held before the first search: opening an index must see the latest state.

        Returns
        -------
        context manager
        """
        if self._searcher is None:
            yield
        else:
            with self._searcher.snapshot():
                yield

    def close(self) -> None:
        """Close the catalog; a later use opens it again."""
        if self._catalog is not None:
            self._catalog.close()
        self._catalog = self._searcher = None

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _index_request(request: IndexRequest | str | Sequence[str]) -> IndexRequest:
    if isinstance(request, IndexRequest):
        return request
    return IndexRequest([request] if isinstance(request, str) else list(request))


def _started(count: int) -> SpareProcesses:
    """Decoder processes that start while this one imports the catalog and the model."""
    from imgsearch.sources.worker_process import SpareProcesses

    spares = SpareProcesses()
    spares.start(count)
    return spares
