"""Parser of the language of `--where`, an LALR grammar for Lark."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from imgsearch.errors import QueryError
from imgsearch.filters import fields
from imgsearch.filters.tree import Filter, all_of, any_of, bounded, negated, unquoted

MAX_EXPRESSION_CHARACTERS = 10_000
"""Characters in an expression."""

GRAMMAR = r"""
?start: either
?either: both ("or"i both)*
?both: one ("and"i one)*
?one: "not"i one                            -> opposite
    | "(" either ")"
    | WORD OPERATOR value                   -> comparison
    | WORD "in"i "(" value ("," value)* ")" -> member
    | WORD "not"i "in"i "(" value ("," value)* ")" -> no_member
    | "has"i WORD                           -> has
    | "in"i value                           -> below
    | "near"i "(" value ("," value)* ")"    -> near
    | "box"i "(" value ("," value)* ")"     -> box
?value: WORD | QUOTED

OPERATOR: "!=" | "<=" | ">=" | "!~" | "=" | "<" | ">" | "~"
WORD: /[^\s()<>=!~,"']+/
QUOTED: /"(\\.|[^"\\])*"/s | /'(\\.|[^'\\])*'/s

%ignore /\s+/
"""

MAX_EXCERPT_CHARACTERS = 60
"""Characters of the expression that an error shows."""

_TERMINALS = {
    "WORD": "a word",
    "QUOTED": "a text in quotes",
    "OPERATOR": "= != < <= > >= ~ or !~",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": "a comma",
    "$END": "the end",
}


def parse(text: str) -> Filter:
    """Parse an expression of `--where`.

    Parameters
    ----------
    text : str
        An expression, such as ``"taken >= 2023 and has gps"`` (docs/SEARCH.md).

    Returns
    -------
    Filter
        For `SearchRequest.where` and the methods of `Library`.

    Raises
    ------
    QueryError
        The expression is not valid; the message marks the place with a caret.
    """
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        raise QueryError(
            f"the expression has {len(text)} characters; the limit is {MAX_EXPRESSION_CHARACTERS}",
            "Shorten it; several --where are joined by 'and'.",
        )
    return parse_whole(text)


def parse_whole(text: str) -> Filter:
    """Like `parse`, without a limit on the length: parses `str(filter)`."""
    try:
        whole: Filter = _parser().parse(text)  # type: ignore[assignment]
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    except _ValueFault as error:
        raise _error_at(text, error.position, str(error.cause), error.cause.hint) from None
    return bounded(whole)


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", transformer=_Reader())


class _ValueFault(Exception):
    """An invalid word or value in a well-formed expression, with its position."""

    def __init__(self, position: int, cause: QueryError) -> None:
        super().__init__(str(cause))
        self.position = position
        self.cause = cause


@contextmanager
def _locating(token: Token) -> Iterator[None]:
    try:
        yield
    except QueryError as error:
        raise _ValueFault(token.start_pos or 0, error) from None


@v_args(inline=True)
class _Reader(Transformer[Token, Filter]):
    """Builds filters; the parser calls it for each rule, innermost first, without recursion."""

    def either(self, *parts: Filter) -> Filter:
        return any_of(parts)

    def both(self, *parts: Filter) -> Filter:
        whole = all_of(parts)
        assert whole is not None
        return whole

    def opposite(self, part: Filter) -> Filter:
        return negated(part)

    def comparison(self, word: Token, operator: Token, value: Token) -> Filter:
        with _locating(word):
            field = fields.field_named(str(word))
        with _locating(operator):
            fields.require_operator(field, str(operator))
        with _locating(value):
            return fields.comparison(field, str(operator), unquoted(str(value)))

    def member(self, word: Token, *values: Token) -> Filter:
        return any_of([self.comparison(word, Token("OPERATOR", "="), each) for each in values])

    def no_member(self, word: Token, *values: Token) -> Filter:
        return negated(self.member(word, *values))

    def has(self, word: Token) -> Filter:
        with _locating(word):
            return fields.has(str(word))

    def below(self, value: Token) -> Filter:
        with _locating(value):
            return fields.below(unquoted(str(value)))

    def near(self, *values: Token) -> Filter:
        with _locating(values[0]):
            return fields.near([unquoted(str(each)) for each in values])

    def box(self, *values: Token) -> Filter:
        with _locating(values[0]):
            return fields.box([unquoted(str(each)) for each in values])


def _syntax_error(text: str, error: UnexpectedInput) -> QueryError:
    if isinstance(error, UnexpectedToken):
        names, position = error.accepts or error.expected, error.token.start_pos or 0
        if error.token.type == "$END":
            message, position = "the expression ends too early", len(text)
        else:
            message = f"unexpected {error.token.value[:40]!r}"
    else:
        assert isinstance(error, UnexpectedCharacters)
        names, position = error.allowed or set(), error.pos_in_stream or 0
        quote = text[position] in "\"'"
        message = "the quotes are not closed" if quote else "unexpected character"
    expected = ", ".join(sorted(_TERMINALS.get(name, name.lower()) for name in names))
    return _error_at(text, position, message, f"Expected here: {expected}.")


def _error_at(text: str, position: int, message: str, hint: str) -> QueryError:
    """An error with an excerpt of the expression and a caret below it."""
    start = max(0, position - MAX_EXCERPT_CHARACTERS // 2)
    line = "".join(
        c if c.isprintable() else " " for c in text[start : start + MAX_EXCERPT_CHARACTERS]
    )
    caret = " " * sum(_columns(char) for char in line[: position - start]) + "^"
    return QueryError(f"{message} (column {position + 1})\n    {line}\n    {caret}", hint)


def _columns(char: str) -> int:
    """Width of a character in terminal columns."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
