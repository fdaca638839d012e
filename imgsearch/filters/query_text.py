"""Parser of what is typed into a search box: words, exclusions and filters.

    a dog -people camera:canon rating>=4 in:2019/rome "quoted: text"

`NAME:VALUE` is the filter option of that name, or a field that contains or equals the value. `FIELD
OPERATOR VALUE` is a comparison of the language of `--where`. A minus in front negates a filter, or
excludes a word or a phrase. Everything else are words, and what is quoted always is. Fields,
operators and values are read by `filters.fields`, as those of `--where` and of options are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from imgsearch.errors import QueryError
from imgsearch.filters import fields
from imgsearch.filters.options import FILTERS, MAX_VALUES, FilterOption
from imgsearch.filters.tree import Filter, any_of, negated, unquoted

Folders = Callable[[str], Sequence[str]]
"""Finds the folders that a part of a path names: absolute paths."""

OPTIONS = {option.name: option for option in FILTERS}
_VALUE = r'(?P<value>"(?:\\.|[^"\\])*"|[^\s"]+)(?!\S)'
_FILTER = re.compile(
    rf"(?P<minus>-?)(?P<name>[A-Za-z][A-Za-z_-]*)"
    rf"(?::|(?P<before>\s*)(?P<op>!=|<=|>=|!~|=|<|>|~)(?P<after>\s*)){_VALUE}"
)
_EXCLUDED = re.compile(r'-(?:"(?P<phrase>[^"]+)"|(?P<word>[^\s"-][^\s"]*))(?!\S)')
_LITERAL = re.compile(r'"[^"]*"|\S+')
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Fault:
    """A filter that makes no sense: its text, why, and how to fix it."""

    text: str
    error: str
    hint: str


@dataclass(frozen=True, slots=True)
class QueryText:
    """What a text asks for.

    Attributes
    ----------
    words : str
        To search for; quoted texts keep their quotes, so that they stay words.
    excluded : tuple of str
        Words and phrases to exclude.
    filters : tuple of (str, str)
        Name and value of filter options; `where` has what other options cannot express.
    faults : tuple of Fault
    """

    words: str = ""
    excluded: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    faults: tuple[Fault, ...] = ()


def read_query_text(text: str, folders: Folders) -> QueryText:
    """What a text asks for; it never fails, a filter that makes no sense is a fault.

    Parameters
    ----------
    folders : callable
        Finds the folders of the library that the value of `in:` names.
    """
    words: list[str] = []
    excluded: list[str] = []
    filters: list[tuple[str, str]] = []
    faults: list[Fault] = []
    for token in _tokens(text):
        if (match := _FILTER.fullmatch(token)) and _is_filter(match):
            try:
                filters += _options(match, folders)
            except QueryError as error:
                faults.append(Fault(token, str(error), error.hint))
        elif match := _EXCLUDED.fullmatch(token):
            excluded.append((match["phrase"] or match["word"]).strip())
        else:
            words.append(token)
    return QueryText(
        " ".join(words),
        tuple(dict.fromkeys(filter(None, excluded))),
        tuple(dict.fromkeys(filters)),
        tuple(faults),
    )


def _tokens(text: str) -> Iterator[str]:
    place = _end_of_space(text, 0)
    while place < len(text):
        match = _FILTER.match(text, place)
        if match is None or not _is_filter(match):
            match = _EXCLUDED.match(text, place) or _LITERAL.match(text, place)
        assert match is not None
        yield match[0]
        place = _end_of_space(text, match.end())


def _end_of_space(text: str, place: int) -> int:
    space = _SPACE.match(text, place)
    assert space is not None
    return space.end()


def _is_filter(match: re.Match[str]) -> bool:
    """True for a known name; with spaces around its operator ("size > the others") only if the
    value makes sense, too, because both may be words."""
    if match["op"] is None:
        return _option(match["name"]) is not None or _is_field(match["name"])
    if not _is_field(match["name"]):
        return False
    if not match["before"] and not match["after"]:
        return True
    try:
        _comparison(match)
    except QueryError:
        return False
    return True


def _option(name: str) -> FilterOption | None:
    return OPTIONS.get(name.lower().replace("-", "_"))


def _is_field(name: str) -> bool:
    return name.lower() in fields.FIELDS or name.lower() in fields.ALIASES


def _options(match: re.Match[str], folders: Folders) -> list[tuple[str, str]]:
    """The filter options that a filter stands for; raises `QueryError` for one without sense."""
    option = _option(match["name"]) if match["op"] is None else None
    values = [unquoted(match["value"])]
    if option is not None and option.name == "in":
        values = _found(values[0], folders)
    if option is None:
        whole = _comparison(match)
    else:
        whole = any_of([option.read(value) for value in values])
        if not match["minus"]:
            return [(option.name, value) for value in values]
    return [("where", str(negated(whole) if match["minus"] else whole))]


def _comparison(match: re.Match[str]) -> Filter:
    field = fields.field_named(match["name"])
    allowed = fields.OPERATORS[fields.FIELDS[field]]
    contains = "~" if "~" in allowed else "="
    return fields.comparison(field, match["op"] or contains, unquoted(match["value"]))


def _found(path: str, folders: Folders) -> list[str]:
    found = list(folders(path))
    if not found:
        raise QueryError(
            f"the library has no folder {path[:60]!r}",
            "Write its name, the end of its path such as 2019/rome, or its whole path.",
        )
    if len(found) > MAX_VALUES:
        raise QueryError(
            f"{len(found)} folders of the library are called {path[:60]!r}",
            "Write more of the path.",
        )
    return found
