"""What a resident library answers to a question that came over a socket; values for JSON.

The names of questions and their values are those that `client.RemoteFinder` sends.
"""

from __future__ import annotations

import logging
from base64 import b64decode
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import contextmanager
from typing import Any

from imgsearch.daemon import wire
from imgsearch.finding import LocalFinder
from imgsearch.library import Library
from imgsearch.records import Term
from imgsearch.searching.searcher import encode_term
from imgsearch.searching.trace import Explanation

Answer = dict[str, Any]
Work = Callable[[Library, Any, MutableSequence[str]], Answer]


def work_for(what: str) -> Work:
    """What answers a question of that name, given the library, the question, and the list that the
    library's notes are put in; `KeyError` if there is no such question."""
    answer = _ANSWERS[what]

    def work(library: Library, asked: Any, notes: MutableSequence[str]) -> Answer:
        notes.clear()
        with _overheard(bool(asked.get("verbose"))) as logged:
            found = answer(LocalFinder(library), asked)
        return {**found, "notes": list(notes), "logged": logged}

    return work


@contextmanager
def _overheard(wanted: bool) -> Iterator[list[tuple[str, str]]]:
    """What imgsearch logs meanwhile, by logger: the one who asks has said -v, and not this process.

    Only the thread that owns the library gets here, so no two of them are at it at once.
    """
    heard: list[tuple[str, str]] = []
    if not wanted:
        yield heard
        return
    logger, handler = logging.getLogger("imgsearch"), logging.Handler()
    handler.emit = lambda record: heard.append((record.name, record.getMessage()))  # type: ignore[method-assign]
    level, logger.propagate = logger.level, logger.isEnabledFor(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield heard
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = True


def _picture(finder: LocalFinder, asked: Any) -> Answer:
    return _as_vector(finder, finder.picture(str(asked["path"]), float(asked["weight"])))


def _given(finder: LocalFinder, asked: Any) -> Answer:
    data = b64decode(asked["data"], validate=True)
    return _as_vector(finder, finder.given(data, str(asked["name"]), float(asked["weight"])))


def _as_vector(finder: LocalFinder, term: Term) -> Answer:
    """The term with a vector in place of its pixels, which stay here."""
    if term.image is not None:
        vector = encode_term(finder.library.searcher.encoder(), term)
        term = Term(vector=vector, weight=term.weight)
    return {"term": wire.term_to_plain(term)}


def _last_result(finder: LocalFinder, asked: Any) -> Answer:
    return {"term": wire.term_to_plain(finder.result(int(asked["rank"]), float(asked["weight"])))}


def _last_terms(finder: LocalFinder, asked: Any) -> Answer:
    return {"terms": [wire.term_to_plain(term) for term in finder.last_terms()]}


def _find(finder: LocalFinder, asked: Any) -> Answer:
    told = Explanation()
    query = wire.query_from_plain(asked["query"])
    hits, lost = finder.find(query, bool(asked["unique"]), told)
    explained = {"passed": told.passed, "total": told.total, "method": told.method}
    return {
        "hits": [wire.hit_to_plain(hit) for hit in hits],
        "lost": lost,
        "told": {**explained, "seconds": told.seconds},
    }


def _passing(finder: LocalFinder, asked: Any) -> Answer:
    where = wire.filter_from_plain(asked["where"])
    assert where is not None
    return {"count": finder.passing(where)}


def _card(finder: LocalFinder, asked: Any) -> Answer:
    return {"card": wire.card_to_plain(finder.card())}


_ANSWERS: dict[str, Callable[[LocalFinder, Any], Answer]] = {
    "picture": _picture,
    "given": _given,
    "result": _last_result,
    "last_terms": _last_terms,
    "find": _find,
    "passing": _passing,
    "card": _card,
}
