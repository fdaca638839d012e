"""What a page of pictures needs of a library: searches, pictures by id, small ones, facets.

Three lanes, so that none waits for another: one that searches (`Resident`), one that reads the
catalog, and one that has pictures rendered. Everything here gives futures, and knows no HTTP.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

from imgsearch.errors import ImgSearchError, LibraryMissing
from imgsearch.library import Library
from imgsearch.model_card import InputSize
from imgsearch.records import Facets, ImageRecord, Skipped, Thumbnail
from imgsearch.searching.trace import Explanation
from imgsearch.serving.rankings import Ranking, Rankings
from imgsearch.serving.request import Asked, Filters, rank
from imgsearch.serving.resident import Job, Lane, Resident, Watch
from imgsearch.serving.thumbnail_cache import ThumbnailCache
from imgsearch.serving.upload_folder import UploadFolder
from imgsearch.settings import Settings
from imgsearch.sources.decode import query_image_error
from imgsearch.sources.formats import extension, is_picture_name
from imgsearch.sources.guarded_files import Unusable, open_below
from imgsearch.sources.rendering import Renderer, RenderRequest, UploadDecoder, render_request
from imgsearch.vectors import Pixels

MOST_NOTES = 50


class NoSuchPicture(ImgSearchError):
    """There is no picture of that id, or its file cannot be shown."""


@dataclass(frozen=True, slots=True)
class Located:
    """A picture with the folders that its file may be read from."""

    record: ImageRecord
    roots: tuple[str, ...]


class RenderLane(Lane[Renderer]):
    """Renders pictures, those that wait together at the same time, each only once."""

    def ask(self, order: RenderRequest) -> Future[Thumbnail | Skipped]:
        """The rendered picture."""
        return self._put(Job(lambda renderer, order: None, order))

    def _serve(self, owned: Renderer, jobs: Sequence[Job[Renderer]]) -> None:
        waiting: dict[RenderRequest, list[Future[Any]]] = defaultdict(list)
        for job in jobs:
            waiting[job.about].append(job.future)
        for made in owned.render(list(waiting)):
            assert isinstance(made.file, RenderRequest)
            for future in waiting[made.file]:
                future.set_result(made)


class Uploads:
    """Pictures that came over the network, decoded one at a time in a guarded process."""

    def __init__(self, open_decoder: Callable[[InputSize], UploadDecoder]) -> None:
        self._folder = UploadFolder()
        self._open = open_decoder
        self._decoders: dict[InputSize, UploadDecoder] = {}

    def decode(self, data: bytes, name: str, size: InputSize) -> Pixels:
        """The pixels; raises `QueryError` with the reason if there are none."""
        if size not in self._decoders:
            self._decoders[size] = self._open(size)
        # The extension tells RAW from TIFF; nothing else of the name is used.
        plain = f"upload.{extension(name)}" if is_picture_name(name) else "upload"
        path = os.path.join(self._folder.path, plain)
        try:
            with open(path, "wb") as file:
                file.write(data)
            found = self._decoders[size].decode(self._folder.path, plain)
        finally:
            os.unlink(path)
        if isinstance(found, Skipped):
            raise query_image_error("the picture that was sent", found.reason)
        return found.pixels

    def close(self) -> None:
        """Stop the process and remove its folder."""
        for decoder in self._decoders.values():
            decoder.close()
        self._folder.close()


class Gallery:
    """A library as a server holds it.

    Parameters
    ----------
    watch : callable
        Gets what was measured, by name, and the seconds or the count.

    Attributes
    ----------
    notes : deque of str
        The last notes of the library that searches, for whoever asks it by another way.
    """

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None] = lambda note: None,
        watch: Watch = lambda name, value: None,
    ) -> None:
        self.settings = settings
        self._watch = watch
        self.notes: deque[str] = deque(maxlen=MOST_NOTES)

        def note(told: str) -> None:
            self.notes.append(told)
            say(told)

        self.rankings = Rankings()
        self.resident = Resident(lambda: Library(settings, note), watch=watch, renew=self._renew)
        quiet = partial(Library, settings)
        self.reader: Lane[Library] = Lane(
            quiet, Library.close, name="imgsearch-reader", renew=self._renew
        )
        tools = Library(settings)
        self.renders = RenderLane(tools.renderer, Renderer.close, name="imgsearch-render")
        self.uploads: Lane[Uploads] = Lane(
            lambda: Uploads(tools.upload_decoder), Uploads.close, 16, "imgsearch-uploads"
        )
        self.thumbnails = ThumbnailCache(settings.library, settings.thumbnail_bytes)

    def _renew(self, library: Library) -> None:
        """Lists of a library that was replaced name pictures of that one."""
        if library.replaced:
            self.rankings.forget()
        library.renew()

    def close(self, timeout_s: float = 10.0) -> None:
        """Finish what was begun, and let go of everything; what hangs is left to the exit."""
        until = time.monotonic() + timeout_s
        for lane in (self.resident, self.reader, self.renders, self.uploads):
            lane.close(max(0.1, until - time.monotonic()))

    # Searching

    def decode(self, data: bytes, name: str) -> Future[Pixels]:
        """An uploaded picture, sized for the model in use."""
        size = self.resident.submit(lambda library: library.encoder().input_size)
        return self.uploads.submit(lambda uploads: uploads.decode(data, name, size.result()))

    def search(
        self, asked: Asked, digest: str, limit: int, pictures: Sequence[Pixels] = ()
    ) -> Future[tuple[Ranking, dict[int, ImageRecord]]]:
        """The ranking for a search, and the first `limit` pictures of it.

        Raises
        ------
        QueryError
            At once, where no library is needed to see it.
        """

        def work(library: Library, query: Any) -> tuple[Ranking, dict[int, ImageRecord]]:
            told = Explanation()
            found = rank(library, query, asked, told)
            with told.step("fetch"):
                records = library.catalog.get(found.page_ids(0, limit))
            for name, seconds in told.seconds.items():
                self._watch(name, seconds)
            return found.named_for(digest), records

        query = asked.query(pictures)
        if not asked.needs_index(query):  # nor a model, which may still be loading
            return self.reader.submit(lambda library: work(library, query))
        return self.resident.ask(query, work)

    def records(self, ids: Sequence[int]) -> Future[dict[int, ImageRecord]]:
        """The pictures of these ids that are in the library."""
        return self.reader.submit(lambda library: library.catalog.get(ids))

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

    def render(self, found: Located, side: int, form: str) -> Future[Thumbnail | Skipped]:
        """A picture, rendered now."""
        return self.renders.ask(render_request(found.record.file, found.roots, side, form))

    def facets(self, filters: Filters) -> Future[Facets]:
        """How the pictures that pass are spread."""
        where = filters.filter()
        return self.reader.submit(lambda library: library.catalog.facets(where))

    def status(self) -> Future[dict[str, Any]]:
        """What is in the library; without one, zero of everything."""
        return self.reader.submit(_status)


def open_original(found: Located) -> int:
    """A descriptor of the file of a picture; raises `NoSuchPicture` with the reason."""
    try:
        return open_below(found.record.file.absolute, found.roots)
    except Unusable as error:
        raise cannot_show(error.reason) from error


def cannot_show(reason: str) -> NoSuchPicture:
    """The error for a picture whose file yields nothing to show."""
    return NoSuchPicture(
        f"the file of this picture cannot be shown: {reason}",
        "'imgsearch index' brings the library up to what lies in its folders.",
    )


def _status(library: Library) -> dict[str, Any]:
    try:
        found = library.status()
        return (
            found
            | {"model": library.model, "revision": library.catalog.head()[0]}
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
            "last_run": None, "model": None, "revision": 0, "folders": [],
        }  # fmt: skip
