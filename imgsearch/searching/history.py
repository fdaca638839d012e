"""The last search and its results, kept in the library folder for the next one to refer to.

One small JSON file, replaced as a whole: of two searches at the same time the later one stays.
Keeping it is a convenience: without write access to the library, or with a damaged file, the last
search is not known.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from imgsearch.errors import QueryError, SpaceMismatch
from imgsearch.records import ImageRecord
from imgsearch.searching.hits import Hit
from imgsearch.searching.request import Term
from imgsearch.vectors import Embeddings, EmbeddingSpace, normalize
from imgsearch.writing import replace_file

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog

FILE = "last-search.json"
FORMAT = 1
MAX_RESULTS = 10_000
"""Results that are kept."""
MAX_FILE_BYTES = 64 << 20
"""imgsearch writes no larger file."""
AGAIN = "Search again, and choose among the new results."


@dataclass(frozen=True, slots=True)
class Result:
    """A result, as the search returned it."""

    image_id: int
    content_hash: str
    path: str


@dataclass(frozen=True, slots=True)
class LastSearch:
    """The parts of a search that the next one can refer to.

    Attributes
    ----------
    library : str
        The uuid of the catalog.
    space, model : str
        The key of the space that the vectors of `terms` live in, and its model; "" where no term
        has a vector.
    terms : sequence of Term
        None of them has pixels.
    results : sequence of Result
        By rank, the first one has rank 1.
    """

    library: str
    space: str
    model: str
    terms: Sequence[Term]
    results: Sequence[Result]

    def result(self, rank: int) -> Result:
        """The result of that rank; `QueryError` if there was none."""
        count = len(self.results)
        if 1 <= rank <= count:
            return self.results[rank - 1]
        if not count:
            raise QueryError(f"the last search found nothing, so there is no #{rank}", AGAIN)
        raise QueryError(
            f"the last search gave {count} {'pictures' if count > 1 else 'picture'}, and there is"
            f" no #{rank}",
            f"Choose a number from 1 to {count}." if count > 1 else "Choose #1.",
        )

    def image(self, rank: int, catalog: Catalog) -> ImageRecord:
        """The picture of a result, as the library has it now.

        Raises
        ------
        QueryError
            No such result, or a picture that is gone or has changed since.
        """
        result = self.result(rank)
        record = catalog.get([result.image_id]).get(result.image_id)
        if record is None:
            raise QueryError(f"result #{rank}, {result.path}, is no longer in the library", AGAIN)
        if record.content_hash != result.content_hash:
            raise QueryError(
                f"result #{rank}, {result.path}, has changed since it was found", AGAIN
            )
        return record

    def terms_for(self, space: EmbeddingSpace) -> list[Term]:
        """The terms for a search in `space`; words are encoded again if it is another one.

        Raises
        ------
        SpaceMismatch
            A term is a picture, of which only the vector was kept, and `space` is another one.
        """
        if self.space in ("", space.key):
            vectors = (term.vector for term in self.terms)
            if any(each is not None and len(each) != space.dimension for each in vectors):
                raise no_last_search("its query")  # the file was edited
            return list(self.terms)
        if any(term.text is None or term.fused for term in self.terms):
            raise SpaceMismatch(
                f"the last search was made with {self.model}, and its pictures mean nothing to "
                f"{space.model}",
                f"Go on with --model {self.model}, or say again what to search for.",
            )
        return [replace(term, vector=None) for term in self.terms]


def from_search(
    library: str,
    space: EmbeddingSpace | None,
    terms: Sequence[Term],
    vectors: Sequence[Embeddings],
    hits: Sequence[Hit],
) -> LastSearch:
    """The record of a search.

    Parameters
    ----------
    space : EmbeddingSpace or None
        The space of the search; None if it used no index.
    vectors : sequence of ndarray of shape (dimension,), float32, unit norm
        Vectors of the terms, in their order; empty if the search used no vectors.
    """
    known: list[Embeddings | None] = list(vectors) or [term.vector for term in terms]
    kept = [
        replace(term, image=None, vector=vector)
        for term, vector in zip(terms, known, strict=True)
        if term.text is not None or vector is not None
    ]
    spaced = space if any(term.vector is not None for term in kept) else None
    return LastSearch(
        library,
        spaced.key if spaced else "",
        spaced.model if spaced else "",
        kept,
        [
            Result(hit.image.id, hit.image.content_hash, hit.image.file.absolute)
            for hit in hits[:MAX_RESULTS]
        ],
    )


def no_last_search(part: str) -> QueryError:
    """The error for a request that refers to a last search that does not exist."""
    return QueryError(
        f"there is no last search in this library to take {part} from",
        "Search first: imgsearch search a dog",
    )


# The file


def save(folder: str, last: LastSearch) -> bool:
    """Replace the last search of the library in `folder`; False if that was not possible."""
    text = json.dumps(
        {
            "format": FORMAT,
            "library": last.library,
            "space": last.space,
            "model": last.model,
            "terms": [_term_to_json(term) for term in last.terms],
            "results": [[each.image_id, each.content_hash, each.path] for each in last.results],
        }
    )
    try:
        path = os.path.join(folder, FILE)
        replace_file(path, text.encode("ascii"), private=True, durable=False)
    except OSError:
        return False
    return True


def load(folder: str, library: str) -> LastSearch | None:
    """The last search of the library of that uuid in `folder`, if there is one."""
    try:
        with open(os.path.join(folder, FILE), "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        values: Any = json.loads(data) if len(data) <= MAX_FILE_BYTES else None
        if values["format"] != FORMAT or values["library"] != library:
            return None
        return LastSearch(
            library,
            str(values["space"]),
            str(values["model"]),
            [_term_from_json(each) for each in values["terms"]],
            [Result(int(key), str(digest), str(path)) for key, digest, path in values["results"]],
        )
    except (OSError, ValueError, TypeError, LookupError, RecursionError, OverflowError):
        return None


def _term_to_json(term: Term) -> dict[str, Any]:
    vector = None
    if term.vector is not None:
        vector = base64.b64encode(term.vector.astype("<f4").tobytes()).decode()
    kept = {"text": term.text, "weight": term.weight, "vector": vector}
    return kept | {"fused": True} if term.fused else kept


def _term_from_json(values: Any) -> Term:
    text, weight, vector = values["text"], float(values["weight"]), None
    fused = values.get("fused") is True
    if values["vector"] is not None:
        row = np.frombuffer(base64.b64decode(values["vector"], validate=True), "<f4")
        vector = normalize(row[np.newaxis])[0]
    usable = math.isfinite(weight) and (vector is None or abs(np.linalg.norm(vector) - 1) < 1e-3)
    needs_vector = text is None or fused
    if not usable or (needs_vector and vector is None) or not isinstance(text, str | None):
        raise ValueError("no term")
    return Term(text, None, vector, weight, fused)
