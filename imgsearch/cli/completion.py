"""Values that a shell completes with the tab key.

Each function takes what click gives a `shell_complete`: the context of the command, the parameter
and the word so far. Values that cannot be looked up, such as folders of a missing library, are left
out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from imgsearch.errors import ImgSearchError

if TYPE_CHECKING:
    from imgsearch.catalog.overview import Overview

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

DEVICES = ("auto", "cpu", "cuda", "mps")
WORDS_OF_WHERE = ("and", "box", "has", "in", "near", "not", "or")
_LAST_WORD = re.compile(r"(?P<head>(?:.*[\s(])?)(?P<word>\w*)", re.S)


def values(*known: str) -> Complete:
    """A function that completes one of the given values."""
    return lambda ctx, parameter, word: _beginning(known, word)


def files(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Files, by the shell."""
    return [CompletionItem(word, type="file")]


def folders(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Folders, by the shell."""
    return [CompletionItem(word, type="dir")]


def models(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of models, or folders for a word that is a path."""
    from imgsearch.plugins import ENCODERS, GENERIC, names

    if "/" in word:
        return folders(ctx, parameter, word)
    return _beginning([name for name in names(ENCODERS) if name != GENERIC], word)


def indexes(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Kinds of index."""
    from imgsearch.plugins import INDEXES, names

    return _beginning(names(INDEXES), word)


def roots(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Folders of the library, but for those that need quotes, which each shell writes in its own
    way."""
    return _beginning([path for path in _roots(ctx) if shlex.quote(path) == path], word)


def saved(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of saved searches, but for those that need quotes."""
    names = _in_library(ctx, lambda overview: [each.name for each in overview.saved_searches()])
    return _beginning([name for name in names if shlex.quote(name) == name], word)


def places(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Folders of the library and, where no more of them begin like the word, files and folders."""
    return roots(ctx, parameter, word) or files(ctx, parameter, word)


def expression(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The last word of a filter: a field or a word of the language."""
    from imgsearch.filters.fields import FIELDS

    parts = _LAST_WORD.fullmatch(word)
    assert parts is not None  # the pattern fits every text
    known = [parts["head"] + each for each in (*FIELDS, *WORDS_OF_WHERE)]
    return _beginning(known, word)


def formats(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Formats of pictures."""
    from imgsearch.filters.fields import FORMATS, OTHER_NAMES

    return _beginning(sorted(name.lower() for name in (*FORMATS, *OTHER_NAMES)), word)


def orientations(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Shapes of pictures."""
    from imgsearch.filters.fields import ORIENTATIONS

    return _beginning(ORIENTATIONS, word)


def kinds(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Kinds of picture: a photo, a screenshot, a document."""
    from imgsearch.filters.fields import KINDS

    return _beginning(KINDS, word)


def properties(ctx: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """Properties of a picture: a date, a position, a camera."""
    from imgsearch.filters.fields import HAS_NAMES

    return _beginning(HAS_NAMES, word)


FILTERS: dict[str, Complete] = {
    "in": places,
    "type": formats,
    "orientation": orientations,
    "has": properties,
    "kind": kinds,
    "where": expression,
}
"""Filter with an option of its own -> its values. Others take dates, numbers and any text."""


def _beginning(known: Iterable[str], word: str) -> list[CompletionItem]:
    """Those that begin with a word; in lower case where the word is in upper case."""
    begin = word.casefold()
    return [CompletionItem(each) for each in known if each.casefold().startswith(begin)]


def _roots(ctx: click.Context) -> list[str]:
    return _in_library(ctx, lambda overview: [root.path for root in overview.roots()])


def _in_library(ctx: click.Context, read: Callable[[Overview], list[str]]) -> list[str]:
    """Values from the library of the command; none if there is no library."""
    from imgsearch.catalog.overview import Overview
    from imgsearch.settings import load_settings

    library = ctx.params.get("library") or ctx.find_root().params.get("library")
    try:
        settings = load_settings({"library": library})
        with closing(Overview(settings.library, settings.catalog)) as overview:
            return read(overview) if overview.ready else []
    except ImgSearchError:
        return []
