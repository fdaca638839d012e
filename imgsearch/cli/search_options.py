"""The options of the commands that find pictures, and the request that they make."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsearch.cli import completion
from imgsearch.cli.terminal import plain
from imgsearch.errors import QueryError
from imgsearch.filters.options import FILTERS, filter_from
from imgsearch.searching.request import (
    MIN_STRENGTH,
    MIN_STRENGTH_OF_ANSWERS,
    MODES,
    SORTS,
    SearchRequest,
    Sort,
    Term,
    read_strength,
)

if TYPE_CHECKING:
    from imgsearch.searching.trace import Trace

    Choice = click.Choice[str]
else:
    Choice = click.Choice  # takes no parameter before click 8.2

ORDERS = [each for each in SORTS if not each.startswith("-")]
F = TypeVar("F", bound=Callable[..., Any])


class OutputFormat(Choice):
    """The formats of the output, with a hint if the value is a format of pictures."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            from imgsearch.filters.fields import FORMATS, OTHER_NAMES

            if str(value).upper() in (*FORMATS, *OTHER_NAMES):
                self.fail(f"this is the format of the output; use --type {value}", param, ctx)
            raise


def _not_nan(ctx: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """A comparison with NaN would neither pass nor fail a hit."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("it must be a number", ctx, option)
    return value


def _strength(ctx: click.Context, option: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else read_strength(value)
    except QueryError as error:
        raise click.BadParameter(f"{error}. {error.hint}", ctx, option) from None


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Values of the options of a command that finds pictures, except the filters."""

    limit: int
    plus: tuple[str, ...]
    minus: tuple[str, ...]
    like: tuple[str, ...]
    allow_url: bool
    instruction: str | None
    more: tuple[str, ...]
    less: tuple[str, ...]
    mode: str
    min_score: float | None
    everything: bool
    min_strength: float | None
    max_false_matches: float | None
    apart: bool
    sort: Sort | None
    federated: bool = False
    no_daemon: bool = False
    form: str = "table"
    explain: bool = False
    refresh: bool | None = None
    exit_code: bool = False

    def request(
        self, terms: Sequence[Term], filters: dict[str, tuple[str, ...]], unique: bool
    ) -> SearchRequest:
        """The request; raises `QueryError` for a filter that makes no sense."""
        good, bad = _ranks("--more", self.more), _ranks("--less", self.less)
        both = sorted(set(good) & set(bad))
        if both:
            raise click.UsageError(f"Result {both[0]} cannot be in both --more and --less.")
        return SearchRequest(
            terms,
            self.limit,
            self.mode,
            filter_from(filters),
            good=[Term(result=rank) for rank in good],
            bad=[Term(result=rank) for rank in bad],
            min_score=self.min_score,
            min_strength=0.0 if self.everything else self.min_strength,
            max_false_matches=self.max_false_matches,
            instruction=self.instruction,
            unique=unique,
            apart=self.apart,
            federated=self.federated,
            sort=self.sort or "",
            remember=True,
        )


format_option = click.option(
    "--format",
    "form",
    type=OutputFormat(["table", "json", "jsonl", "csv", "tsv", "paths", "paths0"]),
    default="table",
    show_default=True,
    help="paths0 ends each path with NUL, for xargs -0.",
)
saved_option = click.option(
    "--saved",
    metavar="NAME",
    shell_complete=completion.saved,
    help="Start from a saved search; further terms and filters narrow it.",
)
unique_option = click.option(
    "--unique", is_flag=True, help="Show near-identical pictures as one, with their number."
)
_TERMS = (
    click.option(
        "-n",
        "--limit",
        type=click.IntRange(min=1),
        default=20,
        show_default=True,
        help="Maximum number of hits.",
    ),
    click.option(
        "--sort",
        type=click.Choice(SORTS),
        metavar="ORDER",
        help=f"Order of all hits above the cut-off: {', '.join(ORDERS)}. With a minus, such as"
        " -date, the newest, last or largest first. Default: the best first, or the newest without"
        " words.",
    ),
    click.option("--and", "plus", multiple=True, metavar="TERM", help="Add a text or picture."),
    click.option(
        "--not", "minus", multiple=True, metavar="TERM", help="Exclude a text or picture."
    ),
    click.option(
        "--like",
        multiple=True,
        metavar="IMAGE",
        shell_complete=completion.files,
        help="Add an example picture.",
    ),
    click.option("--allow-url", is_flag=True, help="Fetch a picture that is an http(s) URL."),
)
_INSTRUCTION = click.option(
    "--instruction",
    metavar="TEXT",
    help="Instruction to the model about the words, if it takes instructions.",
)
_RESULTS = (
    *_TERMS,
    click.option(
        "--exact",
        "index",
        flag_value="exact",
        help="Compare with every picture; the same as --index flat, or exactly on the server that"
        " is configured.",
    ),
    click.option(
        "--no-daemon", is_flag=True, help="Do not use a running daemon; see 'imgsearch daemon'."
    ),
    _INSTRUCTION,
    format_option,
)
_FEEDBACK = (
    click.option(
        "--more",
        multiple=True,
        metavar="N,...",
        help="More like these results of the last search; without terms, refines that search.",
    ),
    click.option(
        "--less",
        multiple=True,
        metavar="N,...",
        help="Less like these results of the last search.",
    ),
)
_CUT_OFF = (
    click.option(
        "-t",
        "--min-strength",
        callback=_strength,
        metavar="MIN",
        help="Leave out weaker hits: 30%, 30 or 0.3. The default is"
        f" {MIN_STRENGTH_OF_ANSWERS:.0%}, after a check whether there is a match at all, and"
        f" {MIN_STRENGTH:.0%} if that check is not made.",
    ),
    click.option(
        "--max-false-matches",
        callback=_strength,
        metavar="RATE",
        help="Answer at most about this share of the queries in words that no picture matches: 10%."
        " The fewer, the more right answers are lost.",
    ),
    click.option("--all", "everything", is_flag=True, help="Also show weak hits; same as -t 0."),
    click.option(
        "--min-score",
        type=float,
        callback=_not_nan,
        metavar="MIN",
        help="Cut off by the raw score instead, a cosine from -1 to 1.",
    ),
    click.option(
        "--federated",
        is_flag=True,
        help="Use every model that the library has vectors of, and fuse their rankings, while"
        " 'imgsearch models switch' is in progress.",
    ),
    click.option(
        "--mode",
        type=click.Choice(MODES),
        default="hybrid",
        show_default=True,
        help="Look for words by meaning (semantic), in names, captions and texts (text), or both.",
    ),
)
_FILTER_OPTIONS = tuple(
    click.option(
        option.flag,
        f"filter_{option.name}",
        multiple=True,
        metavar=option.metavar,
        shell_complete=completion.FILTERS.get(option.name),
        help=option.help,
    )
    for option in FILTERS
)
_APART = click.option(
    "--apart", is_flag=True, help="List the RAW and the JPEG of one shot as two pictures."
)
_FILTERS = (
    *_FILTER_OPTIONS,
    click.option(
        "--refresh/--no-refresh",
        default=None,
        help="Index new and changed pictures first, or do not look for any. Default: count them.",
    ),
    _APART,
    click.option(
        "--exit-code", is_flag=True, help="Exit with 3 if nothing was found, for scripts."
    ),
    click.option(
        "--explain", is_flag=True, help="Report on stderr what was done, and how long it took."
    ),
)


def result_options(function: F) -> F:
    """Options for terms and results; with them `gathered` makes a `SearchOptions`."""
    return _with(_RESULTS + _FEEDBACK, function)


def cut_off_options(function: F) -> F:
    """Options for the ranking, for cut-offs and for filters."""
    return _with(_CUT_OFF + _FILTERS, function)


def request_options(function: F) -> F:
    """All options that become part of a `SearchRequest`, and none for its answer."""
    options = (*_TERMS, _INSTRUCTION, *_FEEDBACK, *_CUT_OFF, *_FILTER_OPTIONS, _APART)
    return _with((*options, unique_option), function)


def gathered(function: F) -> F:
    """The function, called with a `SearchOptions` and the values of the filters by name."""

    @functools.wraps(function)
    def gather(**values: Any) -> Any:
        names = [each.name for each in fields(SearchOptions) if each.name in values]
        options = SearchOptions(**{name: values.pop(name) for name in names})
        return function(options=options, filters=_filters(values), **values)

    return gather  # type: ignore[return-value]


def filter_options(function: F) -> F:
    """The filters as options; the function gets their values by name, as `filters`."""

    @functools.wraps(function)
    def gather(**values: Any) -> Any:
        return function(filters=_filters(values), **values)

    return _with(_FILTER_OPTIONS, gather)  # type: ignore[return-value]


def _filters(values: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The values of the filters by name, taken out of those of all options."""
    return {option.name: values.pop(f"filter_{option.name}") for option in FILTERS}


def _with(options: Sequence[Callable[[F], F]], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def _ranks(option: str, texts: Sequence[str]) -> tuple[int, ...]:
    """Numbers of results, as in "1,4" or "#1 #4", each once."""
    ranks: dict[int, None] = {}
    for text in texts:
        words = text.replace(",", " ").split()
        if not words or not all(re.fullmatch("#?[0-9]{1,9}", word) for word in words):
            raise click.BadParameter(
                f"{text!r} is not a list of results, such as 1,4.", param_hint=f"'{option}'"
            )
        ranks |= dict.fromkeys(int(word.removeprefix("#")) for word in words)
    return tuple(ranks)


def why_no_hits(request: SearchRequest) -> str:
    """A sentence for a search that found nothing though pictures pass its filter."""
    if request.mode == "text":
        return "No name, caption or text has all these words."
    if request.min_score is not None:
        return f"No picture scores {request.min_score:g} or more."
    return "No picture matches well. To see the nearest ones all the same: --all"


def explained(request: SearchRequest, trace: Trace) -> str:
    """A trace in words, one fact per line."""
    of = f"{trace.passed} of {trace.total}" if trace.passed is not None else f"all {trace.total}"
    lines = [
        f"filter  {request.where or 'none'}",
        f"passed  {of} pictures",
        f"method  {trace.method or 'nothing to search'}",
        "time    " + ", ".join(f"{name} {s * 1000:.1f} ms" for name, s in trace.seconds.items()),
    ]
    return "\n".join(map(plain, lines))
