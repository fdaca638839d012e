"""Dates that cameras, phones and messengers write into the names of files.

`IMG_20190504_120102`, `PXL_20210101_120102123`, `IMG-20190504-WA0001`, `2019-05-04 12.01.02`,
`Screenshot_2019-05-04-12-01-02`, `WhatsApp Image 2019-05-04 at 12.01.02`, also in other languages,
`20190504120102`. A date after today is taken for another number.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from imgsearch.records import FILE_NAME
from imgsearch.sources.dates import at_time, known_parts
from imgsearch.sources.statement import Moment, Statement

_MAX_CHARACTERS = 255
_IDS = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # UUID
    r"|(?<![0-9a-z])(?=[0-9]*[a-f])[0-9a-f]{16,}(?![0-9a-z])",  # a hash
    re.IGNORECASE | re.ASCII,
)
_DATE = r"(?<!\d)(\d{4})([-_. ]?)(\d\d)\2(\d\d)"
_TIME = r"(\d\d|(?<=\s)\d(?=[.:]))([-_.:h ]?)(\d\d)(?:\6|(?<=h\d\d)m)(\d\d)(?:[-_.]?\d{3})?(?!\d)"
_GAP = r"(?:[-_.T ]|\s?at\s|\s[^\s\d]{1,4}\s(?:las\s)?|, ?)?"  # "um", "à", "kl.", "a las", "-"
_STAMP = re.compile(rf"{_DATE}(?:{_GAP}{_TIME}\s?([AaPp](?=[Mm]))?|(?!\d))", re.ASCII)


def read_name(name: str) -> Statement:
    """The date in the name of a file, without its folders; the first that is valid counts."""
    text = _IDS.sub(" ", name[:_MAX_CHARACTERS].replace("\u202f", " ").replace("\xa0", " "))
    moments = map(_moment, _STAMP.finditer(text))
    return Statement(FILE_NAME, named=next(filter(None, moments), None))


def _moment(match: re.Match[str]) -> Moment | None:
    date = known_parts(int(match[1]), int(match[3]), int(match[4]))
    if date is None or date.precision != "day" or date.start > datetime.now() + timedelta(days=1):
        return None
    if match[5] is None:
        return date
    hour, half = int(match[5]), (match[9] or "").upper()
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "P" else 0)
    return at_time(date, hour, int(match[7]), int(match[8]), None)
