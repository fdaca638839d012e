"""Vectors, embedding spaces and operations on them; NumPy is imported only when needed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgsearch.errors import QueryError, SpaceMismatch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Embeddings = NDArray[np.float32]
    Ids = NDArray[np.int64]
    Pixels = NDArray[np.uint8]
else:  # importing NumPy takes longer than all of 'imgsearch status'
    Embeddings = Ids = Pixels = Any
"""Embeddings: ndarray of shape (n, dimension), float32, C-order, every row of unit L2 norm.
Ids: ndarray of shape (n,), int64: image ids of the catalog.
Pixels: ndarray of shape (height, width, 3), uint8: one image, sRGB, upright."""


RANDOM = "random"
"""The revision of a space of random weights, for measurements. Its vectors are meaningless, and no
library accepts them."""


_VISUAL_TOKENS = re.compile(r"\b\d+-(\d+) visual tokens\b")


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """The space of a vector; vectors may be compared only if their spaces are equal.

    Attributes
    ----------
    model : str
        The name accepted by `--model`.
    revision : str
        The weights: a hub commit, a digest of a local folder, or our own version.
    preprocessing : str
        How an image becomes model input: size and fit. "MINIMUM-MAXIMUM visual tokens" in it is
        the range of a model whose input depends on the image.
    dimension : int
        Length of a vector; the model may return longer ones, which are truncated.
    instruction : str
        The document instruction, which the model received with the images, or "". The instruction
        for queries is not part of a space: it may differ in each search.
    """

    model: str
    revision: str
    preprocessing: str
    dimension: int
    instruction: str = ""

    @property
    def key(self) -> str:
        """Twelve hex digits that identify the space in file names."""
        parts = [self.model, self.revision, self.preprocessing, str(self.dimension)]
        text = "\n".join(parts + [self.instruction] * bool(self.instruction))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    @property
    def visual_tokens(self) -> int:
        """Maximum number of visual tokens of an image; 0 for a model without such a number."""
        found = _VISUAL_TOKENS.search(self.preprocessing)
        return int(found[1]) if found else 0

    @property
    def steps(self) -> str:
        """The preprocessing without the range of visual tokens, which one loaded model can vary."""
        return _VISUAL_TOKENS.sub("visual tokens", self.preprocessing)

    def require(self, other: EmbeddingSpace) -> None:
        """Raise `SpaceMismatch` unless `other` is this space."""
        if other != self:
            raise SpaceMismatch(
                f"vectors of two spaces cannot be compared:\n  {self}\n  {other}",
                "Run 'imgsearch index' with the model that you want to search with.",
            )

    def __str__(self) -> str:
        instruction = f", documents as {self.instruction!r}" if self.instruction else ""
        return (
            f"{self.model} (revision {self.revision}, {self.preprocessing}{instruction},"
            f" {self.dimension}-d)"
        )


@dataclass(frozen=True, slots=True)
class SpaceOptions:
    """The user's choices for the space of a model.

    Attributes
    ----------
    instruction : str
        Instruction to the model about pictures; "" for the library's, then the model's own.
    dimension : int
        Length of its vectors; 0 for the library's, then the model's own.
    visual_tokens : int
        Maximum number of visual tokens of an image; 0 for the library's, then the model's own.
    """

    instruction: str = ""
    dimension: int = 0
    visual_tokens: int = 0

    def fits(self, space: EmbeddingSpace) -> bool:
        """True if the space has the options that are set."""
        return (
            self.instruction in ("", space.instruction)
            and self.dimension in (0, space.dimension)
            and self.visual_tokens in (0, space.visual_tokens)
        )

    def fitting(self, spaces: Sequence[EmbeddingSpace], model: str) -> list[EmbeddingSpace]:
        """The spaces of a model that fit."""
        return [space for space in spaces if space.model == model and self.fits(space)]

    def completed(self, space: EmbeddingSpace, full: int = 0) -> SpaceOptions:
        """The options, those that are not set taken from a space of the model.

        Parameters
        ----------
        full : int
            Length of uncut vectors: only a shorter one is taken over, because only that was a
            choice. 0 takes over any.
        """
        chosen = space.dimension if not full or space.dimension < full else 0
        return SpaceOptions(
            self.instruction or space.instruction,
            self.dimension or chosen,
            self.visual_tokens or space.visual_tokens,
        )

    def __str__(self) -> str:
        parts = [f"the document instruction {self.instruction!r}"] if self.instruction else []
        parts += [f"vectors of {self.dimension} numbers"] if self.dimension else []
        parts += [f"{self.visual_tokens} visual tokens"] if self.visual_tokens else []
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Matches:
    """The results of an index search, best first, one row per query.

    Attributes
    ----------
    ids : ndarray of shape (queries, k'), int64
    scores : ndarray of shape (queries, k'), float32
        Inner products, which are cosines because both sides are unit vectors. k' is min(k, number
        of allowed vectors); there is no padding.
    method : str
        The search method, in words.
    """

    ids: Ids
    scores: NDArray[np.float32]
    method: str = ""


def members(ids: Ids, others: Ids) -> Ids:
    """The `others` that are in `ids`; both are sorted, and `ids` may be millions."""
    import numpy as np

    if len(others) * 16 > len(ids):
        return others[np.isin(others, ids)]
    places = np.searchsorted(ids, others).clip(max=max(0, len(ids) - 1))
    return others[ids[places] == others] if len(ids) else others[:0]


def normalize(vectors: NDArray[np.generic]) -> Embeddings:
    """Rows of unit L2 norm, computed in float32, C-order; a zero row stays zero.

    Parameters
    ----------
    vectors : ndarray of shape (n, dimension), any real dtype
    """
    import numpy as np

    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.zeros_like(rows)
    np.divide(rows, norms, out=unit, where=norms > 0)
    return unit


def combine(vectors: Sequence[NDArray[np.float32]], weights: Sequence[float]) -> Embeddings:
    """One query from several terms: the weighted sum of unit vectors, scaled to unit norm.

    Query arithmetic after Rocchio (1971): positive weights pull the query towards a term, negative
    ones push it away.

    Parameters
    ----------
    vectors : sequence of ndarray of shape (dimension,), float32, unit norm
    weights : sequence of float
        One finite weight per vector, at least one of them positive.

    Returns
    -------
    ndarray of shape (1, dimension), float32, unit norm

    Raises
    ------
    QueryError
        No weight is positive, one is not finite, or the terms cancel each other out.
    """
    import numpy as np

    weight = np.asarray(weights, dtype=np.float64)
    if not np.isfinite(weight).all():
        raise QueryError("a weight of the query is not a finite number")
    if not (weight > 0).any():
        raise QueryError(
            "the query only says what not to find",
            "Add words or an example picture to search for.",
        )
    weight = (weight / np.abs(weight).max()).astype(np.float32)  # avoids overflow
    total = normalize((weight @ np.stack(vectors))[np.newaxis])
    if not total.any():
        raise QueryError(
            "the terms of the query cancel each other out", "Change one of them, or its weight."
        )
    return total
