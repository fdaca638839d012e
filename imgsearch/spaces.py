"""Which of a library's embedding spaces is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgsearch.errors import QueryError, SpaceMismatch
from imgsearch.vectors import EmbeddingSpace


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asks of a model's space, beside its name.

    Attributes
    ----------
    instruction : str
        What the model is told about pictures; "" leaves it to the library, then to the model.
    dimension : int
        Length of its vectors; 0 leaves it to the library, then to the model.
    """

    instruction: str = ""
    dimension: int = 0

    def fits(self, space: EmbeddingSpace) -> bool:
        """True if the space is all that was asked for."""
        return self.instruction in ("", space.instruction) and self.dimension in (
            0,
            space.dimension,
        )

    def fitting(self, spaces: Sequence[EmbeddingSpace], model: str) -> list[EmbeddingSpace]:
        """Those of a model that are what was asked for."""
        return [space for space in spaces if space.model == model and self.fits(space)]

    def completed(self, space: EmbeddingSpace, full: int = 0) -> Asked:
        """The same, with what a space of the model has where nothing was asked.

        Parameters
        ----------
        full : int
            The length of uncut vectors: only a shorter one is taken over, because that alone
            was somebody's choice. 0 takes over any.
        """
        chosen = space.dimension if not full or space.dimension < full else 0
        return Asked(self.instruction or space.instruction, self.dimension or chosen)

    def __str__(self) -> str:
        told = f"the document instruction {self.instruction!r}" if self.instruction else ""
        cut = f"vectors of {self.dimension} numbers" if self.dimension else ""
        return " and ".join(filter(None, (told, cut)))


def choose(spaces: Sequence[EmbeddingSpace], default: EmbeddingSpace | None) -> EmbeddingSpace:
    """The one of several spaces of one model that is meant where nothing more was said.

    That is the newest, or the library's default where both are of the same weights: vectors of
    other weights can no longer be made.

    Parameters
    ----------
    spaces : sequence of EmbeddingSpace
        At least one, oldest first.
    """
    newest = spaces[-1]
    if default in spaces and default is not None and same_weights(default, newest):
        return default
    return newest


def require_searchable(filled: Sequence[EmbeddingSpace], model: str, asked: Asked) -> None:
    """Raise `QueryError` or `SpaceMismatch` unless pictures lie in a space that was asked for.

    Parameters
    ----------
    filled : sequence of EmbeddingSpace
        Those of the library that have a picture.
    """
    if asked.fitting(filled, model):
        return
    if not filled:
        raise QueryError("the library has no pictures yet", "Add some: imgsearch index FOLDER")
    others = [str(space) for space in filled if space.model == model]
    if not others:
        known = ", ".join(sorted({space.model for space in filled}))
        raise QueryError(
            f"nothing in this library is indexed with {model}, only with {known}",
            f"Leave out --model, or index with it first: imgsearch index --model {model}",
        )
    raise SpaceMismatch(
        f"nothing in this library is indexed with {asked}, only with:\n  " + "\n  ".join(others),
        "Take document_instruction and dimension out of the settings, or bring the pictures into"
        " that space: imgsearch index",
    )


def same_weights(one: EmbeddingSpace, other: EmbeddingSpace) -> bool:
    """True if one loaded model can give vectors of either space."""
    return (one.model, one.revision, one.preprocessing) == (
        other.model,
        other.revision,
        other.preprocessing,
    )


def told_apart(space: EmbeddingSpace, other: EmbeddingSpace) -> str:
    """The model of a space, and what tells it from another space of the same model."""
    if space.model != other.model:
        return space.model
    parts = [f"{space.dimension} numbers"] if space.dimension != other.dimension else []
    if space.instruction != other.instruction:
        parts.append(f"told {space.instruction!r}")
    return f"{space.model} ({', '.join(parts)})" if parts else space.model
