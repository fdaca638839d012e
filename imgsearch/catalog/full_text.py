"""Full-text search over names, folders, cameras, captions and OCR texts (SQLite FTS5).

There are two indexes over the same columns: `words` splits text at anything except letters and
digits and stems English (Porter 1980); `letters` indexes every run of three characters, for
scripts written without spaces. Triggers keep both in step with `images` and `texts`. The ranking
is Okapi BM25 (Robertson et al., TREC-3, 1994) with the weights below.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
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
"""Column -> weight in BM25, in the column order of the index."""
NAME_COLUMNS = ("path", "camera_make", "camera_model")
"""Columns that stand for the name of a picture; the others hold texts about it or in it."""

_TOKEN = re.compile(r"\w+")
_SPACELESS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR")
_STOP_WORDS = frozenset(
    """a an and any are as at be by for from had has have his her i in into is it its me my near of
    on or our over some that the their them there these this those to under was we were what where
    which who with you your photo photos picture pictures image images""".split()  # noqa: SIM905
)
_GRAM_CHARACTERS = 3
_MAX_TOKENS = 32
_PAGE_ROWS = 1000


def ranked(
    connection: Connection, query: str, limit: int, allowed: Ids | None = None
) -> list[tuple[int, float]]:
    """Present images that contain all words of the query, best first, with their BM25 scores.

    Stop words ("the", "photo") are ignored unless the query has no others.

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
    spaced, spaceless = tokens(query)
    if not spaced and not spaceless:
        return
    # Both indexes cover the same rows, so an image must match in each index that is queried.
    parts = []
    values: dict[str, object] = {}
    if spaced:
        values["words"] = " ".join(f'"{token}"' for token in spaced)
        parts.append(_match("words", "words"))
    long = [token for token in spaceless if len(token) >= _GRAM_CHARACTERS]
    if long:
        values["letters"] = " AND ".join(f"({_forms(token)})" for token in long)
        parts.append(_match("letters", "letters"))
    for number, token in enumerate(each for each in spaceless if len(each) < _GRAM_CHARACTERS):
        values[f"like{number}"] = f"%{token}%"
        values[f"decomposed{number}"] = f"%{unicodedata.normalize('NFD', token)}%"
        likes = " OR ".join(
            f"{column} LIKE :like{number} OR {column} LIKE :decomposed{number}"
            for column in WEIGHTS
        )
        parts.append(f"SELECT id, 0.0 AS score FROM searchable WHERE {likes}")
    # Materialised, because bm25() works only in the query that reads its index.
    tables = ", ".join(f"part{n} AS MATERIALIZED ({part})" for n, part in enumerate(parts))
    every = " UNION ALL ".join(f"SELECT id, score FROM part{n}" for n in range(len(parts)))
    matches = connection.execute(
        text(
            f"WITH {tables} SELECT id, sum(score) AS total FROM ({every}) JOIN images USING (id)"
            " WHERE status = 'present' GROUP BY id"
            f" HAVING count(*) = {len(parts)} ORDER BY total, id"
        ),
        values,
    )
    for rows in matches.partitions(_PAGE_ROWS):
        places = _allowed_places(np.array([row.id for row in rows], np.int64), allowed)
        yield from ((rows[i].id, -rows[i].total) for i in places)


def _allowed_places(ids: Ids, allowed: Ids | None) -> Iterator[int]:
    """The positions of the ids that are allowed."""
    if allowed is None:
        return iter(range(len(ids)))
    if not len(allowed):
        return iter(())
    places = np.minimum(np.searchsorted(allowed, ids), len(allowed) - 1)
    return iter(np.flatnonzero(allowed[places] == ids).tolist())


def places(connection: Connection, query: str, ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Where images have words of the query: "name", "text" (captions, text in the image), or both.

    Parameters
    ----------
    ids : sequence of int
        Images that `ranked` returned for the same query.
    """
    spaced, spaceless = tokens(query)
    texts = tuple(each for each in WEIGHTS if each not in NAME_COLUMNS)
    columns = {"name": NAME_COLUMNS, "text": texts}
    found: dict[int, tuple[str, ...]] = {}
    for place, names in columns.items():
        for image_id in _having(connection, names, spaced, spaceless, ids):
            found[image_id] = (*found.get(image_id, ()), place)
    return found


def _having(
    connection: Connection,
    columns: Sequence[str],
    spaced: Sequence[str],
    spaceless: Sequence[str],
    ids: Sequence[int],
) -> set[int]:
    """The images that have any of the tokens in one of these columns."""
    among = f"IN ({', '.join(str(int(each)) for each in ids)})"
    long = [_forms(token) for token in spaceless if len(token) >= _GRAM_CHARACTERS]
    found: set[int] = set()
    for table, parts in (("words", [f'"{token}"' for token in spaced]), ("letters", long)):
        if parts:
            query = f"SELECT rowid FROM {table} WHERE {table} MATCH :match AND rowid {among}"
            match = f"{{{' '.join(columns)}}} : ({' OR '.join(parts)})"
            found |= set(connection.execute(text(query), {"match": match}).scalars())
    for token in (each for each in spaceless if len(each) < _GRAM_CHARACTERS):
        forms = {"plain": f"%{token}%", "decomposed": f"%{unicodedata.normalize('NFD', token)}%"}
        likes = " OR ".join(f"{column} LIKE :{form}" for column in columns for form in forms)
        query = f"SELECT id FROM searchable WHERE id {among} AND ({likes})"
        found |= set(connection.execute(text(query), forms).scalars())
    return found


def _forms(token: str) -> str:
    """The token in NFC or in NFD, in which macOS writes file names."""
    forms = dict.fromkeys((token, unicodedata.normalize("NFD", token)))
    return " OR ".join(f'"{form}"' for form in forms)


def _match(table: str, name: str) -> str:
    weights = ", ".join(str(weight) for weight in WEIGHTS.values())
    return (
        f"SELECT rowid AS id, bm25({table}, {weights}) AS score"
        f" FROM {table} WHERE {table} MATCH :{name}"
    )


def tokens(query: str) -> tuple[list[str], list[str]]:
    """The words of a query: those of scripts with spaces, and those of scripts without.

    Each occurs once; there are at most `_MAX_TOKENS` of each kind.
    """
    plain = unicodedata.normalize("NFC", query).replace("_", " ")
    words = list(dict.fromkeys(_TOKEN.findall(plain)))
    spaceless = [word for word in words if any(map(_is_spaceless, word))][:_MAX_TOKENS]
    spaced = [word for word in words if not any(map(_is_spaceless, word))]
    content_words = [word for word in spaced if word.lower() not in _STOP_WORDS]
    return (content_words if content_words or spaceless else spaced)[:_MAX_TOKENS], spaceless


def _is_spaceless(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(_SPACELESS)
