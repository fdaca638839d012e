"""The language of `--where`: a text to a filter, by a grammar (Lark, LALR)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from imgsearch.errors import QueryError
from imgsearch.filters import fields
from imgsearch.filters.tree import Filter, all_of, any_of, bounded, negated

LONGEST = 10_000
"""Characters of an expression."""

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
?value: WORD | QUOTED

OPERATOR: "!=" | "<=" | ">=" | "!~" | "=" | "<" | ">" | "~"
WORD: /[^\s()<>=!~,"']+/
QUOTED: /"(\\.|[^"\\])*"/s | /'(\\.|[^'\\])*'/s

%ignore /\s+/
"""

SHOWN = 60
"""Columns of the expression that an error shows."""

_HERE = {
    "WORD": "a word",
    "QUOTED": "a text in quotes",
    "OPERATOR": "= != < <= > >= ~ or !~",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": "a comma",
    "$END": "the end",
}


def parse(text: str) -> Filter:
    """The filter that an expression stands for.

    Raises
    ------
    QueryError
        The expression cannot be read; the message shows the place with a caret.
    """
    if len(text) > LONGEST:
        raise QueryError(
            f"the expression has {len(text)} characters; the longest allowed is {LONGEST}",
            "Say it in fewer words; several --where are joined by 'and'.",
        )
    return parse_whole(text)


def parse_whole(text: str) -> Filter:
    """As `parse`, however long: the text that `str` makes of a filter."""
    try:
        found: Filter = _parser().parse(text)  # type: ignore[assignment]
    except UnexpectedInput as error:
        raise _misread(text, error) from None
    except _Misfit as error:
        raise _shown(text, error.position, str(error.cause), error.cause.hint) from None
    return bounded(found)


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", transformer=_Reader())


class _Misfit(Exception):
    """What is wrong with a part of an expression that is well formed, and where that begins."""

    def __init__(self, position: int, cause: QueryError) -> None:
        super().__init__(str(cause))
        self.position = position
        self.cause = cause


@contextmanager
def _blaming(token: Token) -> Iterator[None]:
    try:
        yield
    except QueryError as error:
        raise _Misfit(token.start_pos or 0, error) from None


@v_args(inline=True)
class _Reader(Transformer[Token, Filter]):
    """Called by the parser for each rule that it has read, innermost first: no recursion here."""

    def either(self, *parts: Filter) -> Filter:
        return any_of(parts)

    def both(self, *parts: Filter) -> Filter:
        whole = all_of(parts)
        assert whole is not None
        return whole

    def opposite(self, part: Filter) -> Filter:
        return negated(part)

    def comparison(self, word: Token, operator: Token, value: Token) -> Filter:
        with _blaming(word):
            field = fields.field_named(str(word))
        with _blaming(operator):
            fields.require_operator(field, str(operator))
        with _blaming(value):
            return fields.comparison(field, str(operator), _text(value))

    def member(self, word: Token, *values: Token) -> Filter:
        return any_of([self.comparison(word, Token("OPERATOR", "="), each) for each in values])

    def no_member(self, word: Token, *values: Token) -> Filter:
        return negated(self.member(word, *values))

    def has(self, word: Token) -> Filter:
        with _blaming(word):
            return fields.has(str(word))

    def below(self, value: Token) -> Filter:
        with _blaming(value):
            return fields.below(_text(value))

    def near(self, *values: Token) -> Filter:
        with _blaming(values[0]):
            return fields.near([_text(each) for each in values])


def _text(token: Token) -> str:
    if token.type == "QUOTED":
        return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)
    return str(token)


def _misread(text: str, error: UnexpectedInput) -> QueryError:
    if isinstance(error, UnexpectedToken):
        names, position = error.accepts or error.expected, error.token.start_pos or 0
        if error.token.type == "$END":
            message, position = "the expression ends too early", len(text)
        else:
            message = f"{error.token.value[:40]!r} is not expected"
    else:
        assert isinstance(error, UnexpectedCharacters)
        names, position = error.allowed or set(), error.pos_in_stream or 0
        quote = text[position] in "\"'"
        message = "the quotes are not closed" if quote else "this is not expected"
    here = ", ".join(sorted(_HERE.get(name, name.lower()) for name in names))
    return _shown(text, position, message, f"What may stand here: {here}.")


def _shown(text: str, position: int, message: str, hint: str) -> QueryError:
    """The error with the part of the expression that it is about, and a caret below."""
    start = max(0, position - SHOWN // 2)
    line = "".join(c if c.isprintable() else " " for c in text[start : start + SHOWN])
    caret = " " * sum(_columns(char) for char in line[: position - start]) + "^"
    return QueryError(f"{message} (column {position + 1})\n    {line}\n    {caret}", hint)


def _columns(char: str) -> int:
    """How wide a terminal shows a character."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
