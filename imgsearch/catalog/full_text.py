"""Full-text search over names, folders, captions, labels and OCR texts.

Texts are folded and cut into words by `word_forms` before they are indexed, and queries in the same
way, because SQLite's tokenizers neither fold by Unicode's rules nor know scripts without spaces.
In a file the index is FTS5, and triggers keep it in step with `images` and `texts`; `server_words`
has the one on PostgreSQL. The column `forms` has other forms of their words; pictures that have the
words of a query as written come first. The ranking is Okapi BM25 (Robertson et al., TREC-3, 1994)
with the weights below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
from sqlalchemy import Connection, Result, text

from imgsearch.catalog import server_words, word_forms
from imgsearch.catalog.dialects import on_server
from imgsearch.catalog.sqlite_file import from_stored
from imgsearch.vectors import Ids

WEIGHTS = {
    "path": 2.0,
    "camera_make": 1.0,
    "camera_model": 1.0,
    "title": 3.0,
    "description": 2.0,
    "keywords": 3.0,
    "people": 3.0,
    "city": 2.0,
    "state": 2.0,
    "country": 2.0,
    "text": 1.0,
    "forms": 1.0,
}
"""Column -> weight in BM25, in the column order of the index."""
NAME_COLUMNS = ("path", "camera_make", "camera_model")
"""Columns that stand for the name of a picture; the others hold texts about it or in it."""

_STOP_WORDS = frozenset(
    """a an and any are as at be by for from had has have his her i in into is it its me my near of
    on or our over some that the their them there these this those to under was we were what where
    which who with you your photo photos picture pictures image images""".split()  # noqa: SIM905
)
_EXACT_BONUS = 1e6
"""Added to the score of pictures that have all words as written: more than any BM25."""

_MAX_WORDS = 32
_PAGE_ROWS = 1000


def ranked(
    connection: Connection, query: str, limit: int, allowed: Ids | None = None
) -> list[tuple[int, float]]:
    """Present images that contain all words of the query, best first, with their scores.

    Stop words ("the", "photo") are ignored unless the query has no others. A score is BM25, plus a
    constant if all words occur as written and not only in another form.

    Parameters
    ----------
    limit : int
        Maximum number of images.
    allowed : ndarray of shape (n,), int64, sorted, or None
        Ids to search among; None for all.
    """
    return list(islice(_matching(connection, query, allowed), limit))


def _matching(
    connection: Connection, query: str, allowed: Ids | None
) -> Iterator[tuple[int, float]]:
    words = content_words(query)
    if not words:
        return
    matches = (_on_server if on_server(connection) else _in_file)(connection, words)
    for rows in matches.partitions(_PAGE_ROWS):
        places = _allowed_places(np.array([row.id for row in rows], np.int64), allowed)
        yield from ((rows[i].id, -rows[i].total) for i in places)


def _in_file(connection: Connection, words: Sequence[str]) -> Result[Any]:
    """Ids and totals of present images with all words, the lowest total first."""
    weights = ", ".join(map(str, WEIGHTS.values()))
    # Materialised, because bm25() works only in the query that reads its index.
    return connection.execute(
        text(
            f"WITH found AS MATERIALIZED (SELECT rowid AS id, bm25(words, {weights}) AS score"
            " FROM words WHERE words MATCH :every),"
            " exact AS MATERIALIZED (SELECT rowid FROM words WHERE words MATCH :exact)"
            " SELECT id, score - :bonus * (id IN exact) AS total FROM found JOIN images USING (id)"
            " WHERE status = 'present' ORDER BY total, id"
        ),
        {"every": in_any_form(words), "exact": as_written(words), "bonus": _EXACT_BONUS},
    )


def _on_server(connection: Connection, words: Sequence[str]) -> Result[Any]:
    """The same from PostgreSQL, by its own rank: it has no BM25."""
    every = in_any_form(words)
    return connection.execute(
        text(
            "SELECT id, -ts_rank(CAST(:weights AS float4[]), doc, CAST(:any AS tsquery), 1)"
            " - CASE WHEN doc @@ CAST(:exact AS tsquery) THEN :bonus ELSE 0 END AS total"
            " FROM words JOIN images USING (id)"
            " WHERE doc @@ CAST(:every AS tsquery) AND status = 'present' ORDER BY total, id"
        ),
        {
            "every": server_words.tsquery(every),
            "exact": server_words.tsquery(_all_words(words), server_words.AS_WRITTEN),
            "any": server_words.any_word(every),
            "weights": list(server_words.WEIGHT_VALUES),
            "bonus": _EXACT_BONUS,
        },
    )


def _allowed_places(ids: Ids, allowed: Ids | None) -> Iterator[int]:
    """The positions of the ids that are allowed."""
    if allowed is None:
        return iter(range(len(ids)))
    if not len(allowed):
        return iter(())
    places = np.minimum(np.searchsorted(allowed, ids), len(allowed) - 1)
    return iter(np.flatnonzero(allowed[places] == ids).tolist())


def places(connection: Connection, query: str, ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Places of the query's words in images: "name", "text" (captions, text in the image) or both.

    Parameters
    ----------
    ids : sequence of int
        Images that `ranked` returned for the same query.
    """
    ways = [way for word in content_words(query) for way in _ways(word)]
    among = ", ".join(str(int(each)) for each in ids)
    rows = connection.execute(text(f"SELECT * FROM searchable WHERE id IN ({among})"))
    texts = [each for each in WEIGHTS if each not in (*NAME_COLUMNS, "forms")]
    columns = {"name": NAME_COLUMNS, "text": texts}
    return {
        row.id: tuple(
            place
            for place, names in columns.items()
            if _has_any(ways, [from_stored(getattr(row, name) or "") for name in names])
        )
        for row in rows
    }


def _has_any(ways: Sequence[Sequence[str]], texts: Sequence[str]) -> bool:
    """True if the texts have all words of one of the ways, in any form."""
    known = [each for each in texts if each]
    content = " ".join(map(word_forms.words, known))
    return _has(ways, content) or _has(ways, f"{content} {word_forms.forms(tuple(known))}")


def _has(ways: Sequence[Sequence[str]], content: str) -> bool:
    spaced = f" {content} "
    return any(all(f" {part} " in spaced for part in way) for way in ways)


def _ways(word: str) -> list[list[str]]:
    """The words that a text may have for a word of a query."""
    plain = word_forms.words(word)
    return [[plain], [word_forms.stem(plain)], *word_forms.splits(word)]


def content_words(query: str) -> list[str]:
    """The distinct words of a query as written, without stop words, at most `_MAX_WORDS`.

    If the query has nothing but stop words, these are kept.
    """
    distinct = {word_forms.words(word): word for word in reversed(word_forms.raw_words(query))}
    distinct.pop("", None)
    words = list(reversed(distinct.items()))
    content = [word for plain, word in words if plain not in _STOP_WORDS]
    return (content or [word for _, word in words])[:_MAX_WORDS]


def as_written(words: Sequence[str]) -> str:
    """An FTS5 expression for all words, outside the column of other forms."""
    return f"- forms : {_all_words(words)}"


def _all_words(words: Iterable[str]) -> str:
    return _all(_phrase(word_forms.words(word)) for word in words)


def in_any_form(words: Sequence[str]) -> str:
    """An FTS5 expression for all words, each of them in any form."""
    plain = [word_forms.words(word) for word in words]
    # "birthday party" also finds "birthdayparty".
    joints = ["", *(f"{a}{b}" if " " not in a + b else "" for a, b in pairwise(plain)), ""]
    return " AND ".join(
        _any([*_forms(word), *map(_phrase, filter(None, joined))])
        for word, joined in zip(words, pairwise(joints), strict=True)
    )


def _forms(word: str) -> Iterator[str]:
    """FTS5 expressions for the ways to match a word of a query."""
    plain = word_forms.words(word)
    yield from _stems(plain)
    for parts in word_forms.splits(word):
        if all(len(part) > 1 or part.isdigit() for part in parts):
            yield _all(_any(_stems(part)) for part in parts)
    for year, month, day in word_forms.dates(word):
        yield _all(_phrase(part) for part in (year, f"{month:02}", day) if part)


def _stems(plain: str) -> list[str]:
    forms = (plain, word_forms.stem(plain), word_forms.SHORT_MONTHS.get(plain, plain))
    return list(map(_phrase, forms))


def _all(expressions: Iterable[str]) -> str:
    return f"({' AND '.join(expressions)})"


def _any(expressions: Iterable[str]) -> str:
    return f"({' OR '.join(dict.fromkeys(expressions))})"


def _phrase(words: str) -> str:
    return f'"{words}"'
