"""Full-text search over names, folders, cameras, captions and texts in pictures (SQLite FTS5).

Two indexes over the same columns: `words` splits text at anything that is no letter or digit and
stems English (Porter 1980); `letters` holds every run of three characters, for scripts that write
without spaces. Triggers keep both in step with `images` and `texts`. Ranking is Okapi BM25
(Robertson et al., TREC-3, 1994) with the weights below.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice

import numpy as np
from sqlalchemy import Connection, text

from imgsearch.vectors import Ids

WEIGHTS = {
    "path": 2.0,
    "camera_make": 1.0,
    "camera_model": 1.0,
    "title": 3.0,
    "description": 2.0,
    "keywords": 3.0,
    "text": 1.0,
}
"""Column to its weight in BM25, in the order of the columns of the index."""

_TOKEN = re.compile(r"\w+")
_SPACELESS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR")
_STOP = frozenset(
    """a an and any are as at be by for from had has have his her i in into is it its me my near of
    on or our over some that the their them there these this those to under was we were what where
    which who with you your photo photos picture pictures image images""".split()  # noqa: SIM905
)
_LETTERS = 3
_MOST = 32
_PAGE = 1000


def ranked(
    connection: Connection, query: str, limit: int, allowed: Ids | None = None
) -> list[tuple[int, float]]:
    """Present pictures that have all words of the query, best first, with their BM25.

    Words that say nothing ("the", "photo") are not asked for unless there are no others.

    Parameters
    ----------
    allowed : ndarray of shape (n,), int64, sorted, or None
        Which pictures count; None for all. At most `limit` of them come back.
    """
    return list(islice(_matching(connection, query, allowed), limit))


def _matching(
    connection: Connection, query: str, allowed: Ids | None
) -> Iterator[tuple[int, float]]:
    spaced, spaceless = tokens(query)
    if not spaced and not spaceless:
        return
    # Both indexes have the same rows, so a picture has to be found in each that is asked.
    parts = []
    values: dict[str, object] = {}
    if spaced:
        values["words"] = " ".join(f'"{token}"' for token in spaced)
        parts.append(_match("words", "words"))
    long = [token for token in spaceless if len(token) >= _LETTERS]
    if long:
        values["letters"] = " AND ".join(f"({_forms(token)})" for token in long)
        parts.append(_match("letters", "letters"))
    for number, token in enumerate(each for each in spaceless if len(each) < _LETTERS):
        values[f"like{number}"] = f"%{token}%"
        values[f"apart{number}"] = f"%{unicodedata.normalize('NFD', token)}%"
        likes = " OR ".join(
            f"{column} LIKE :like{number} OR {column} LIKE :apart{number}" for column in WEIGHTS
        )
        parts.append(f"SELECT id, 0.0 AS score FROM searchable WHERE {likes}")
    # Materialised, because bm25() only works where its index is read.
    asked = ", ".join(f"part{n} AS MATERIALIZED ({part})" for n, part in enumerate(parts))
    every = " UNION ALL ".join(f"SELECT id, score FROM part{n}" for n in range(len(parts)))
    found = connection.execute(
        text(
            f"WITH {asked} SELECT id, sum(score) AS total FROM ({every}) JOIN images USING (id)"
            " WHERE status = 'present' GROUP BY id"
            f" HAVING count(*) = {len(parts)} ORDER BY total, id"
        ),
        values,
    )
    for rows in found.partitions(_PAGE):
        passing = _among(np.array([row.id for row in rows], np.int64), allowed)
        yield from ((rows[i].id, -rows[i].total) for i in passing)


def _among(ids: Ids, allowed: Ids | None) -> Iterator[int]:
    """Places of the ids that are allowed."""
    if allowed is None:
        return iter(range(len(ids)))
    if not len(allowed):
        return iter(())
    places = np.minimum(np.searchsorted(allowed, ids), len(allowed) - 1)
    return iter(np.flatnonzero(allowed[places] == ids).tolist())


def _forms(token: str) -> str:
    """The token as Unicode composes it, or taken apart, as macOS writes names of files."""
    forms = dict.fromkeys((token, unicodedata.normalize("NFD", token)))
    return " OR ".join(f'"{form}"' for form in forms)


def _match(table: str, name: str) -> str:
    weights = ", ".join(str(weight) for weight in WEIGHTS.values())
    return (
        f"SELECT rowid AS id, bm25({table}, {weights}) AS score"
        f" FROM {table} WHERE {table} MATCH :{name}"
    )


def tokens(query: str) -> tuple[list[str], list[str]]:
    """The words of a query in scripts with spaces, and those with letters of the other scripts.

    Each once, and of each kind no more than a name could have.
    """
    plain = unicodedata.normalize("NFC", query).replace("_", " ")
    words = list(dict.fromkeys(_TOKEN.findall(plain)))
    spaceless = [word for word in words if any(map(_is_spaceless, word))][:_MOST]
    spaced = [word for word in words if not any(map(_is_spaceless, word))]
    meant = [word for word in spaced if word.lower() not in _STOP]
    return (meant if meant or spaceless else spaced)[:_MOST], spaceless


def _is_spaceless(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(_SPACELESS)
