"""Hints for words that no model follows: exclusions and dates.

A model reads "without people" as people, and cannot see a year. A hint names the options that do
what the words say. It never changes the search: "summer 2012" may be the name of a folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice

from imgsearch.searching.request import SearchRequest

MAX_EXCLUSIONS = 3
"""Hints for one text, and options of one hint."""
MAX_EXCLUDED_WORDS = 3
"""Maximum number of words of one exclusion; later ones belong to the rest of the sentence."""

_EXCLUSIONS = {
    "without", "w/o", "no", "not", "except", "excluding", "minus",
    "ohne", "sans", "senza", "zonder", "bez", "без",
}  # fmt: skip
_SKIPPED = {"a", "an", "any", "for", "single", "the"}
"""Words between an exclusion and what it excludes."""
_ENDS = {
    "at", "behind", "but", "by", "during", "from", "in", "into", "is", "near", "of", "on", "that",
    "under", "where", "which", "while", "with",
}  # fmt: skip
"""Words that end an exclusion."""
_PERSONS = {"anybody", "anyone", "one", "persons", "somebody", "someone"}
_IDIOMS = {
    "entry", "longer", "matter", "more", "only", "parking", "sign", "signs", "smoking", "stopping",
    "trespassing", "way", "yet",
}  # fmt: skip
"""Words before which "no" and "not" exclude nothing, such as those of signs."""

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
"""Season -> its first month, in the northern hemisphere."""
_FEASTS = {
    "christmas": (12, 24, 3), "xmas": (12, 24, 3), "halloween": (10, 31, 1),
    "new year's eve": (12, 31, 1), "valentine's day": (2, 14, 1),
}  # fmt: skip
"""Feast -> month, day, number of days."""
_NUMBERS = {"one": 1, "a": 1, "two": 2, "three": 3, "four": 4, "five": 5, "ten": 10}
_DECADES = {"sixties": 1960, "seventies": 1970, "eighties": 1980, "nineties": 1990}

_YEAR = r"(?P<year>(?:19|20)\d\d)"
_MONTH = "(?P<month>" + "|".join(f"{name[:3]}(?:{name[3:]}|t)?" for name in _MONTHS) + r")\.?"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th|\.)?"
_SEASON = f"(?P<season>{'|'.join(_SEASONS)})"
_FEAST = f"(?P<feast>{'|'.join(_FEASTS)})"
_OF = r"(?:,|,? of|,? in)? ?"


@dataclass(frozen=True, slots=True)
class Period:
    """Values of --after and --before; "" for one that is not needed."""

    after: str
    before: str

    def __str__(self) -> str:
        after = f"--after {self.after}" * bool(self.after)
        return f"{after} {f'--before {self.before}' * bool(self.before)}".strip()


def query_hints(request: SearchRequest, today: date | None = None, read: bool = False) -> list[str]:
    """Hints for the words of a request; dates get one only in a search without a filter.

    Parameters
    ----------
    today : date or None
        The day from which "last year" counts; None for the date of this machine.
    read : bool
        The search has read the date, beside a place.
    """
    notes = []
    for term in request.terms:
        if not term.text or term.weight <= 0:
            continue
        for word, options in islice(exclusions(term.text), MAX_EXCLUSIONS):
            notes.append(f"'{word}' excludes nothing. To exclude: {' '.join(options)}")
        found = None if request.where or read else period_in(term.text, today or date.today())
        if found is not None:
            words, period = found
            notes.append(f"'{words}' is looked for in names and texts. Taken then: {period}")
    return notes


# Exclusions


def exclusions(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each word that means to exclude something, with the options that do: ["--not people"]."""
    words = re.findall(r"[\w/'’-]+|[,.;:]", text.casefold())
    for place, word in enumerate(words):
        if word in ("nobody", "noone", "no-one"):
            yield word, ["--not people"]
        elif word in _EXCLUSIONS:
            strict = word in ("no", "not")
            things = list(islice(_excluded(words[place + 1 :], strict), MAX_EXCLUSIONS))
            if things:
                yield word, [f"--not {_quoted(thing)}" for thing in things]


def _excluded(words: list[str], strict: bool) -> Iterator[str]:
    """The things that words behind "without" name: "people or red cars" are two."""
    thing: list[str] = []
    for place, word in enumerate(words):
        if strict and not thing and (word in _IDIOMS or word[0].isdigit()):
            return
        if not word[0].isalnum() or word in _ENDS or word in _EXCLUSIONS or _begins(words, place):
            break
        if word in ("and", "or", "nor"):
            yield from _joined(thing)
            thing = []
        elif word not in _SKIPPED:
            thing.append("people" if word in _PERSONS else word)
    yield from _joined(thing)


def _begins(words: list[str], place: int) -> bool:
    """True for "and a dog": another thing to look for."""
    return words[place] == "and" and words[place + 1 : place + 2] in (["a"], ["an"], ["the"])


def _joined(thing: list[str]) -> Iterator[str]:
    if thing:
        yield " ".join(thing[:MAX_EXCLUDED_WORDS])


def _quoted(text: str) -> str:
    return f'"{text}"' if re.search(r"[^\w-]", text) else text


# Dates


def period_in(text: str, today: date) -> tuple[str, Period] | None:
    """The first words that say when pictures were taken, and that period."""
    for pattern, read in _PATTERNS:
        for match in pattern.finditer(text):
            try:
                return match[0].strip(), read(match, today)
            except ValueError:  # such as February 30, or years that a date cannot have
                continue
    return None


def _days(first: date, count: int) -> Period:
    return Period(first.isoformat(), (first + timedelta(days=count)).isoformat())


def _months(year: int, month: int, count: int) -> Period:
    first = year * 12 + month - 1
    start, end = (divmod(each, 12) for each in (first, first + count))
    return Period(f"{start[0]}-{start[1] + 1:02}", f"{end[0]}-{end[1] + 1:02}")


def _years(first: int, count: int = 1) -> Period:
    return Period(str(first), str(first + count))


def _month_of(match: re.Match[str]) -> int:
    name = match["month"].casefold()
    if name.isdigit():
        return int(name)
    return 1 + next(n for n, month in enumerate(_MONTHS) if month.startswith(name[:3]))


def _day(match: re.Match[str], today: date) -> Period:
    return _days(date(int(match["year"]), _month_of(match), int(match["day"])), 1)


def _month(match: re.Match[str], today: date) -> Period:
    month = _month_of(match)
    return _months(date(int(match["year"]), month, 1).year, month, 1)


def _season(match: re.Match[str], today: date) -> Period:
    return _months(int(match["year"]), _SEASONS[match["season"].casefold()], 3)


def _feast(match: re.Match[str], today: date) -> Period:
    month, day, count = _FEASTS[match["feast"].casefold().replace("’", "'")]
    return _days(date(int(match["year"]), month, day), count)


def _range(match: re.Match[str], today: date) -> Period:
    first, last = int(match["first"]), int(match["last"])
    if last < first:
        raise ValueError
    return _years(first, last - first + 1)


def _open(match: re.Match[str], today: date) -> Period:
    year = int(match["year"])
    match match["side"].casefold():
        case "since":
            return Period(str(year), "")
        case "after":
            return Period(str(year + 1), "")
        case "before":
            return Period("", str(year))
    return Period("", str(year + 1))


def _year(match: re.Match[str], today: date) -> Period:
    return _years(int(match["year"] or match["end"]))


def _decade(match: re.Match[str], today: date) -> Period:
    if match["name"]:
        return _years(_DECADES[match["name"].casefold()], 10)
    short = int(match["short"])
    century = match["century"] or ("20" if short < 30 else "19")
    return _years(int(century) * 100 + short, 10)


def _ago(match: re.Match[str], today: date) -> Period:
    number = match["number"].casefold()
    return _years(today.year - (_NUMBERS.get(number) or int(number)))


def _relative(match: re.Match[str], today: date) -> Period:
    back, unit = int(match["which"].casefold() == "last"), match["unit"].casefold()
    if unit == "year":
        return _years(today.year - back)
    if unit == "month":
        return _months(today.year, today.month - back, 1)
    monday = today - timedelta(days=today.weekday() + 7 * back)
    return _days(monday, 7)


def _recent(match: re.Match[str], today: date) -> Period:
    """The season, month or feast that began last, or for "last" the last one that has ended."""
    name, last = match["name"].casefold().replace("’", "'"), match["which"].casefold() == "last"
    for year in range(today.year, today.year - 3, -1):
        if name in _FEASTS:
            month, day, count = _FEASTS[name]
            period = _days(date(year, month, day), count)
        elif name in _SEASONS:
            period = _months(year, _SEASONS[name], 3)
        else:
            period = _months(year, _MONTHS.index(name) + 1, 1)
        if (period.before if last else period.after) <= today.isoformat():
            return period
    raise ValueError


def _yesterday(match: re.Match[str], today: date) -> Period:
    back = int(match[0].casefold() == "yesterday")
    return _days(today - timedelta(days=back), 1)


_Read = Callable[[re.Match[str], date], Period]
_NAMES = "|".join([*_SEASONS, *_MONTHS, *_FEASTS])
_PATTERNS: tuple[tuple[re.Pattern[str], _Read], ...] = tuple(
    (re.compile(rf"(?<![\w.-]){pattern}(?![\w-])", re.I), read)
    for pattern, read in (
        (rf"{_YEAR}[-/](?P<month>[01]?\d)[-/](?P<day>[0-3]?\d)", _day),
        (rf"(?P<day>[0-3]?\d)\.(?P<month>[01]?\d)\.{_YEAR}", _day),
        (rf"{_DAY} ?(?:of )?{_MONTH}{_OF}{_YEAR}", _day),
        (rf"{_MONTH} {_DAY},? {_YEAR}", _day),
        (rf"{_YEAR}[-/](?P<month>[01]\d)", _month),
        (rf"{_MONTH}{_OF}{_YEAR}", _month),
        (rf"{_SEASON}{_OF}{_YEAR}", _season),
        (rf"{_FEAST}{_OF}{_YEAR}", _feast),
        (
            r"(?:between |from )?(?P<first>(?:19|20)\d\d)(?: ?[-–] ?| to | and | until )"
            r"(?P<last>(?:19|20)\d\d)",
            _range,
        ),
        (rf"(?P<side>since|after|before|until) {_YEAR}", _open),
        (
            rf"(?:the )?(?:'?(?P<century>19|20)?(?P<short>\d0)'?s|(?P<name>{'|'.join(_DECADES)}))",
            _decade,
        ),
        (rf"(?P<number>\d\d?|{'|'.join(_NUMBERS)}) years? ago", _ago),
        (r"(?P<which>last|this) (?P<unit>year|month|week)", _relative),
        (rf"(?P<which>last|this) (?P<name>{_NAMES})", _recent),
        (r"yesterday|today", _yesterday),
        (rf"(?:(?:in |from |of |during ){_YEAR}|{_YEAR.replace('year', 'end')}\s*$)", _year),
    )
)
"""Pattern of a period -> function that reads it; the most specific pattern first."""
