"""The models of a library for a server: those it may download, switch to and forget.

A client names only models of the list: published ones with a card, and those that the library has
vectors of. A folder or a hub id could be any, so these are left to the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from imgsearch.encoders.registry import canonical, model_cards
from imgsearch.errors import EncoderError, ImgSearchError, LibraryMissing, MissingExtra
from imgsearch.library import Library
from imgsearch.model_card import ModelCard
from imgsearch.settings import Settings


class UnknownModel(ImgSearchError):
    """A client names a model that is not in the list."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the list has no model {name[:80]!r}",
            "GET /models lists them. Other models are for the command line: imgsearch models",
        )


class ModelUnusable(ImgSearchError):
    """A model that cannot be used or downloaded here."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that a client may name.

    Attributes
    ----------
    name : str
        Of a folder its path.
    card : ModelCard
        Without facts for a model that has no card.
    obstacle : str
        Why it cannot be used; "" if it can.
    hubs : tuple of str
        Hub ids that a download fetches; empty if it needs none, or cannot be downloaded.
    images : int
        Pictures of the library that have its vectors.
    """

    name: str
    card: ModelCard
    obstacle: str
    hubs: tuple[str, ...]
    images: int


@dataclass(frozen=True, slots=True)
class ModelList:
    """The models, smallest first, then those of the library without a card.

    Attributes
    ----------
    in_use : str
        The model that searches and new pictures use.
    setting : str
        The model that the settings of the server name, which overrides the library's; "" for none.
    images : int
        Pictures of the library.
    """

    models: list[ListedModel]
    in_use: str
    setting: str
    images: int


def model_list(settings: Settings) -> ModelList:
    """The models that a client may name. Takes a while: it looks for the weights of all of them."""
    with closing(Library(settings)) as library:
        counts = _counts(library)
        cards = {card.name: card for card in model_cards()}
        for name in sorted(counts.keys() - cards.keys()):
            cards[name] = ModelCard(name, "")
        return ModelList(
            models=[
                ListedModel(
                    name, card, _obstacle(library, name), _hubs(library, name), counts.get(name, 0)
                )
                for name, card in cards.items()
            ],
            in_use=library.model,
            setting=settings.model and canonical(settings.model),
            images=_image_count(library),
        )


def require_download(settings: Settings, model: str) -> None:
    """Check that a model can be downloaded; nothing is requested yet.

    Raises
    ------
    UnknownModel
        It is not in the list.
    ModelUnusable
        It needs no download, or a package that is not installed.
    """
    with closing(Library(settings)) as library, _usable():
        _require_listed(library, model)
        library.models.hubs(model)


def require_switch(settings: Settings, model: str) -> None:
    """Check that all pictures can be encoded with a model.

    Raises
    ------
    UnknownModel
        It is not in the list.
    LibraryMissing
        There is no library yet.
    ModelUnusable
        The model is not on this machine.
    """
    with closing(Library(replace(settings, model=model))) as library, _usable():
        _require_listed(library, model)
        library.catalog.default_space()
        library.models.revision(model)


def forget_model(settings: Settings, model: str) -> int:
    """Delete the vectors of a model; returns their number. Raises as `Library.forget_model`."""
    with closing(Library(settings)) as library:
        return library.forget_model(model)


@contextmanager
def _usable() -> Iterator[None]:
    """A context in which an error of a model is one that a client can fix."""
    try:
        yield
    except (EncoderError, MissingExtra) as error:
        raise ModelUnusable(str(error), error.hint) from error


def _require_listed(library: Library, model: str) -> None:
    if model not in {card.name for card in model_cards()} | _counts(library).keys():
        raise UnknownModel(model)


def _obstacle(library: Library, model: str) -> str:
    try:
        return library.models.obstacle(model)
    except ImgSearchError as error:  # its plug-in was removed
        return str(error)


def _hubs(library: Library, model: str) -> tuple[str, ...]:
    try:
        return tuple(library.models.hubs(model))
    except ImgSearchError:
        return ()


def _counts(library: Library) -> dict[str, int]:
    """Pictures with vectors of each model of the library, in the space that has most."""
    counts: dict[str, int] = {}
    try:
        for record in library.catalog.spaces():
            counts[record.space.model] = max(counts.get(record.space.model, 0), record.vectors)
    except LibraryMissing:
        pass
    return {name: count for name, count in counts.items() if count}


def _image_count(library: Library) -> int:
    try:
        return library.catalog.count()
    except LibraryMissing:
        return 0
