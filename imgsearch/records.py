"""The records that travel between the rooms: scan -> decode -> encode -> commit -> sync -> hits.

Paths are `str` as the operating system gives them (bytes that are not UTF-8 are surrogate
escapes, PEP 383); a relative path has "/" between its parts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Pixels

Revision = int
"""Counts the upserts and tombstones of a catalog; 0 is the empty catalog."""


_LATEST = 2**63 - 1


def clamped(mtime_ns: int) -> int:
    """A time within what the catalog can hold: the years 1677 to 2262. Files lie at times."""
    return max(-_LATEST, min(_LATEST, mtime_ns))


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A picture file as a scan sees it.

    Attributes
    ----------
    root : str
        Absolute path of the root.
    path : str
        Path below the root.
    size : int
        Bytes.
    mtime_ns : int
        Time of last modification, nanoseconds since 1970.
    """

    root: str
    path: str
    size: int
    mtime_ns: int

    @property
    def absolute(self) -> str:
        return os.path.join(self.root, *self.path.split("/"))


@dataclass(frozen=True, slots=True)
class Unvisited:
    """A folder that a scan could not look into: nothing below it may be declared absent.

    `path` is relative to the root; "" is the root itself.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A picture file that cannot be indexed, and why, in words for a person.

    Attributes
    ----------
    transient : bool
        True where another try may go better though the file has not changed (it could not be
        read, an extra is missing): such a file is tried again on every run.
    """

    file: ImageFile
    reason: str
    transient: bool = False


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """What a picture says of itself.

    Attributes
    ----------
    width, height : int
        Pixels of the full picture, the right way up.
    format : str
        Name of the format in Pillow's spelling, decided by content: "JPEG", "HEIF", ...
    orientation : int
        EXIF orientation 1-8 as found in the file; 1 where there is none.
    taken_at : datetime or None
        Local time of the exposure, without time zone.
    latitude, longitude : float or None
        Degrees, WGS 84, north and east positive.
    title, description : str or None
    keywords : tuple of str
        What people wrote into the file.
    """

    width: int
    height: int
    format: str
    orientation: int = 1
    taken_at: datetime | None = None
    camera_make: str | None = None
    camera_model: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    title: str | None = None
    description: str | None = None
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that was read and decoded: `pixels` may be scaled down, `metadata` is not.

    `file` has the size and mtime of the very bytes that were read; `content_hash` is the
    xxh3-128 of them, in hex.
    """

    file: ImageFile
    content_hash: str
    metadata: ImageMetadata
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture with its vector: ndarray of shape (dimension,), float32, unit norm."""

    file: ImageFile
    content_hash: str
    metadata: ImageMetadata
    vector: Embeddings


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose bytes the catalog has seen before: moved, copied, touched or come back."""

    file: ImageFile
    content_hash: str


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A picture of the catalog."""

    id: int
    file: ImageFile
    content_hash: str
    metadata: ImageMetadata


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """What happened to the vectors of one space after revision `since`, up to `revision`.

    Attributes
    ----------
    removals : ndarray of shape (r,), int64
        Ids to take out; an id that is not there is no error. To be applied before the upserts.
    ids, vectors : ndarrays of shape (n,) int64 and (n, dimension) float32, unit norm
        Vectors to put in or to replace.
    token : str
        Random text that the catalog drew for the commit of `revision`: tells apart two
        histories that count the same revisions (a catalog restored from a backup).
    """

    since: Revision
    revision: Revision
    token: str
    removals: Ids
    ids: Ids
    vectors: Embeddings

    def __post_init__(self) -> None:
        assert self.ids.dtype == self.removals.dtype == "int64"
        assert len(self.ids) == len(self.vectors)


@dataclass(frozen=True, slots=True)
class Reference:
    """What queries of one modality score against pictures that they do not mean.

    Attributes
    ----------
    modality : {"text", "image"}
        Of the query.
    location : float
        The median score.
    scale : float
        The distance from the median to the 95th percentile, divided by 1.6449: the standard
        deviation if scores were normal. The upper half is what false hits come from.
    pictures : int
        How many the library had when the reference was drawn.
    """

    modality: str
    location: float
    scale: float
    pictures: int


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small copy of a picture, the right way up: `data` is a JPEG, or what else was asked for, of
    width x height pixels. `content_hash` is that of the bytes that it was made from."""

    file: ImageFile
    width: int
    height: int
    data: bytes
    content_hash: str = ""


@dataclass(frozen=True, slots=True)
class Facets:
    """How pictures are spread over what they can be filtered by.

    Attributes
    ----------
    months : dict of (year, month) to int
        Of those that tell their date.
    folders : dict of str to int
        Absolute path to the pictures right in that folder.
    cameras : list of (make, model, int)
        The most frequent first, 200 at most.
    types : dict of str to int
        Pillow's name of the format to the number of pictures.
    dated, located : int
        How many tell their date, and their position.
    total : int
    """

    months: dict[tuple[int, int], int]
    folders: dict[str, int]
    cameras: list[tuple[str | None, str | None, int]]
    types: dict[str, int]
    dated: int
    located: int
    total: int


@dataclass(frozen=True, slots=True)
class RootRecord:
    """A folder of the library, and what the last scan of it was told and found.

    Attributes
    ----------
    exclude : tuple of str
        Glob patterns left out.
    hidden : bool
        True where hidden files are taken in.
    mounts : tuple of str
        The mount point that holds the root, then those below it, as paths relative to the root.
    images : int
        Pictures present.
    """

    path: str
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    mounts: tuple[str, ...] = ()
    scanned_at: datetime | None = None
    images: int = 0

    def takes_in(self, folder: str) -> bool:
        """True if a scan of the root looks into this folder (absolute), excludes aside."""
        below = os.path.relpath(folder, self.path).split(os.sep)
        inside = below[0] not in (os.curdir, os.pardir)
        return inside and (self.hidden or not any(part.startswith(".") for part in below))


@dataclass(frozen=True, slots=True)
class SpaceRecord:
    """An embedding space of the library with the number of present pictures it covers."""

    space: EmbeddingSpace
    vectors: int
    default: bool


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of the indexer; `outcome` is "running", "done", "interrupted" or "failed"."""

    model: str
    precision: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    counts: dict[str, float]


@dataclass(slots=True)
class Comparison:
    """What the catalog says to a handful of scanned files.

    Attributes
    ----------
    image_ids, skipped_ids : lists of int
        Rows that were seen again.
    returned : list of Known
        Files that had been declared absent and lie there again, unchanged.
    to_digest : list of ImageFile
        Files whose bytes may be known: hash them before anything else.
    to_encode : list of ImageFile
    to_skip : list of Skipped
        Files that the scan itself refused, for the first time.
    unchanged, still_skipped : int
    changed : int
        How many of the files to digest or to encode have a row already.
    """

    image_ids: list[int] = field(default_factory=list)
    skipped_ids: list[int] = field(default_factory=list)
    returned: list[Known] = field(default_factory=list)
    to_digest: list[ImageFile] = field(default_factory=list)
    to_encode: list[ImageFile] = field(default_factory=list)
    to_skip: list[Skipped] = field(default_factory=list)
    unchanged: int = 0
    still_skipped: int = 0
    changed: int = 0


@dataclass(slots=True)
class CommitResult:
    """What a commit did.

    Attributes
    ----------
    moved_now : int
        Those of the moved pictures that were declared absent in this very run.
    unresolved : list of ImageFile
        Files that are still without a vector and must be encoded.
    """

    added: int = 0
    updated: int = 0
    moved: int = 0
    moved_now: int = 0
    unchanged: int = 0
    skipped: int = 0
    unresolved: list[ImageFile] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TextFound:
    """What was read in the picture with these bytes.

    Attributes
    ----------
    content_hash : str
        xxh3-128 of the file, in hex.
    engine : str
        Name and revision of what has read it.
    text : str
        A line per text box; "" where there is none.
    reason : str
        Why it could not be read; "" where it could.
    """

    content_hash: str
    engine: str
    text: str = ""
    reason: str = ""


@dataclass(slots=True)
class TextReport:
    """What a run has read, counted in pictures of different bytes.

    Attributes
    ----------
    read : int
        `with_text` of them have any.
    failed : int
        Their text could not be read, and will not be tried again with this engine.
    put_off : int
        The file could not be read, or is not what was indexed: the next run tries again.
    """

    read: int = 0
    with_text: int = 0
    failed: int = 0
    put_off: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TextCounts:
    """The texts of a library, counted in present pictures.

    Attributes
    ----------
    wanted : bool
        True if the indexer reads the texts of new pictures.
    engines : tuple of str
        What has read them, by name.
    """

    wanted: bool
    read: int
    with_text: int
    failed: int
    engines: tuple[str, ...]


@dataclass(slots=True)
class IngestReport:
    """Counts of one run over the files of one or more roots; `texts` is None if none were read."""

    scanned: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: int = 0
    encoded: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)
    texts: TextReport | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `total` is None while unknown.

    `stage` is "scan", "digest", "encode" or "read".
    """

    stage: str
    done: int
    total: int | None = None


OnProgress = Callable[[Progress], None]
