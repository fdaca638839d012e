"""A search request: plain data that the command line, the page, MCP and Python all build.

A request can travel to another process (`daemon.wire`) and be saved (`searching.saved_searches`),
except for terms that hold pixels.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from imgsearch.errors import QueryError

if TYPE_CHECKING:
    from imgsearch.filters.tree import Filter
    from imgsearch.vectors import Embeddings, Pixels

MODES = ("hybrid", "semantic", "text")
Sort = Literal[
    "", "score", "date", "-date", "name", "-name", "size", "-size", "pixels", "-pixels",
    "sharpness", "-sharpness", "brightness", "-brightness", "shadows", "-shadows", "highlights",
    "-highlights", "contrast", "-contrast", "colourfulness", "-colourfulness",
]  # fmt: skip
SORTS: tuple[str, ...] = get_args(Sort)[1:]
"""Orders of the hits; with a minus the latest, the last or the largest first."""
MIN_STRENGTH = 0.2
MIN_STRENGTH_OF_IMAGES = 0.05
"""Default cut-offs of a query with words and of one by pictures alone. They lose about one in
twenty of the right hits (docs/STRENGTH.md has the curves)."""
MIN_STRENGTH_OF_ANSWERS = 0.1
"""Default cut-off of a query in words that has passed the gate (`searching.abstention`)."""


STRENGTH_PATTERN = r"\s*(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)(?P<percent>\s*%)?\s*"
"""A strength as text: "30%", "30" or "0.3"."""


def read_strength(value: str | float) -> float:
    """A strength, 0 to 1, from what a table shows or JSON holds: "30%", "30" or "0.3".

    Numbers from 2 are percentages. Those between 1 and 2 are refused, because 1.5 may be either.

    Raises
    ------
    QueryError
        Anything else, negative numbers, and more than 100 %.
    """
    match = re.fullmatch(STRENGTH_PATTERN, str(value))
    if match is not None:
        number, percent = float(match["number"]), match["percent"] or float(match["number"]) >= 2
        strength = number / 100 if percent else number
        if strength <= 1:
            return strength
    raise QueryError(
        f"{str(value)[:40]!r} is not a strength",
        "Strengths go from 0 to 100 %: write 30%, 30 or 0.3.",
    )


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a query: words or a picture, with a weight; a negative weight excludes.

    A term has `text`, or one source of a picture: `path`, `data`, `image_id`, `result` or `image`.
    A fused term has both, for a model that reads them in one pass.

    Attributes
    ----------
    text : str or None
        Words.
    image : ndarray of shape (height, width, 3), uint8, or None
        A decoded picture. It stays in this process.
    vector : ndarray of shape (dimension,), float32, unit norm, or None
        The vector of the term in the space of the search.
    weight : float
    fused : bool
        `text` and the picture are one input.
    path : str or None
        Absolute path of a picture file.
    data : bytes or None
        A picture file as bytes.
    image_id : int or None
        A picture of the library.
    result : int or None
        Rank of a result of the last search, from 1.
    name : str
        The user's name for the picture, for messages.
    """

    text: str | None = None
    image: Pixels | None = None
    vector: Embeddings | None = None
    weight: float = 1.0
    fused: bool = False
    path: str | None = None
    data: bytes | None = None
    image_id: int | None = None
    result: int | None = None
    name: str = ""

    @property
    def modality(self) -> str:
        """ "text", "image" or "fused"; a vector is that of a picture unless there is a text."""
        if self.fused:
            return "fused"
        return "image" if self.text is None else "text"

    def resolved(self, image: Pixels | None = None, vector: Embeddings | None = None) -> Term:
        """The same term with pixels or a vector in place of the source of its picture.

        Parameters
        ----------
        image : ndarray of shape (height, width, 3), uint8, or None
        vector : ndarray of shape (dimension,), float32, unit norm, or None

        Returns
        -------
        Term
        """
        return Term(self.text, image, vector, self.weight, self.fused)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search.

    Attributes
    ----------
    terms : sequence of Term
        Empty to list the pictures that pass the filter, newest first.
    limit : int
        Maximum number of hits.
    mode : {"hybrid", "semantic", "text"}
        Look for text terms by meaning (semantic), in names, captions and texts (text), or both.
    where : Filter or None
        Only pictures that pass it are found; None for all.
    good, bad : sequence of Term
        Pictures of the library that were right or wrong: relevance feedback. Without terms, results
        of the last search refine that search.
    min_score : float or None
        Leave out hits below this inner product.
    min_strength : float or None
        Leave out hits below this strength, 0 to 1, if strengths are known. A picture found by the
        words of its name or captions is kept. None for the default of the terms.
    max_false_matches : float or None
        Share of the queries in words without a right picture that may be answered nevertheless, 0
        to 1; None for the default. Not with `min_score` or `min_strength`.
    instruction : str or None
        Instruction to the model about the words; "" for the model's own, None for the one in
        the settings of the library.
    unique : bool
        Fold near-identical pictures into one hit.
    apart : bool
        List the files of one shot, such as RAW and JPEG, as pictures of their own.
    federated : bool
        Rank with every model that the library has vectors of, and fuse the rankings.
    sort : str
        One of `SORTS`: the order of all hits above the cut-off. "" for the best first, or the
        newest first without terms.
    remember : bool
        Keep the search, for `result` terms and feedback of the next one.
    """

    terms: Sequence[Term] = ()
    limit: int = 20
    mode: str = "hybrid"
    where: Filter | None = None
    good: Sequence[Term] = ()
    bad: Sequence[Term] = ()
    min_score: float | None = None
    min_strength: float | None = None
    max_false_matches: float | None = None
    instruction: str | None = None
    unique: bool = False
    apart: bool = False
    federated: bool = False
    sort: Sort = ""
    remember: bool = False

    def __post_init__(self) -> None:
        if self.sort and self.sort not in SORTS:
            raise QueryError(
                f"{self.sort[:40]!r} is not an order of hits", f"Sort by {', '.join(SORTS)}."
            )

    @property
    def needs_model(self) -> bool:
        """False for lists by date and searches by words alone, which need no space of a model."""
        if self.good or self.bad:
            return True
        if self.mode == "text":
            return any(term.modality != "text" for term in self.terms)
        return bool(self.terms)

    @property
    def is_reordered(self) -> bool:
        """True for an order other than that of the scores."""
        return self.sort not in ("", "score")

    @property
    def words(self) -> str:
        """The words that names, captions and texts are searched for."""
        return " ".join(term.text for term in self.terms if term.text and term.weight > 0)

    @property
    def may_abstain(self) -> bool:
        """True if the library may turn out to have no answer: a query in words, without a cut-off
        of its own."""
        chosen = (self.min_score, self.min_strength) != (None, None)
        return (
            bool(self.terms)
            and not chosen
            and self.mode != "text"
            and all(term.modality == "text" and term.weight > 0 for term in self.terms)
        )

    @property
    def strength_cut_off(self) -> float:
        """The strength that a hit must reach: the one requested, else the default of the terms."""
        if self.min_strength is not None:
            return self.min_strength
        if self.min_score is not None:
            return 0.0
        words = any(term.modality == "text" for term in self.terms)
        return MIN_STRENGTH if words else MIN_STRENGTH_OF_IMAGES

    def digest(self) -> str:
        """A hash of the search: pictures and vectors count by their bytes, the limit does not.

        Returns
        -------
        str
            32 hex digits.
        """
        parts = []
        for term in (*self.terms, None, *self.good, None, *self.bad):
            if term is not None:
                known = (term.data, None if term.vector is None else term.vector.tobytes())
                parts += [hashlib.sha256(each).hexdigest() for each in known if each is not None]
                term = replace(term, data=None, vector=None)  # noqa: PLW2901
            parts.append(repr(term))
        parts.append(repr(replace(self, terms=(), good=(), bad=(), limit=0, remember=False)))
        return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


# Plain values

_TERMS = ("terms", "good", "bad")
_TEXTS = ("text", "path", "data", "vector", "name", "mode", "where", "instruction", "sort")
_TYPES: dict[str, type] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(("image_id", "result", "limit"), int),
    **dict.fromkeys(("fused", "unique", "apart", "federated", "remember"), bool),
    **dict.fromkeys(_TERMS, list),
}
"""Name of a field -> its type as a plain value. The others are numbers."""


def request_to_plain(request: SearchRequest) -> dict[str, Any]:
    """A request without pixels as values for JSON; defaults are left out.

    Pictures are base64, vectors base64 of little-endian float32, filters the text of `--where` that
    reads back as the same filter.
    """
    values = _stated(request)
    for name in _TERMS:
        if name in values:
            values[name] = [_term_to_plain(term) for term in values[name]]
    if request.where is not None:
        values["where"] = str(request.where)
    return values


def request_from_plain(plain: Any) -> SearchRequest:
    """The request that `request_to_plain` wrote.

    Raises
    ------
    LookupError, TypeError, ValueError, QueryError
        Values of another shape.
    """
    values = _checked(plain, SearchRequest)
    for name in _TERMS:
        values[name] = [_term_from_plain(term) for term in values.get(name, ())]
    if values.get("where") is not None:
        from imgsearch.filters.parser import parse_whole

        values["where"] = parse_whole(values["where"])
    return SearchRequest(**values)


def _term_to_plain(term: Term) -> dict[str, Any]:
    assert term.image is None, "pixels do not travel"
    values = _stated(term)
    if term.vector is not None:
        values["vector"] = b64encode(term.vector.astype("<f4").tobytes()).decode()
    if term.data is not None:
        values["data"] = b64encode(term.data).decode()
    return values


def _term_from_plain(plain: Any) -> Term:
    values = _checked(plain, Term)
    if "data" in values:
        values["data"] = b64decode(values["data"], validate=True)
    if "vector" in values:
        import numpy as np

        row = np.frombuffer(b64decode(values["vector"], validate=True), "<f4")
        values["vector"] = row.astype(np.float32)
    return Term(**values)


def _checked(plain: Any, kind: type[Term | SearchRequest]) -> dict[str, Any]:
    """Plain values by name, each of the type of its field."""
    if not isinstance(plain, dict):
        raise ValueError(f"a {kind.__name__} is not an object")
    for name, value in plain.items():
        if value is not None and not isinstance(value, _TYPES.get(name, (int, float))):
            raise ValueError(f"the {name} of a {kind.__name__} has another type")
    return dict(plain)


def _stated(value: Term | SearchRequest) -> dict[str, Any]:
    """The fields that differ from their defaults."""
    stated = ((each, getattr(value, each.name)) for each in fields(value))
    return {each.name: found for each, found in stated if not _is_default(each, found)}


def _is_default(field: Field[Any], value: Any) -> bool:
    if field.name in _TERMS:
        return not value
    return type(value) is type(field.default) and bool(value == field.default)
