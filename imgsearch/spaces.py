"""The choice of the model and the embedding space of a library, made only here.

A library may hold vectors of several models, and of several spaces of one model (another revision,
document instruction, dimension or number of visual tokens). `Spaces` picks from the settings, the
catalog and the models on this machine; the functions below it are the rules, on plain values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from imgsearch.encoders.gme import FORMER_STEPS
from imgsearch.encoders.registry import Registry, canonical
from imgsearch.errors import EncoderError, QueryError, SpaceMismatch
from imgsearch.model_card import ModelCard
from imgsearch.ports import Encoder
from imgsearch.settings import Settings
from imgsearch.vectors import RANDOM, EmbeddingSpace, SpaceOptions

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog, CatalogWriter


class Spaces:
    """The model and the space in use.

    Parameters
    ----------
    catalog : Catalog or None
        None where there is no library yet.
    """

    def __init__(self, settings: Settings, models: Registry, catalog: Catalog | None) -> None:
        self._settings, self._models, self._catalog = settings, models, catalog
        self._options = SpaceOptions(
            settings.document_instruction, settings.dimension, settings.visual_tokens
        )

    @property
    def model(self) -> str:
        """The model in use: the one in the settings, else the library's, else the default."""
        if self._settings.model:
            return canonical(self._settings.model)
        default = self._default
        return default.model if default is not None else self._models.automatic.name

    @property
    def _default(self) -> EmbeddingSpace | None:
        return None if self._catalog is None else self._catalog.default_space()

    def _known(self, filled: bool = False) -> list[EmbeddingSpace]:
        return [] if self._catalog is None else self._catalog.known_spaces(filled=filled)

    def indexed(self) -> EmbeddingSpace | None:
        """The space of the model in use, if the library has it already; loads no model."""
        model = self.model
        revision = self._models.revision(model)
        spaces = self._options.fitting(self._known(), model)
        spaces = [
            space
            for space in spaces
            if space.revision == revision and space.steps not in FORMER_STEPS
        ]
        return choose(spaces, self._default) if spaces else None

    def searchable(self) -> EmbeddingSpace:
        """The space to search in.

        Raises
        ------
        QueryError
            The library has no pictures, or none in a space of the model in use.
        SpaceMismatch
            None in a space with the document instruction and the dimension in the settings.
        """
        model, filled = self.model, self._known(filled=True)
        if all(space.model != model for space in filled):
            self._models.card(model)  # an unknown name is reported first
        require_searchable(filled, model, self._options)
        return choose(self._options.fitting(filled, model), self._default)

    def encoder(self) -> Encoder:
        """The model in use, in the space that the library has; loaded once."""
        model = self.model
        spaces = self._options.fitting(self._known(filled=True), model)
        spaces = spaces or self._options.fitting(self._known(), model)
        if spaces:
            return self._load(choose(spaces, self._default))
        return self._models.encoder(model, self._options)

    def new_encoder(self) -> Encoder:
        """The model in use, for a space that the library does not have yet.

        A new revision of a model keeps the document instruction and the shorter vectors that the
        library has, unless the settings say otherwise.
        """
        model = self.model
        spaces = [space for space in self._known() if space.model == model]
        if not spaces:
            return self._models.encoder(model, self._options)
        card = self._models.card(model)
        full = card.dimension if card and card.dimensions else 1
        known = choose(spaces, self._default)
        return self._models.encoder(model, self._options.completed(known, full))

    def encoder_for(self, space: EmbeddingSpace) -> Encoder:
        """The encoder of a space of the library, loaded once.

        Raises
        ------
        SpaceMismatch
            The model on this machine has changed since.
        """
        encoder = self._load(space)
        if encoder.space != space:
            raise SpaceMismatch(
                f"the model has changed since pictures were indexed with it:\n"
                f"  indexed with {space}\n  present      {encoder.space}",
                f"Index again: imgsearch index --model {space.model}",
            )
        return encoder

    def card(self, space: EmbeddingSpace) -> ModelCard:
        """The card of the model of a space, which is loaded only if its name says too little."""
        return self._models.card(space.model) or self.encoder_for(space).card

    def others(self) -> list[Spaces]:
        """The same for each other model that the library has vectors of."""
        names = dict.fromkeys(space.model for space in self._known(filled=True))
        any_space = replace(self._settings, document_instruction="", dimension=0, visual_tokens=0)
        return [
            Spaces(replace(any_space, model=name), self._models, self._catalog)
            for name in names
            if name != self.model
        ]

    def _load(self, space: EmbeddingSpace) -> Encoder:
        try:
            options = SpaceOptions(space.instruction, space.dimension, space.visual_tokens)
            return self._models.encoder(space.model, options)
        except EncoderError as error:
            if self._models.revision(space.model) == space.revision:
                raise
            raise SpaceMismatch(
                f"the model has changed since pictures were indexed with {space}: {error}",
                f"Index again: imgsearch index --model {space.model}",
            ) from error

    def forgettable(self, model: str) -> list[EmbeddingSpace]:
        """The spaces of a model, whose vectors the library can do without.

        Raises
        ------
        QueryError
            Searches use one of them, or the library has no vectors of the model.
        """
        if self._default is not None and self._default.model == model:
            raise QueryError(
                f"this library searches with {model}",
                "Switch to another model first: imgsearch models switch NAME",
            )
        records = [] if self._catalog is None else self._catalog.spaces()
        spaces = [each.space for each in records if each.space.model == model and each.vectors]
        if not spaces:
            raise QueryError(
                f"this library has no vectors of {model}", "'imgsearch status' lists its models."
            )
        return spaces

    def choose_default(self, writer: CatalogWriter, space: EmbeddingSpace) -> str:
        """Make a space the default once it has all pictures that the present one has.

        Returns
        -------
        str
            A note for the user; "" where nothing changes.
        """
        assert self._catalog is not None
        if self._default == space:
            return ""
        records = {record.space: record for record in self._catalog.spaces()}
        before = next((record for record in records.values() if record.default), records[space])
        if before.space == space:
            return ""
        old, new = distinguished(before.space, space), distinguished(space, before.space)
        if before.space.model == space.model and not same_weights(before.space, space):
            writer.set_default_space(space)  # another revision of it: the old one is not here
            return ""
        catalog = self._catalog
        old_ids, new_ids = (catalog.vector_ids(each) for each in (before.space, space))
        uncovered = len(np.setdiff1d(old_ids, new_ids, assume_unique=True))
        if not uncovered:
            writer.set_default_space(space)
            return f"Searches now use {new}; {old} stays in the library."
        return (
            f"Searches go on with {old} until {new} covers all pictures "
            f"({before.vectors - uncovered} of {before.vectors} so far)."
        )


def choose(spaces: Sequence[EmbeddingSpace], default: EmbeddingSpace | None) -> EmbeddingSpace:
    """The space in use among several of one model.

    That is the newest, or the library's default where both have the same weights: vectors of
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


def require_searchable(filled: Sequence[EmbeddingSpace], model: str, options: SpaceOptions) -> None:
    """Raise `QueryError` or `SpaceMismatch` unless pictures lie in a space that fits.

    Parameters
    ----------
    filled : sequence of EmbeddingSpace
        Spaces of the library that have a picture.
    """
    if options.fitting(filled, model):
        return
    if not filled:
        raise no_pictures()
    others = [str(space) for space in filled if space.model == model]
    if not others:
        known = ", ".join(sorted({space.model for space in filled}))
        raise QueryError(
            f"nothing in this library is indexed with {model}, only with {known}",
            f"Leave out --model, or index with it first: imgsearch index --model {model}",
        )
    raise SpaceMismatch(
        f"nothing in this library is indexed with {options}, only with:\n  " + "\n  ".join(others),
        "Remove document_instruction, dimension and visual_tokens from the settings, or bring the"
        " pictures into that space: imgsearch index",
    )


def no_pictures() -> QueryError:
    """The error for a search in a library without pictures."""
    return QueryError("the library has no pictures yet", "Add some: imgsearch index FOLDER")


def require_trained(space: EmbeddingSpace) -> EmbeddingSpace:
    """The space, unless its weights are random and its vectors mean nothing: `EncoderError`."""
    if space.revision == RANDOM:
        raise EncoderError(
            f"{space.model} has random weights: nothing that is indexed with it could be found",
            "Random weights are for 'imgsearch bench' only; 'imgsearch models' lists real models.",
        )
    return space


def same_weights(one: EmbeddingSpace, other: EmbeddingSpace) -> bool:
    """True if the weights that are here can make vectors of either space."""
    return (one.model, one.revision, one.steps) == (other.model, other.revision, other.steps)


def distinguished(space: EmbeddingSpace, other: EmbeddingSpace) -> str:
    """The model of a space, and how it differs from another space of the same model."""
    if space.model != other.model:
        return space.model
    parts = [f"{space.dimension} numbers"] if space.dimension != other.dimension else []
    if space.visual_tokens != other.visual_tokens:
        parts.append(f"{space.visual_tokens} visual tokens")
    if space.instruction != other.instruction:
        parts.append(f"instruction {space.instruction!r}")
    return f"{space.model} ({', '.join(parts)})" if parts else space.model
