"""A library for a server: searches, pictures by id, thumbnails, facets; independent of HTTP.

Lanes of their own for searches (`Resident`), reads of the catalog, renderings and uploads, so that
none waits for another. All methods return futures.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from imgsearch.curation.duplicates import DuplicateRequest
from imgsearch.errors import ImgSearchError, LibraryMissing, TooManyFiles
from imgsearch.filters.query_text import QueryText
from imgsearch.filters.tree import Filter
from imgsearch.library import Library
from imgsearch.model_card import InputSize
from imgsearch.records import Decoded, Facets, ImageRecord, RootRecord, Skipped, Thumbnail
from imgsearch.searching.hits import Hit, Ranking
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.saved_searches import SavedSearch, saved_search
from imgsearch.searching.trace import Trace
from imgsearch.serving.duplicate_lists import DuplicateLists, DuplicatePage
from imgsearch.serving.embedding import (
    Embedded,
    StoredVectors,
    embed,
    require_space,
    stored_vectors,
)
from imgsearch.serving.maps import MapFile, Maps
from imgsearch.serving.rankings import CursorLost, Rankings, cursor
from imgsearch.serving.resident import Job, Lane, Resident, Watch
from imgsearch.serving.start import (
    Start,
    Tiles,
    Timeline,
    cluster_tiles,
    images_of_day,
    random_images,
    recent_images,
    start,
    timeline,
)
from imgsearch.serving.suggestions import Suggestion, Suggestions
from imgsearch.serving.thumbnail_cache import ThumbnailCache
from imgsearch.serving.upload_folder import UploadFolder
from imgsearch.serving.world_map import WorldMap, world_map
from imgsearch.settings import Settings
from imgsearch.sources.browser_images import Renderer, RenderRequest, UploadDecoder, render_request
from imgsearch.sources.decode import query_image_error
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.formats import VIDEO_TYPES, extension, is_picture_name
from imgsearch.sources.guarded_files import TOO_MANY_FILES, Unusable, open_below, read_below
from imgsearch.sources.motion_photo import FORMATS_WITH_VIDEO, embedded_video

T = TypeVar("T")

RANKED_IMAGES = 500
"""Pictures of a ranking for the first page. A page that ends after them is ranked deeper."""
MAX_GROWTH_RATIO = 16.0
"""Factor by which a ranking that was not deep enough is made deeper."""
MAX_RANKED_IMAGES = 100_000
"""Pictures of one ranking."""
MAX_STRONG_IMAGES = 10_000
"""Pictures of a ranking from which weak hits are left out."""
MAX_NOTES = 50
RENDER_TIMEOUT_SECONDS = 20.0
"""Time limit for rendering a picture for a browser."""
MAX_UPLOAD_BYTES = 64 << 20
MAX_MOTION_PHOTO_BYTES = 256 << 20
"""Larger files are not looked into for a video."""
MAX_UPLOAD_PIXELS = 100_000_000
UPLOAD_TIMEOUT_SECONDS = 20.0


class NoSuchPicture(ImgSearchError):
    """There is no picture of that id, or its file cannot be shown."""


@dataclass(frozen=True, slots=True)
class Located:
    """A picture with the folders that its file may be read from."""

    record: ImageRecord
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file for a client.

    Attributes
    ----------
    path : str
        Its path, or the name of the part.
    descriptor : int
        The receiver closes it.
    part : range or None
        The bytes to send; None for all.
    """

    path: str
    descriptor: int
    part: range | None = None


@dataclass(frozen=True, slots=True)
class RankingPage:
    """A page of a ranking.

    Attributes
    ----------
    hits : list of Hit
    next : str or None
        The cursor of the page after it.
    """

    ranking: Ranking
    hits: list[Hit]
    next: str | None


class RenderLane(Lane[Renderer]):
    """Renders pictures: all that wait at the same time together, each once."""

    def ask(self, request: RenderRequest) -> Future[Thumbnail | Skipped]:
        """The rendered picture."""
        return self._put(Job(lambda renderer, subject: None, request))

    def _serve(self, owned: Renderer, jobs: Sequence[Job[Renderer]]) -> None:
        waiting: dict[RenderRequest, list[Future[Any]]] = defaultdict(list)
        for job in jobs:
            if job.begin():
                waiting[job.subject].append(job.future)
        for result in owned.render(list(waiting)):
            assert isinstance(result.file, RenderRequest)
            for future in waiting[result.file]:
                future.set_result(result)


class Uploads:
    """Uploaded pictures, decoded one at a time in a guarded process."""

    def __init__(self, max_pixels: int) -> None:
        self._folder = UploadFolder()
        self._max_pixels = min(max_pixels, MAX_UPLOAD_PIXELS)
        self._decoders: dict[InputSize, UploadDecoder] = {}

    def decode(self, data: bytes, name: str, size: InputSize) -> Decoded:
        """The picture; raises `QueryError` with the reason if it cannot be decoded."""
        if size not in self._decoders:
            bounds = DecodeSettings(size, self._max_pixels, MAX_UPLOAD_BYTES)
            self._decoders[size] = UploadDecoder(bounds, UPLOAD_TIMEOUT_SECONDS)
        # The extension distinguishes RAW from TIFF; nothing else of the name is used.
        plain = f"upload.{extension(name)}" if is_picture_name(name) else "upload"
        path = os.path.join(self._folder.path, plain)
        try:
            with open(path, "wb") as file:
                file.write(data)
            result = self._decoders[size].decode(self._folder.path, plain)
        finally:
            os.unlink(path)
        if isinstance(result, Skipped):
            raise query_image_error("the picture that was sent", result.reason)
        return result

    def close(self) -> None:
        """Stop the process and remove its folder."""
        for decoder in self._decoders.values():
            decoder.close()
        self._folder.close()


class Gallery:
    """A library, held open for a server.

    Parameters
    ----------
    note : callable
        Gets notes for the user.
    watch : callable
        Gets measurements by name: seconds, or a count.

    Attributes
    ----------
    notes : deque of str
        The last notes of the library that searches.
    """

    def __init__(
        self,
        settings: Settings,
        note: Callable[[str], None] = lambda text: None,
        watch: Watch = lambda name, value: None,
    ) -> None:
        self.settings = settings
        self._watch = watch
        self.notes: deque[str] = deque(maxlen=MAX_NOTES)

        def keep_note(text: str) -> None:
            self.notes.append(text)
            note(text)

        self.rankings = Rankings()
        self.resident = Resident(
            lambda: Library(settings, keep_note), watch=watch, renew=self._renew
        )
        quiet = partial(Library, settings)
        self.reader: Lane[Library] = Lane(
            quiet, Library.close, name="imgsearch-reader", renew=self._renew
        )
        # Links of a large library take minutes when they are made for the first time.
        self._duplicates: Lane[DuplicateLists] = Lane(
            lambda: DuplicateLists(settings),
            DuplicateLists.close,
            name="imgsearch-duplicates",
            renew=DuplicateLists.renew,
        )
        # Reading the values of a large library takes seconds.
        self._suggestions: Lane[Suggestions] = Lane(
            lambda: Suggestions(settings),
            Suggestions.close,
            name="imgsearch-suggestions",
            renew=Suggestions.renew,
        )
        self._maps: Lane[Maps] = Lane(
            lambda: Maps(settings), Maps.close, name="imgsearch-maps", renew=Maps.renew
        )
        self.renders = RenderLane(
            lambda: _renderer(settings), Renderer.close, name="imgsearch-render"
        )
        self.uploads: Lane[Uploads] = Lane(
            lambda: Uploads(settings.max_pixels), Uploads.close, 16, "imgsearch-uploads"
        )
        self.thumbnails = ThumbnailCache(settings.library, settings.thumbnail_bytes)

    def _renew(self, library: Library) -> None:
        """Rankings of a library that was replaced hold ids of that one."""
        if library.replaced:
            self.rankings.clear()
        library.renew()

    def close(self, timeout_s: float = 10.0) -> None:
        """Finish the jobs in hand and close everything; hanging threads are left to the exit."""
        until = time.monotonic() + timeout_s
        lanes = (self.resident, self.reader, self._duplicates, self._suggestions, self._maps)
        for lane in (*lanes, self.renders, self.uploads):
            lane.close(max(0.1, until - time.monotonic()))

    # Searching

    def decode(self, data: bytes, name: str) -> Future[Decoded]:
        """An uploaded picture, sized for the model in use."""
        size = self.resident.submit(lambda library: library.encoder().input_size)
        return self.uploads.submit(lambda uploads: uploads.decode(data, name, size.result()))

    def embed(self, terms: Sequence[Term]) -> Future[Embedded]:
        """The vectors of texts and decoded pictures, `MAX_TERMS_PER_JOB` at most."""
        return self.resident.ask(SearchRequest(terms), embed)

    def model(self) -> Future[str]:
        """Name of the model in use."""
        return self.reader.submit(lambda library: library.model)

    def vectors(self, ids: Sequence[int]) -> Future[StoredVectors]:
        """The vectors of pictures of the library, in the space in use."""
        return self.reader.submit(lambda library: stored_vectors(library, ids))

    def rank(self, request: SearchRequest, space: str = "") -> Future[tuple[Ranking, list[Hit]]]:
        """The ranking for a request, deeper than its first page, and the hits of that page.

        Parameters
        ----------
        space : str
            The space that a client names for the vectors of its terms, which is checked; "" for
            terms without a vector of a client.
        """
        given = [each.vector for each in request.terms if each.vector is not None and space]

        def work(library: Library, request: SearchRequest) -> tuple[Ranking, list[Hit]]:
            for each in given:
                require_space(library, space, len(each))
            return self._page(library, request, None, 0, request.limit)

        return self._ask(request, work)

    def turn(self, ranking: Ranking, start: int, limit: int) -> Future[tuple[Ranking, list[Hit]]]:
        """The hits of a later page, and the ranking, deeper than that page.

        The future raises `CursorLost` if vectors of another model were ranked.
        """
        source = ranking.source
        if source is None or start + limit < len(ranking) or _is_exhausted(ranking):
            return self.reader.submit(
                lambda library: (ranking, library.searcher.page(ranking, start, limit))
            )

        def work(library: Library, request: SearchRequest) -> tuple[Ranking, list[Hit]]:
            if ranking.space is not None and ranking.space != library.searcher.space:
                raise CursorLost
            return self._page(library, request, ranking, start, limit)

        return self._ask(source, work)

    def _ask(
        self, request: SearchRequest, work: Callable[[Library, SearchRequest], T]
    ) -> Future[T]:
        if not request.needs_model:  # the model may still be loading
            return self.reader.submit(lambda library: work(library, request))
        return self.resident.ask(request, work)

    def _page(
        self,
        library: Library,
        request: SearchRequest,
        known: Ranking | None,
        start: int,
        limit: int,
    ) -> tuple[Ranking, list[Hit]]:
        trace = Trace(counted=False)
        ranking = self._deep_enough(library, request, known, start + limit, trace)
        with trace.step("fetch"):
            if known is None:  # its ranking has looked for the files of this page
                hits = library.searcher.fetch(ranking, start, limit, duplicates=False)
            else:
                hits = library.searcher.page(ranking, start, limit)
        for name, seconds in trace.seconds.items():
            self._watch(name, seconds)
        return ranking, hits

    def _deep_enough(
        self,
        library: Library,
        request: SearchRequest,
        known: Ranking | None,
        places: int,
        trace: Trace,
    ) -> Ranking:
        """A ranking of more than `places`, if there are as many; it begins like `known`.

        Folding leaves an unknown part of the places: the next try supposes the same part again.
        """
        deepest, depth = _max_depth(request), max(RANKED_IMAGES, 2 * places)
        if known is not None and known.source is not None:
            depth = max(depth, 2 * known.source.limit)
        while True:
            shown = places if known is None else 0
            deeper = library.rank(replace(request, limit=min(depth, deepest)), trace, shown)
            ranking = deeper if known is None else known.continued(deeper)
            if len(ranking) > places or _is_exhausted(ranking):
                return ranking
            growth = 1.25 * (places + 1) / (len(ranking) + 1)
            depth = int(depth * min(MAX_GROWTH_RATIO, max(2.0, growth)))
            request = ranking.source or request  # its terms have their vectors

    # Pictures

    def locate(self, image_id: int) -> Future[Located]:
        """A picture by its id; the future raises `NoSuchPicture`."""

        def work(library: Library) -> Located:
            try:
                record = library.catalog.get([image_id]).get(image_id)
                roots = tuple(root.path for root in library.catalog.roots())
            except (LibraryMissing, OverflowError):
                record = None
            if record is None:
                raise NoSuchPicture(
                    f"there is no picture {image_id}", "It may have left the library: search again."
                )
            return Located(record, roots)

        return self.reader.submit(work)

    def locate_all(self, ids: Sequence[int]) -> Future[list[Located]]:
        """The pictures with these ids in their order, without those that there are not."""

        def work(library: Library) -> list[Located]:
            try:
                records = library.catalog.get(ids)
                roots = tuple(root.path for root in library.catalog.roots(counted=False))
            except LibraryMissing:
                return []
            return [Located(records[each], roots) for each in ids if each in records]

        return self.reader.submit(work)

    def parts(self, image_id: int) -> Future[list[ImageRecord]]:
        """The other picture files of the same shot, such as the RAW of a JPEG."""
        return self.reader.submit(lambda library: library.searcher.parts(image_id))

    def render(self, image: Located, side: int, form: str) -> Future[Thumbnail | Skipped]:
        """A picture, rendered now."""
        return self.renders.ask(render_request(image.record.file, image.roots, side, form))

    def facets(self, where: Filter | None) -> Future[Facets]:
        """Counts of the pictures that pass a filter."""
        return self.reader.submit(lambda library: library.catalog.facets(where))

    def query(self, text: str) -> Future[QueryText]:
        """What a text in a search box asks for."""
        return self._suggestions.submit(lambda suggestions: suggestions.query(text))

    def suggest(self, text: str, limit: int) -> Future[list[Suggestion]]:
        """Ways to complete a text in a search box."""
        return self._suggestions.submit(lambda suggestions: suggestions.suggest(text, limit))

    def timeline(self, where: Filter | None) -> Future[Timeline]:
        """How the pictures that pass a filter are spread over months."""
        return self.reader.submit(lambda library: timeline(library, where))

    def start(self, day: str) -> Future[Start]:
        """Contents of the start page; `day` is today as "11-29"."""
        return self.reader.submit(lambda library: start(library, day))

    def of_day(self, day: str, limit: int) -> Future[list[ImageRecord]]:
        """Pictures taken on a day ("11-29") of earlier years, the latest year first."""
        return self.reader.submit(lambda library: images_of_day(library, day, limit))

    def random(self, where: Filter | None, day: str, count: int) -> Future[list[ImageRecord]]:
        """Pictures drawn at random, see `random_images`."""
        return self.reader.submit(lambda library: random_images(library, where, day, count))

    def clusters(self) -> Future[Tiles]:
        """The clusters of the model in use; none if none were made."""
        return self.reader.submit(cluster_tiles)

    def duplicates(
        self, request: DuplicateRequest, cursor: str | None, limit: int
    ) -> Future[DuplicatePage]:
        """A page of groups of duplicates; the future raises `CursorLost` for a cursor of a library
        that has changed."""
        return self._duplicates.submit(lambda lists: lists.page(request, cursor, limit))

    def map(self, where: Filter | None, known: str) -> Future[MapFile]:
        """The map of the pictures that pass a filter; without data if `known` is its tag. The first
        one of a large library takes minutes."""
        return self._maps.submit(lambda maps: maps.file(where, known))

    def world_map(self, where: Filter | None, zoom: int) -> Future[WorldMap]:
        """Clusters of the pictures that pass a filter on the map of the world; the future raises
        `QueryError` if they are too many."""
        return self.reader.submit(lambda library: world_map(library, where, zoom))

    def region(self, corners: Sequence[tuple[float, float]]) -> Future[Filter]:
        """The filter for the pictures inside a polygon of the map."""
        return self._maps.submit(lambda maps: maps.region(corners))

    # Saved searches

    def saved_request(self, name: str) -> Future[SearchRequest]:
        """The request of a saved search; the future raises `QueryError` if it cannot be used."""
        return self.reader.submit(lambda library: saved_search(library.catalog, name).required())

    def saved_searches(self) -> Future[list[SavedSearch]]:
        """The saved searches by name."""
        return self.reader.submit(_saved_searches)

    def save(self, name: str, request: SearchRequest, replace: bool) -> Future[SavedSearch]:
        """Save a search, see `SavedSearches.add`."""
        return self.reader.submit(lambda library: library.saved.add(name, request, replace))

    def rename_saved(self, saved_id: int, name: str) -> Future[SavedSearch]:
        """Give a saved search another name."""

        def work(library: Library) -> SavedSearch:
            return library.saved.rename(library.saved.name_of(saved_id), name)

        return self.reader.submit(work)

    def remove_saved(self, saved_id: int) -> Future[None]:
        """Delete a saved search."""

        def work(library: Library) -> None:
            library.saved.remove(library.saved.name_of(saved_id))

        return self.reader.submit(work)

    # Care

    def roots(self) -> Future[list[RootRecord]]:
        """The folders of the library; none if there is no library."""
        return self.reader.submit(_roots)

    def forget(self, path: str) -> int:
        """Take a folder out of the library; returns the number of its pictures. Takes a while for a
        large folder, in the calling thread.

        Raises
        ------
        SourceError
            The library does not have that folder.
        LibraryBusy
            Another process is indexing into the library.
        """
        library = Library(self.settings)
        try:
            return library.forget(path)
        finally:
            library.close()

    def skipped(self, kind: str) -> Future[list[Skipped]]:
        """Files that could not be indexed ("skipped"), pictures that were indexed in part
        ("partial"), or pictures whose text could not be read ("texts")."""
        return self.reader.submit(lambda library: _skipped(library, kind))

    def recent(self, limit: int) -> Future[list[ImageRecord]]:
        """The pictures that came into the library last, the last one first."""
        return self.reader.submit(lambda library: recent_images(library, limit))

    def revision(self) -> Future[int]:
        """The revision of the library, which each change of its pictures raises; 0 for none."""
        return self.reader.submit(_revision)

    def status(self) -> Future[dict[str, Any]]:
        """Counts of the library's contents; zeros if there is no library."""
        return self.reader.submit(_status)


class Wait(Protocol):
    """Awaits a future of the gallery, in the way of the caller."""

    def __call__(self, future: Future[T], /) -> Awaitable[T]: ...


async def ranking_page(
    gallery: Gallery,
    request: SearchRequest,
    at: str | None,
    wait: Wait,
    decoded: Callable[[Term], Awaitable[Term]] | None = None,
    space: str = "",
) -> RankingPage:
    """A page of hits: the first of a search, or a later one of the ranking that was kept with it.

    Parameters
    ----------
    at : str or None
        The cursor of the page; None for the first.
    decoded : callable or None
        Returns a term with the pixels of its upload; not called for later pages.
    space : str
        As `Gallery.rank`.

    Raises
    ------
    CursorLost
        The ranking is no longer kept.
    """
    digest, place = request.digest(), 0
    if at is not None:
        key, ranking, place = gallery.rankings.at(at, digest)
        ranking, hits = await wait(gallery.turn(ranking, place, request.limit))
        gallery.rankings.deepen(key, ranking)
    else:
        if decoded is not None:
            request = replace(request, terms=[await decoded(term) for term in request.terms])
        ranking, hits = await wait(gallery.rank(request, space))
        key = gallery.rankings.keep(ranking, digest) if len(ranking) > request.limit else ""
    return RankingPage(ranking, hits, cursor(key, ranking, place + request.limit))


def _saved_searches(library: Library) -> list[SavedSearch]:
    try:
        return list(library.saved)
    except LibraryMissing:
        return []


def _roots(library: Library) -> list[RootRecord]:
    try:
        return library.catalog.roots()
    except LibraryMissing:
        return []


def _skipped(library: Library, kind: str) -> list[Skipped]:
    try:
        catalog = library.catalog
    except LibraryMissing:
        return []
    kinds = {"partial": catalog.partial, "texts": catalog.unreadable_texts}
    return kinds.get(kind, catalog.skipped)()


def _max_depth(request: SearchRequest) -> int:
    every = request.min_strength == 0 or not (request.terms or request.good)
    return MAX_RANKED_IMAGES if every else MAX_STRONG_IMAGES


def _is_exhausted(ranking: Ranking) -> bool:
    """True if no deeper ranking has more places."""
    source = ranking.source
    return ranking.complete or source is None or source.limit >= _max_depth(source)


def _renderer(settings: Settings) -> Renderer:
    decode = DecodeSettings(max_pixels=settings.max_pixels)
    return Renderer(decode, settings.decoders, RENDER_TIMEOUT_SECONDS)


def open_original(image: Located) -> Opened:
    """The file of a picture, open; raises `NoSuchPicture` or `TooManyFiles`."""
    return _opened(image.record.file.absolute, image)


def open_video(image: Located) -> Opened:
    """The video of a Live Photo or Motion Photo, open; raises `NoSuchPicture` if it has none."""
    if beside := _video_beside(image):
        return _opened(beside, image)
    part = _video_inside(image)
    if part is None:
        raise NoSuchPicture("this picture has no video", "Open the picture.")
    whole = open_original(image)
    return replace(whole, path=_name_of_part(image), part=part)


def _opened(path: str, image: Located) -> Opened:
    try:
        return Opened(path, open_below(path, image.roots))
    except Unusable as error:
        raise cannot_show(error.reason) from error


def video_name(image: Located) -> str | None:
    """Name of the video of a Live Photo, which lies beside the picture, or of a Motion Photo, which
    is in its file."""
    if beside := _video_beside(image):
        return os.path.basename(beside)
    return _name_of_part(image) if _video_inside(image) else None


def _video_beside(image: Located) -> str | None:
    """Path of a video that has the name of a HEIC or JPEG."""
    if image.record.metadata.format not in ("HEIF", "JPEG"):
        return None
    stem = os.path.splitext(image.record.file.absolute)[0]
    endings = (each for ending in VIDEO_TYPES for each in (ending.upper(), ending))
    return next(filter(os.path.isfile, (f"{stem}.{ending}" for ending in endings)), None)


def _video_inside(image: Located) -> range | None:
    """The place in bytes of the video in the file of a picture."""
    if image.record.metadata.format not in FORMATS_WITH_VIDEO:
        return None
    try:
        path = image.record.file.absolute
        return embedded_video(read_below(path, image.roots, MAX_MOTION_PHOTO_BYTES))
    except Unusable:  # the picture cannot be shown, either
        return None


def _name_of_part(image: Located) -> str:
    return f"{os.path.splitext(os.path.basename(image.record.file.path))[0]}.mp4"


def cannot_show(reason: str) -> ImgSearchError:
    """The error for a picture whose file cannot be shown."""
    if reason == TOO_MANY_FILES:  # which says nothing about the picture
        return TooManyFiles()
    return NoSuchPicture(
        f"the file of this picture cannot be shown: {reason}",
        "'imgsearch index' brings the library up to what lies in its folders.",
    )


def _revision(library: Library) -> int:
    try:
        return library.catalog.head()[0]
    except LibraryMissing:
        return 0


def _status(library: Library) -> dict[str, Any]:
    try:
        status = library.status()
        return (
            status
            | {"model": library.model, "revision": library.catalog.head()[0]}
            | {"located": library.catalog.has_positions()}
            | {"ocr": status["texts"]["mode"] or library.settings.ocr}
            | {
                "folders": [
                    {"path": root.path, "images": root.images} for root in library.catalog.roots()
                ]
            }
        )
    except LibraryMissing:
        folder = library.settings.library
        return {
            "library": folder, "bytes": 0, "images": 0, "roots": 0, "skipped": 0, "spaces": [],
            "texts": {}, "ocr": library.settings.ocr,
            "last_run": None, "model": None, "revision": 0, "folders": [],
            "located": False,
        }  # fmt: skip
