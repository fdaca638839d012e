"""Statements about an image by one source: EXIF, XMP, IPTC, a sidecar or a file name.

A source is read into a `Statement`, and `merged` makes one of all: the order of the sources is
written here and nowhere else. Dates and positions follow the composite tags of ExifTool and the
guidelines of the Metadata Working Group (2.0, 2010): EXIF, then IPTC, then XMP. Texts come from XMP
first, because programs that edit them write XMP and often leave the other copies stale. A sidecar
precedes the file, because a program that writes one leaves the file alone; a file of Google Takeout
comes after the file, because its times have no zone and its places may be guesses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from imgsearch.records import FILE_NAME
from imgsearch.sources.caption_text import unique_lines

SIDECAR, TAKEOUT = "sidecar", "takeout"
EXIF, IPTC, XMP, TEXT, COMMENT = "exif", "iptc", "xmp", "text", "comment"

DATE_ORDER = (SIDECAR, EXIF, IPTC, XMP, TEXT, TAKEOUT, COMMENT, FILE_NAME)
"""The order of sources for dates, positions and cameras."""
CAPTION_ORDER = (SIDECAR, XMP, IPTC, EXIF, TEXT, COMMENT, TAKEOUT, FILE_NAME)
"""The order of sources for everything else."""

_MOMENTS = ("taken", "digitized", "edited", "named")
_PRECISIONS = ("year", "month", "day", "second")
_EPOCH = datetime(1970, 1, 1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, possibly partial.

    Attributes
    ----------
    start : datetime
        Local time, without time zone; the parts that are unknown are the lowest possible.
    precision : {"year", "month", "day", "second"}
        Unit of the last known part.
    utc_offset_minutes : int or None
        Local time minus UTC.
    """

    start: datetime
    precision: str = "second"
    utc_offset_minutes: int | None = None

    @property
    def is_epoch(self) -> bool:
        """True for the zero of Unix time, which clocks that were never set show.

        A year, month or day of 1970 has no time of a clock: a person wrote it.
        """
        if self.precision != "second":
            return False
        offset = timedelta(minutes=self.utc_offset_minutes or 0)
        return self.start in (_EPOCH, _EPOCH + offset)

    @property
    def detail(self) -> tuple[int, bool]:
        """Sorts moments by their precision."""
        return _PRECISIONS.index(self.precision), self.utc_offset_minutes is not None

    def allows(self, other: Moment) -> bool:
        """True if `other` agrees in all parts that are known here."""
        parts = _PRECISIONS.index(self.precision) + 1
        count = 6 if self.precision == "second" else parts
        return self.start.timetuple()[:count] == other.start.timetuple()[:count]


@dataclass(frozen=True, slots=True)
class Statement:
    """The statements of one source; None, "" and () for what it does not state.

    Attributes
    ----------
    source : str
        One of `DATE_ORDER`.
    taken : Moment or None
        Time of the exposure.
    taken_unknown : bool
        The source has the time of the exposure, as unknown: a later edit must not stand for it.
    digitized : Moment or None
        Time at which the image became a file, such as a scan.
    edited : Moment or None
        Time of the last change of the image.
    named : Moment or None
        Date in the name of the file.
    position : (float, float) or None
        Latitude and longitude in degrees, WGS 84, north and east positive.
    rating : int or None
        -1 (rejected) to 5; None if it is not rated.
    """

    source: str = ""
    taken: Moment | None = None
    taken_unknown: bool = False
    digitized: Moment | None = None
    edited: Moment | None = None
    named: Moment | None = None
    position: tuple[float, float] | None = None
    camera_make: str = ""
    camera_model: str = ""
    title: str = ""
    description: str = ""
    keywords: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    country: str = ""
    rating: int | None = None


def merged(statements: Iterable[Statement]) -> tuple[Statement, str | None]:
    """One statement of all, and the source of its `taken`.

    `taken` is the first of the times of exposure, then of digitizing, of editing, and of the name.
    The zero of Unix time counts only if there is nothing else. A source that states the same date
    more exactly replaces a less exact one. Keywords and people are the union; of all other fields
    the first that is stated counts.

    Returns
    -------
    statement : Statement
    source : str or None
        None without a date.
    """
    given = list(statements)
    dated = _ordered(given, DATE_ORDER)
    captioned = _ordered(given, CAPTION_ORDER)
    taken, source = _taken(dated)
    return (
        Statement(
            taken=taken,
            position=_first(each.position for each in dated),
            camera_make=_first(each.camera_make for each in dated) or "",
            camera_model=_first(each.camera_model for each in dated) or "",
            title=_first(each.title for each in captioned) or "",
            description=_first(each.description for each in captioned) or "",
            keywords=unique_lines(word for each in captioned for word in each.keywords),
            people=unique_lines(name for each in captioned for name in each.people),
            city=_first(each.city for each in captioned) or "",
            state=_first(each.state for each in captioned) or "",
            country=_first(each.country for each in captioned) or "",
            rating=_first(each.rating for each in captioned),
        ),
        source,
    )


def _ordered(statements: Sequence[Statement], order: Sequence[str]) -> list[Statement]:
    places = {source: place for place, source in enumerate(order)}
    return sorted(statements, key=lambda each: places.get(each.source, len(order)))


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value or value == 0), None)


def _taken(statements: Sequence[Statement]) -> tuple[Moment | None, str | None]:
    candidates = [list(_candidates(statements, kind)) for kind in _MOMENTS]
    for wanted in (False, True):  # the epoch last
        for group in candidates:
            found = [each for each in group if each[0].is_epoch == wanted]
            if found:
                return _most_exact(found)
    return None, None


def _candidates(statements: Sequence[Statement], kind: str) -> Iterator[tuple[Moment, str]]:
    if kind == "edited" and any(each.taken_unknown for each in statements):
        return
    for each in statements:
        moment = getattr(each, kind)
        if moment is not None:
            yield moment, each.source


def first_stated(moments: Sequence[Moment]) -> Moment | None:
    """The first that is not the unset clock, or one that says the same more exactly."""
    stated = [each for each in moments if not each.is_epoch] or moments
    return _most_exact([(each, "") for each in stated])[0] if stated else None


def _most_exact(found: Sequence[tuple[Moment, str]]) -> tuple[Moment, str]:
    """The first, or one that says the same more exactly."""
    first = found[0][0]
    same = [each for each in found if first.allows(each[0])]
    return max(same, key=lambda each: each[0].detail)
