"""The records that travel between the rooms: scan -> decode -> encode -> commit -> sync -> hits.

Paths are `str` as the operating system gives them (bytes that are not UTF-8 are surrogate
escapes, PEP 383); a relative path has "/" between its parts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from imgsearch.default_excludes import enters
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Revision = int
"""Counts the upserts and tombstones of a catalog; 0 is the empty catalog."""


_MAX_TIME_NS = 2**63 - 1
_WORD = re.compile(r"[^\W_]+")

METADATA_VERSION = 3
"""Version of the readers of metadata. Increase it when they read more: the catalog stores it with
each picture, and `imgsearch index --verify` reads the metadata of older ones again."""

GAZETTEER_VERSION = 1
"""Version of the data and rules that name positions. Increase it when they change: the next run of
the indexer names all positions again."""


def clamped(mtime_ns: int) -> int:
    """The time, limited to the range of the catalog: the years 1677 to 2262."""
    return max(-_MAX_TIME_NS, min(_MAX_TIME_NS, mtime_ns))


def signed(number: int) -> int:
    """An unsigned 64-bit number as the signed one with the same bits, as the catalog holds it."""
    return (number + 2**63) % 2**64 - 2**63


class _Sent:
    """Base of records that go from process to process: pickled as a call with their fields.

    The state of a frozen data class with slots, as `dataclasses` pickles it, takes several times as
    long to restore.
    """

    __slots__ = ()
    __match_args__: tuple[str, ...]  # of a data class: its fields, in order

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.__match_args__)


@dataclass(frozen=True, slots=True)
class ImageFile(_Sent):
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
    ctime_ns : int
        Time of the last change of content or attributes, nanoseconds since 1970; 0 if unknown.
    inode : int
        Number of the file on its file system, as a signed 64-bit integer; 0 if unknown.
    sidecars : tuple of str
        Names of the metadata files beside it, in order of precedence.
    sidecar_stamp : int
        Changes whenever one of them does, signed 64-bit; 0 if there are none.
    """

    root: str
    path: str
    size: int
    mtime_ns: int
    ctime_ns: int = 0
    inode: int = 0
    sidecars: tuple[str, ...] = ()
    sidecar_stamp: int = 0

    @property
    def location(self) -> Location:
        return Location(self.root, self.path)

    @property
    def absolute(self) -> str:
        return self.location.absolute

    @property
    def state(self) -> tuple[int, int]:
        """Size and mtime, which every file system and every earlier catalog has."""
        return self.size, self.mtime_ns


class Location(NamedTuple):
    """Location of a picture file, enough to look for it.

    `root` and `path` are those of `ImageFile`.
    """

    root: str
    path: str

    @property
    def absolute(self) -> str:
        return os.path.join(self.root, self.path.replace("/", os.sep))


@dataclass(slots=True)
class FileRun:
    """Consecutive files of a scan by column, in the units of `ImageFile`.

    Comparing whole columns takes a fraction of the time that comparing files takes.
    """

    paths: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    mtimes_ns: list[int] = field(default_factory=list)
    ctimes_ns: list[int] = field(default_factory=list)
    inodes: list[int] = field(default_factory=list)
    sidecar_stamps: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, *files: ImageFile) -> FileRun:
        """The columns of these files."""
        return cls(
            [file.path for file in files],
            [file.size for file in files],
            [file.mtime_ns for file in files],
            [file.ctime_ns for file in files],
            [file.inode for file in files],
            [file.sidecar_stamp for file in files],
        )


@dataclass(frozen=True, slots=True)
class Unvisited:
    """A folder that a scan could not read: nothing below it may be declared absent.

    `path` is relative to the root; "" is the root itself.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped(_Sent):
    """A picture file that cannot be indexed, and why, in words for a person.

    Attributes
    ----------
    transient : bool
        Another try may succeed though the file has not changed (it could not be read, an extra is
        missing): the file is tried again on every run.
    """

    file: ImageFile
    reason: str
    transient: bool = False


DATE_CHARACTERS: dict[str | None, int] = {"year": 4, "month": 7, "day": 10}
"""Precision of a date that is known in part -> characters of it that are known."""


@dataclass(frozen=True, slots=True)
class ImageMetadata(_Sent):
    """The metadata in a picture file.

    Attributes
    ----------
    width, height : int
        Pixels of the full picture, upright.
    format : str
        Pillow's name of the format, decided by content: "JPEG", "HEIF", ...
    orientation : int
        EXIF orientation 1-8 as found in the file; 1 if there is none.
    taken_at : datetime or None
        Local time of the exposure, without time zone; for a partial date, its start.
    taken_precision : {"year", "month", "day", "second"} or None
        Unit of the last part of the date that is known; None without a date.
    taken_source : str or None
        Source of the date: "exif", "xmp", "iptc", "sidecar", "file name", ...
    utc_offset_minutes : int or None
        Local time minus UTC at the exposure.
    latitude, longitude : float or None
        Degrees, WGS 84, north and east positive.
    title, description : str or None
    keywords, people : tuple of str
        Written into the file by people.
    city, state, country : str or None
        The place in words: as the file states it, else by its position.
    country_code : str or None
        ISO 3166-1 alpha-2 code of the country of the position, unless the file states another.
    gazetteer_fields : tuple of str
        Those of "city", "state" and "country" that the file does not state.
    gazetteer_version : int
        Version of the gazetteer that named the position; 0 if none has.
    rating : int or None
        -1 (rejected) to 5; None if it is not rated.
    note : str or None
        The fault of a picture that was indexed nevertheless, such as a missing part.
    metadata_version : int
        Version of the reader of metadata (`METADATA_VERSION`); 0 for those from
        before there were versions.
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
    taken_precision: str | None = None
    taken_source: str | None = None
    utc_offset_minutes: int | None = None
    people: tuple[str, ...] = ()
    city: str | None = None
    state: str | None = None
    country: str | None = None
    rating: int | None = None
    note: str | None = None
    metadata_version: int = 0
    country_code: str | None = None
    gazetteer_fields: tuple[str, ...] = ()
    gazetteer_version: int = 0

    @property
    def taken(self) -> str | None:
        """The date in ISO 8601, possibly partial: "1965-07"; None without one."""
        if self.taken_at is None:
            return None
        return self.taken_at.isoformat()[: DATE_CHARACTERS.get(self.taken_precision)]

    @property
    def taken_day(self) -> str | None:
        """The date without the time of day."""
        return self.taken[: DATE_CHARACTERS["day"]] if self.taken else None


PHOTO, SCREENSHOT, DOCUMENT = "photo", "screenshot", "document"
"""Values of `Measures.kind`."""


@dataclass(frozen=True, slots=True)
class Measures(_Sent):
    """Measures of the pixels of a picture; `sources.pixel_measures` has the formulas.

    Attributes
    ----------
    sharpness : float
        0 to 1; 0.5 is the median of photos.
    brightness : float
        Mean luma (ITU-R BT.601) of the sRGB values, 0 (black) to 1 (white).
    shadows, highlights : float
        Shares of the pixels that are black or white, 0 to 1.
    contrast : float
        Standard deviation of luma (RMS contrast; Peli, JOSA A 7, 1990), 0 to 0.5.
    colourfulness : float
        Of Hasler and Suesstrunk (2003): from 0 for grey to about 110.
    kind : {"photo", "screenshot", "document"}
        Guessed from the pixels.
    """

    sharpness: float
    brightness: float
    shadows: float
    highlights: float
    contrast: float
    colourfulness: float
    kind: str


MEASURES = tuple(each.name for each in fields(Measures))
"""The names of the measures."""


@dataclass(frozen=True, slots=True)
class Decoded(_Sent):
    """A picture that was read and decoded: `pixels` may be scaled down, `metadata` is not.

    `file` has the size and mtime of the bytes that were read; `content_hash` is their xxh3-128,
    in hex. `measures` is None unless the decoder was to take them.
    """

    file: ImageFile
    content_hash: str
    metadata: ImageMetadata
    pixels: Pixels
    measures: Measures | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture with its vector: ndarray of shape (dimension,), float32, unit norm."""

    file: ImageFile
    content_hash: str
    metadata: ImageMetadata
    vector: Embeddings
    measures: Measures | None = None


FILE_NAME = "file name"
"""`ImageMetadata.taken_source` of a date that only the name of the file states."""


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose bytes the catalog knows: moved, copied, touched or back again.

    Attributes
    ----------
    content_hash : str
        xxh3-128 of the file, in hex.
    metadata : ImageMetadata or None
        None unless it was read again.
    named_at : datetime or None
        The date in its name, which counts if the bytes state none.
    named_precision : {"day", "second"} or None
    measures : Measures or None
        None unless the file was decoded.
    """

    file: ImageFile
    content_hash: str
    metadata: ImageMetadata | None = None
    named_at: datetime | None = None
    named_precision: str | None = None
    measures: Measures | None = None


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A picture of the catalog.

    Attributes
    ----------
    id : int
        Never used again for another picture.
    file : ImageFile
        Its location, its size in bytes and its times in ns.
    content_hash : str
        xxh3-128 of the file, 32 hex digits.
    metadata : ImageMetadata
        Width and height in pixels, upright, and the statements of the file.
    measures : Measures or None
        None until it has been measured.
    """

    id: int
    file: ImageFile
    content_hash: str
    metadata: ImageMetadata
    measures: Measures | None = None


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """The changes to the vectors of one space after revision `since`, up to `revision`.

    Attributes
    ----------
    removals : ndarray of shape (r,), int64
        Ids to remove, before the upserts are applied. An id that is not there is not an error.
    ids, vectors : ndarrays of shape (n,) int64 and (n, dimension) float32, unit norm
        Vectors to add or to replace.
    token : str
        Random text that the catalog drew for the commit of `revision`: distinguishes two
        histories with the same revisions (a catalog restored from a backup).
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
class IndexState:
    """The state of a vector index.

    Attributes
    ----------
    revision : int
        The catalog's revision that the index has reached; 0 when empty.
    token : str
        The catalog's token of that revision; "" at revision 0.
    unflushed : int
        Vectors added or removed since the last flush.
    due : bool
        The stored index should be trained again, for its present size.
    doubt : str
        Why the stored index could not be used, in words; "" if it could.
    kind : str
        Kind of index, in words.
    """

    revision: Revision
    token: str
    unflushed: int
    due: bool
    doubt: str
    kind: str


@dataclass(frozen=True, slots=True)
class TextVectors:
    """The reference texts in a space.

    Attributes
    ----------
    vectors : ndarray of shape (t, dimension), float32, unit norm
    priors : ndarray of shape (t,), float64
        Log-odds that a query has an answer, by the text alone.
    """

    vectors: Embeddings
    priors: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reference:
    """Distribution of the scores of queries of one modality against unrelated pictures.

    Attributes
    ----------
    modality : {"text", "image", "best", "absent"}
        Of the query; "best" is the highest score of a text query over the whole library, and
        "absent" the log-odds of the gate for text queries that the library does not answer.
    location : float
        The median score. Of "absent": the 60th percentile of all reference texts.
    scale : float
        The distance from the median to the 95th percentile, divided by 1.6449: the standard
        deviation if scores were normal. False hits come from the upper half. Of "best": the
        interquartile range. Of "absent": the distance from the 10th to the 60th percentile.
    pictures : int
        Size of the library when the reference was drawn.
    """

    modality: str
    location: float
    scale: float
    pictures: int


@dataclass(frozen=True, slots=True)
class QueryReading:
    """A model's reading of the words of a query.

    Attributes
    ----------
    text : str
        The text that it reads instead of the query; the query itself unless it was rewritten.
    unknown : tuple of str
        Words of the query that it cannot know.
    understood : bool
        False if the query has no other content.
    suggestion : str
        The query with its probable typing errors corrected; "" if there are none.
    """

    text: str
    unknown: tuple[str, ...] = ()
    understood: bool = True
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small upright copy of a picture: `data` is a file of width x height pixels, a JPEG unless
    another format was requested. `content_hash` is that of the original's bytes."""

    file: ImageFile
    width: int
    height: int
    data: bytes
    content_hash: str = ""


@dataclass(frozen=True, slots=True)
class PlaceCount:
    """A city, state or country with its number of pictures and the id of the one added last."""

    name: str
    count: int
    cover: int


@dataclass(frozen=True, slots=True)
class PositionCell:
    """Pictures whose positions lie in one cell of a grid.

    Attributes
    ----------
    column : int
        From 0 at longitude -180.
    count : int
    cover : int
        Id of the picture that was added last.
    latitude, longitude : float
        Mean position in degrees.
    south, west, north, east : float
        The smallest box of degrees around the positions.
    """

    column: int
    count: int
    cover: int
    latitude: float
    longitude: float
    south: float
    west: float
    north: float
    east: float


@dataclass(frozen=True, slots=True)
class Facets:
    """Counts of pictures by month, folder, camera, format and place.

    Attributes
    ----------
    months : dict of (year, month) to int
        Number of pictures taken in that month; month 0 has those of which only the year is known.
    folders : dict of str to int
        Absolute path to the number of pictures directly in that folder.
    cameras : list of (make, model, int)
        The most frequent first, 200 at most.
    types : dict of str to int
        Pillow's name of the format to the number of pictures.
    countries, cities : list of PlaceCount
        The most frequent first, 200 of each at most.
    dated, located : int
        Number of pictures with a date, and with a position.
    total : int
    """

    months: dict[tuple[int, int], int]
    folders: dict[str, int]
    cameras: list[tuple[str | None, str | None, int]]
    types: dict[str, int]
    countries: list[PlaceCount]
    cities: list[PlaceCount]
    dated: int
    located: int
    total: int


@dataclass(frozen=True, slots=True)
class KnownValue:
    """A value that a filter takes in a library.

    Attributes
    ----------
    kind : str
        The filter option that takes it, such as "camera".
    value : str
    count : int
        Pictures that have it; 0 where that is not counted.
    """

    kind: str
    value: str
    count: int


@dataclass(frozen=True, slots=True)
class RootRecord:
    """A folder of the library, with the options and results of its last scan.

    Attributes
    ----------
    exclude : tuple of str
        Glob patterns left out.
    hidden : bool
        Hidden files are included.
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
        return inside and enters(below, os.path.basename(self.path), self.hidden)


def root_to_plain(root: RootRecord) -> dict[str, Any]:
    """A folder of the library as values for JSON; looks whether it is there."""
    return {
        "path": root.path,
        "images": root.images,
        "exclude": list(root.exclude),
        "hidden": root.hidden,
        "there": os.path.isdir(root.path),
        "scanned_at": root.scanned_at.isoformat() if root.scanned_at else None,
    }


@dataclass(frozen=True, slots=True)
class SpaceRecord:
    """An embedding space of the library with the number of present pictures it covers."""

    space: EmbeddingSpace
    vectors: int
    default: bool


@dataclass(frozen=True, slots=True)
class Period:
    """A month, counted from 1, with its number of pictures and the id of the newest; None as the
    month stands for a whole year, or for pictures without one."""

    year: int
    month: int | None
    count: int
    cover: int


def years_of(months: Sequence[Period]) -> list[Period]:
    """The years of months that are newest first; the cover is that of the newest month."""
    counts: dict[int, Period] = {}
    for each in months:
        known = counts.get(each.year)
        count, cover = (known.count, known.cover) if known else (0, each.cover)
        counts[each.year] = Period(each.year, None, count + each.count, cover)
    return list(counts.values())


@dataclass(frozen=True, slots=True)
class SavedRecord:
    """A saved search as the catalog holds it; `request` is JSON."""

    id: int
    name: str
    request: str
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Cluster:
    """A group of pictures by content.

    Attributes
    ----------
    id : int
        0 for one that is not stored yet.
    parent : int or None
        Id of the broad cluster that it is a part of.
    name : str
    medoid : int
        Id of the picture that is most like the others.
    mean : ndarray of shape (dimension,), float32
        Mean vector, of norm 1 at most: its inner product with a picture is the mean of those with
        the pictures of the cluster.
    count : int
        Present pictures in it and in those below it.
    """

    id: int
    parent: int | None
    name: str
    medoid: int
    mean: Embeddings = field(repr=False)
    count: int = 0


@dataclass(frozen=True, slots=True)
class Clustering:
    """Revision, size and threshold of the last clustering of a space.

    Attributes
    ----------
    revision : int
        Of the catalog: pictures of later ones are not in clusters yet.
    pictures : int
        Number of pictures that the clusters were made of.
    threshold : float
        Least mean inner product of a picture with the others of its cluster.
    """

    revision: Revision
    pictures: int
    threshold: float


@dataclass(frozen=True, slots=True)
class ClusterTree:
    """A cluster with its pictures: `ids`, or those of its `parts`."""

    cluster: Cluster
    ids: Ids
    parts: tuple[ClusterTree, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Range of years, and the place and camera of most pictures of a cluster.

    Attributes
    ----------
    years : tuple of int
        The first and the last, without the earliest and the latest twentieth; empty if no date is
        known.
    place, camera : str
        Of at least half of the pictures; "" if there is none.
    """

    years: tuple[int, ...] = ()
    place: str = ""
    camera: str = ""


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
    """A batch of scanned files, sorted by what the catalog knows of them.

    Attributes
    ----------
    image_ids, skipped_ids : lists of int
        Rows whose files were seen again.
    returned : list of Known
        Files that had been declared absent and are back, unchanged.
    restamped : list of Known
        Unchanged files whose ctime or inode the catalog does not know yet.
    to_digest : list of ImageFile
        Files whose bytes may be known: hash them before anything else.
    to_describe : list of ImageFile
        Unchanged files whose sidecars have changed: read their metadata again.
    to_encode : list of ImageFile
    to_verify : list of ImageFile
        Files that seem unchanged, to be hashed all the same.
    to_skip : list of Skipped
        Files that the scan itself refused, for the first time.
    unchanged, still_skipped : int
    changed : int
        Number of files to digest, describe or encode that already have a row.
    """

    image_ids: list[int] = field(default_factory=list)
    skipped_ids: list[int] = field(default_factory=list)
    returned: list[Known] = field(default_factory=list)
    restamped: list[Known] = field(default_factory=list)
    to_digest: list[ImageFile] = field(default_factory=list)
    to_describe: list[ImageFile] = field(default_factory=list)
    to_encode: list[ImageFile] = field(default_factory=list)
    to_verify: list[ImageFile] = field(default_factory=list)
    to_skip: list[Skipped] = field(default_factory=list)
    unchanged: int = 0
    still_skipped: int = 0
    changed: int = 0


@dataclass(slots=True)
class CommitResult:
    """Counts of a commit, and the files that it left for later steps.

    Attributes
    ----------
    moved_now : int
        Moved pictures that were declared absent in this run.
    differed : int
        Updated files with other bytes than the catalog's, though size and mtime are the same.
    unresolved : list of ImageFile
        Files that still have no vector and must be encoded.
    undescribed : list of ImageFile
        Files whose metadata was read with other sidecars, or by an older reader.
    """

    added: int = 0
    updated: int = 0
    moved: int = 0
    moved_now: int = 0
    differed: int = 0
    unchanged: int = 0
    skipped: int = 0
    unresolved: list[ImageFile] = field(default_factory=list)
    undescribed: list[ImageFile] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TextFound:
    """The text read in pictures with these bytes.

    Attributes
    ----------
    content_hash : str
        xxh3-128 of the file, in hex.
    engine : str
        Name and revision of the reader.
    text : str
        A line per text box; "" if there is none.
    reason : str
        Why there is none to read: what failed, `PASSED_OVER` or `SEEN`. "" if it was read.
    """

    content_hash: str
    engine: str
    text: str = ""
    reason: str = ""


PASSED_OVER = "no text seen at a glance"
"""The reason of a picture that `--ocr auto` does not read."""
SEEN = "text seen at a glance, not read yet"
"""The reason of a picture that `--ocr auto` reads next."""


@dataclass(frozen=True, slots=True)
class ForeignImages:
    """Some pictures of another library, as its catalog holds them.

    Attributes
    ----------
    rows : list of dict
        Columns of `images`, the other library's `id` included.
    vectors : dict of id to list of (space key, bytes)
        Stored vectors: little-endian float16.
    texts : list of TextFound
        Texts of these pictures.
    """

    rows: list[dict[str, Any]]
    vectors: dict[int, list[tuple[str, bytes]]]
    texts: list[TextFound]


@dataclass(slots=True)
class TakenOver:
    """Counts of a merge with another library.

    Attributes
    ----------
    added : int
        Pictures that were not here.
    known : int
        Pictures that were here, with the same bytes at the same path.
    differing : int
        Pictures left alone: at their path, this library has other bytes, or knows of none there.
    vectors : int
        Vectors added, also to pictures that were here.
    searches : int
        Saved searches added.
    """

    added: int = 0
    known: int = 0
    differing: int = 0
    vectors: int = 0
    searches: int = 0


@dataclass(slots=True)
class TextReport:
    """The texts that a run has read; pictures with the same bytes count once.

    Attributes
    ----------
    read : int
        Pictures read; `with_text` of them have text.
    failed : int
        Pictures whose text could not be read; this engine does not try again.
    put_off : int
        Pictures whose file could not be read or has changed: the next run tries again.
    passed_over : int
        Pictures without text at a glance, which `--ocr auto` does not read.
    """

    read: int = 0
    with_text: int = 0
    failed: int = 0
    put_off: int = 0
    seconds: float = 0.0
    passed_over: int = 0


@dataclass(slots=True)
class MeasureReport:
    """The pictures that a run has measured afterwards; those with the same bytes count once.

    Attributes
    ----------
    measured : int
    put_off : int
        Pictures whose file could not be read or has changed: the next run tries again.
    """

    measured: int = 0
    put_off: int = 0


@dataclass(frozen=True, slots=True)
class TextCounts:
    """The texts of a library, counted in present pictures.

    Attributes
    ----------
    wanted : bool
        True if the library's `mode` is "on" or "auto".
    engines : tuple of str
        Names of the readers.
    mode : str
        "auto", "on" or "off"; "" if neither --ocr nor --no-ocr was ever used.
    passed_over : int
        Pictures without text at a glance.
    seen : int
        Pictures with text at a glance that are not read yet.
    """

    wanted: bool
    read: int
    with_text: int
    failed: int
    engines: tuple[str, ...]
    mode: str = ""
    passed_over: int = 0
    seen: int = 0


@dataclass(slots=True)
class IngestReport:
    """Counts of one run over the files of one or more roots.

    Attributes
    ----------
    scanned, added, updated, moved, unchanged, removed, skipped : int
        Files found, and the results for them or their pictures.
    encoded : int
        Pictures that the model has encoded.
    seconds : float
        Duration of the run.
    interrupted : bool
        The run was stopped before its end.
    outdated : int
        Unchanged pictures whose metadata an older reader has read.
    verified, differed : int
        Files that a verification has hashed, and those among them whose bytes had changed
        unnoticed.
    waiting : int
        Files of `scanned` that an interrupted run has left for the next one.
    scan_stopped : bool
        The run was interrupted before all files were found.
    notes : list of str
        Folders that could not be scanned, and why.
    remarks : list of str
        Further notes on the folders and patterns of the request.
    texts : TextReport or None
        None if no texts were read.
    measures : MeasureReport or None
        None unless the run was to measure pictures of earlier versions.
    exclude : dict of str to tuple of str
        The patterns that held, by root; only roots with patterns.
    names : dict of str to list of str
        Of a dry run: the paths behind each count; of those skipped, the new ones.
    """

    scanned: int = 0
    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: int = 0
    encoded: int = 0
    outdated: int = 0
    verified: int = 0
    differed: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)
    texts: TextReport | None = None
    exclude: dict[str, tuple[str, ...]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)
    waiting: int = 0
    scan_stopped: bool = False
    measures: MeasureReport | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run; `total` is None while unknown.

    `stage` is "scan", "digest", "describe", "encode", "verify", "glance", "read", "measure" or
    "places"; of a model "download", in bytes, and "verify", in files.
    """

    stage: str
    done: int
    total: int | None = None


OnProgress = Callable[[Progress], None]


def camera_name(make: str | None, model: str | None) -> str | None:
    """Make and model in one, without the make if the model begins with a word of it.

    "Canon EOS 5D" of Canon, "NIKON D40" of NIKON CORPORATION; None if neither is known.
    """
    if not make or not model:
        return model or make
    makes = {word.casefold() for word in _WORD.findall(make)}
    first = _WORD.search(model)
    return model if first is not None and first[0].casefold() in makes else f"{make} {model}"
