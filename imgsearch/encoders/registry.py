"""The models: which there are, which one to use, where its weights are, and loading it once."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cached_property

from imgsearch import plugins
from imgsearch.encoders import presets
from imgsearch.encoders.choice import LARGE, Choice, choose_model
from imgsearch.encoders.download import Download, download
from imgsearch.encoders.gme import SCHEME
from imgsearch.errors import EncoderError, ImgSearchError
from imgsearch.model_card import EncoderOptions, ModelCard
from imgsearch.ports import Encoder
from imgsearch.settings import Settings
from imgsearch.vectors import SpaceOptions


class Models:
    """The models as the settings have them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._encoders: dict[tuple[str, SpaceOptions], Encoder] = {}

    @property
    def chosen(self) -> bool:
        """True if `automatic` was asked for: nobody had named a model."""
        return "automatic" in self.__dict__

    @cached_property
    def automatic(self) -> Choice:
        """The model for a new library if none was named, and why."""
        return choose_model(self._settings.device, self._source_of(LARGE))

    def listed(self) -> list[tuple[ModelCard, str]]:
        """The models that are known by name, smallest first, and why one cannot be used, or ""."""
        return [(card, self._obstacle(card)) for card in model_cards()]

    def _obstacle(self, card: ModelCard) -> str:
        try:
            self.revision(card.name)
        except EncoderError as error:
            return str(error)
        return ""

    def revision(self, model: str) -> str:
        """The revision of a model's space, without loading it; `EncoderError` if it is not here."""
        places = {
            "source": self._source_of(model),
            "text_source": self._source_of(model + presets.TEXT),
        }
        module = plugins.encoder_module(model)
        return module.revision(model, **{name: place for name, place in places.items() if place})

    def card(self, model: str) -> ModelCard | None:
        """What is known of a model by its name alone; None for a folder or an id of the hub."""
        name = canonical(model)
        return next((c for c in plugins.encoder_module(name).CARDS if c.name == name), None)

    def _source_of(self, model: str) -> str:
        """Where the settings say that a model's weights are; "" where they say nothing."""
        places = dict(self._settings.models)
        presets.require_known(places, "[models] in the settings")
        return places.get(model, "")

    def download(
        self, model: str, revision: str | None = None, progress: bool = True
    ) -> list[Download]:
        """Fetch a model from the hub, the only thing in imgsearch that uses the network.

        Returns
        -------
        list of Download
            One, or one for each part of a model of two parts.

        Raises
        ------
        EncoderError
            It needs no download, cannot be had, or what came was not what the hub says it has.
        """
        name = canonical(model)
        places = self._places(name)
        hubs = [presets.hub_id(each) for each in places if not _is_folder(each)]
        if not hubs:
            raise EncoderError(
                f"{model} is the folder {places[0]}, and needs no download",
                f"Use it: imgsearch index --model {model} FOLDER",
            )
        plugins.encoder_module(name)
        if "/" not in hubs[0]:
            raise EncoderError(
                f"{name} comes with its package, and needs no download",
                f"Use it: imgsearch index --model {name} FOLDER",
            )
        if revision and len(hubs) > 1:
            raise EncoderError(
                f"{name} has two parts, and {revision} can be a revision of one of them only",
                "Fetch each by its id: "
                + "; ".join(f"imgsearch models download {hub} --revision REV" for hub in hubs),
            )
        return [download(name, hub, revision, progress) for hub in hubs]

    def _places(self, name: str) -> list[str]:
        """Where the parts of a model come from, most models having one: folders, names, or ids."""
        card = presets.preset(name)
        places = [self._source_of(name) or name]
        if card and card.text_hub:
            places.append(self._source_of(name + presets.TEXT) or card.text_hub)
        return places

    def encoder(self, model: str, space: SpaceOptions | None = None) -> Encoder:
        """A model, loaded once for each space of it that is needed."""
        name, space = canonical(model), space or SpaceOptions()
        for (loaded, _), encoder in self._encoders.items():
            if loaded == name and space.fits(encoder.space):
                return encoder
        if (name, space) not in self._encoders:
            options = EncoderOptions(
                device=self._settings.device,
                precision=self._settings.precision,
                threads=self._settings.threads or None,
                batch_size=self._settings.batch_size,
                source=self._source_of(name),
                text_source=self._source_of(name + presets.TEXT),
                instruction=space.instruction,
                dimension=space.dimension,
            )
            self._encoders[name, space] = plugins.encoder_module(name).load(name, options)
        return self._encoders[name, space]


def model_cards() -> list[ModelCard]:
    """The models that are known by name."""
    modules = []
    for name in plugins.names(plugins.ENCODERS):
        with suppress(ImgSearchError):  # `doctor` tells of a plug-in that cannot be loaded
            modules.append(plugins.encoder_module(name))
    cards = {card.name: card for module in modules for card in module.CARDS}
    return sorted(cards.values(), key=lambda card: (card.parameters, card.name))


def _is_folder(place: str) -> bool:
    return os.path.isdir(os.path.expanduser(place))


def canonical(model: str) -> str:
    """The one name of a model: a folder's absolute path, and a preset's own name for its hub id."""
    plain = model.removeprefix(SCHEME)
    if os.path.isdir(plain):
        return os.path.realpath(plain)
    return presets.short_name(plain)
