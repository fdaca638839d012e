"""Pictures over time: periods with a cover, anniversaries, and what was added last.

Each query seeks in an index, so a start page can show them for a library of any size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from imgsearch.catalog.spellings import Plain
from imgsearch.records import Period

MAX_PERIODS = 600
"""Months, newest first: 50 years."""
_LATEST = (
    "SELECT id, taken_at FROM images WHERE status = 'present' AND taken_at < ?"
    " ORDER BY taken_at DESC LIMIT 1"
)
_COUNT = "SELECT count(*) FROM images WHERE status = 'present' AND taken_at >= ? AND taken_at < ?"
_UNDATED = "SELECT count(*) FROM images WHERE status = 'present' AND taken_at IS NULL"
_YEAR_ONLY = (
    "SELECT count(*) FROM images WHERE status = 'present' AND taken_at = ?"
    " AND taken_precision = 'year'"
)
_ON_A_DAY = (
    "SELECT id FROM images WHERE status = 'present' AND taken_at >= ? AND taken_at < ?"
    " AND taken_precision IN ('day', 'second') ORDER BY taken_at DESC LIMIT ?"
)
# The unary plus keeps SQLite from an index on the status, whose rows it would have to sort.
_ADDED = "SELECT id FROM images WHERE +status = 'present' ORDER BY id DESC LIMIT ?"
_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")
_AFTER_ALL_DATES = "~"
"""Sorts behind every date and time that begins with the text before it."""


def months(db: Plain) -> list[Period]:
    """The months with present images, newest first, with the number that a filter by month finds.

    Images of which only the year is known follow its January, with None for the month.
    """
    return list(_months(db))


def _months(db: Plain) -> Iterator[Period]:
    end = _AFTER_ALL_DATES
    for _ in range(MAX_PERIODS):
        row = db.execute(_LATEST, (end,)).fetchone()
        if row is None:
            return
        image_id, start = row[0], str(row[1])[:7]
        if _MONTH.fullmatch(start) is None:  # a damaged date, which `doctor` reports
            end = start
            continue
        (count,) = db.execute(_COUNT, (start, end)).fetchone()
        year, _, month = start.partition("-")
        rough = db.execute(_YEAR_ONLY, (f"{start}-01 00:00:00.000000",)).fetchone()[0]
        if count > rough:
            yield Period(int(year), int(month), count - rough, image_id)
        if rough:
            yield Period(int(year), None, rough, image_id)
        end = start


def undated(db: Plain) -> int:
    """The number of present images without a date."""
    return int(db.execute(_UNDATED).fetchone()[0])


def on_this_day(db: Plain, day: str, years: Sequence[int], each_year: int, limit: int) -> list[int]:
    """Present images taken on a day, such as "11-29", of the given years, in their order."""
    found: list[int] = []
    for year in years:
        date = f"{year:04}-{day}"
        room = min(each_year, limit - len(found))
        found += [key for (key,) in db.execute(_ON_A_DAY, (date, date + _AFTER_ALL_DATES, room))]
        if len(found) >= limit:
            break
    return found


def latest_added(db: Plain, limit: int) -> list[int]:
    """The present images that came into the library last, the last one first."""
    return [key for (key,) in db.execute(_ADDED, (limit,))]
