"""Models by name and by default.

Which models exist, which one a new library gets, where its weights are, and loading it once.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from imgsearch import plugins
from imgsearch.encoders import presets
from imgsearch.encoders.download import Download, Follow, download
from imgsearch.encoders.gme import SCHEME
from imgsearch.encoders.gme import revision as gme_revision
from imgsearch.errors import EncoderError, ImgSearchError, MissingExtra
from imgsearch.model_card import EncoderOptions, ModelCard
from imgsearch.ports import Encoder, EncoderModule
from imgsearch.settings import Settings
from imgsearch.vectors import SpaceOptions

LARGE_MODEL = "gme-qwen2-vl-2b"
SMALL_MODEL = "builtin"
MIN_GPU_BYTES = 6_000_000_000
"""Memory of a GPU that holds `LARGE_MODEL` in half precision with room for a small batch: the
weights take 4.4 GB. A card sold as 6 GB has slightly more than this."""


@dataclass(frozen=True, slots=True)
class DefaultModel:
    """The model for a new library, and the reason for it in words."""

    name: str
    reason: str


class Registry:
    """Models by name, with their places, device and precision from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._encoders: dict[tuple[str, SpaceOptions], Encoder] = {}
        self._automatic: DefaultModel | None = None

    @property
    def automatic_in_use(self) -> bool:
        """True once `automatic` was read, which happens only if no model was named."""
        return self._automatic is not None

    @property
    def automatic(self) -> DefaultModel:
        """The model for a new library if none was named, and why."""
        if self._automatic is None:
            self._automatic = default_model(self._settings.device, self._source_of(LARGE_MODEL))
        return self._automatic

    def listed(self) -> list[tuple[ModelCard, str]]:
        """All named models, smallest first, each with the reason it cannot be used, or ""."""
        return [(card, self.obstacle(card.name)) for card in model_cards()]

    def obstacle(self, model: str) -> str:
        """The reason a model cannot be used here, or ""."""
        try:
            self.revision(model)
        except (EncoderError, MissingExtra) as error:
            return str(error)
        return ""

    def is_here(self, model: str) -> bool:
        """True if the model is on this machine."""
        return not self.obstacle(model)

    def revision(self, model: str) -> str:
        """The revision of a model's space, without loading it.

        Raises
        ------
        EncoderError
            The model is not on this machine, or its server cannot be used.
        """
        places = {
            "source": self._source_of(model),
            "text_source": self._source_of(model + presets.TEXT),
        }
        module = self._module(model)
        return module.revision(model, **{name: place for name, place in places.items() if place})

    def card(self, model: str) -> ModelCard | None:
        """The card of a named model; None for a folder or a hub id."""
        name = canonical(model)
        served = plugins.is_url(self._source_of(name))
        cards = model_cards() if served else plugins.encoder_module(name).CARDS
        return next((card for card in cards if card.name == name), None)

    def servers(self) -> list[tuple[str, str]]:
        """The models that run on a server, each with its URL for messages."""
        named = self._named_places
        return [(name, _shown(place)) for name, place in named.items() if plugins.is_url(place)]

    @cached_property
    def _named_places(self) -> dict[str, str]:
        """The places of models in the settings, by canonical name."""
        return {
            canonical(name): place.removeprefix(SCHEME) for name, place in self._settings.models
        }

    def _module(self, model: str) -> EncoderModule:
        """The module that loads a model, or reaches the server that runs it."""
        place = self._source_of(model)
        return (
            plugins.model_server(place) if plugins.is_url(place) else plugins.encoder_module(model)
        )

    def _source_of(self, model: str) -> str:
        """The place of a model in the settings; "" if they name none.

        A server may run any model, also one that has no short name.
        """
        places = self._named_places
        weights = [name for name, place in places.items() if not plugins.is_url(place)]
        presets.require_known(weights, "[models] in the settings")
        return places.get(model, "")

    def hubs(self, model: str) -> list[str]:
        """The hub ids of the parts of a model that can be downloaded; most models have one part.

        Raises
        ------
        EncoderError
            The model needs no download.
        MissingExtra
            A package that it needs is not installed.
        """
        name = canonical(model)
        if url := dict(self.servers()).get(name):
            raise EncoderError(
                f"{name} runs on {url} and needs no download",
                "To run it on this machine, remove its line from [models] in the settings.",
            )
        places = self._places(name)
        hubs = [presets.hub_id(each) for each in places if not _is_folder(each)]
        if not hubs:
            raise EncoderError(
                f"{model} is the folder {places[0]} and needs no download",
                f"Use it: imgsearch index --model {model} FOLDER",
            )
        plugins.encoder_module(name)
        if "/" not in hubs[0]:
            raise EncoderError(
                f"{name} comes with its package and needs no download",
                f"Use it: imgsearch index --model {name} FOLDER",
            )
        return hubs

    def download(
        self,
        model: str,
        revision: str | None = None,
        progress: bool = True,
        follow: Follow | None = None,
    ) -> list[Download]:
        """Fetch a model from the hub; nothing else in imgsearch uses the network.

        Returns
        -------
        list of Download
            One, or one for each part of a two-part model.

        Raises
        ------
        EncoderError
            The model needs no download or cannot be fetched, or a file does not match what the
            hub lists.
        DownloadStopped
            `follow` stopped it.
        """
        name, hubs = canonical(model), self.hubs(model)
        if revision and len(hubs) > 1:
            raise EncoderError(
                f"{name} has two parts, and {revision} can be a revision of only one of them",
                "Fetch each by its id: "
                + "; ".join(f"imgsearch models download {hub} --revision REV" for hub in hubs),
            )
        return [download(name, hub, revision, progress, follow) for hub in hubs]

    def _places(self, name: str) -> list[str]:
        """Sources of a model's parts (most models have one): folders, names or hub ids."""
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
                visual_tokens=space.visual_tokens,
            )
            self._encoders[name, space] = self._module(name).load(name, options)
        return self._encoders[name, space]


def default_model(device: str, source: str = "") -> DefaultModel:
    """`LARGE_MODEL` if it runs on a server, or its weights are here and a CUDA GPU can hold them;
    else `SMALL_MODEL`.

    Parameters
    ----------
    device : str
        As `EncoderOptions.device`: only "auto" and CUDA devices can lead to `LARGE_MODEL`.
    source : str
        Where to look for the weights of `LARGE_MODEL`, or the URL of its server; "" for the usual
        place.
    """
    if plugins.is_url(source):
        return DefaultModel(LARGE_MODEL, f"{_shown(source)} runs it")
    try:
        gme_revision(LARGE_MODEL, source)
    except EncoderError:
        return DefaultModel(SMALL_MODEL, f"the weights of {LARGE_MODEL} are not on this machine")
    name, memory = gpu(device)
    if memory < MIN_GPU_BYTES:
        actual = f"{name} has {memory / 1e9:.1f} GB" if memory else "no CUDA GPU is used"
        needed = f"{LARGE_MODEL} needs a CUDA GPU with {MIN_GPU_BYTES / 1e9:.0f} GB"
        return DefaultModel(SMALL_MODEL, f"{needed}; {actual}")
    return DefaultModel(LARGE_MODEL, f"its weights are here, and {name} has {memory / 1e9:.0f} GB")


def gpu(device: str) -> tuple[str, int]:
    """Name and memory in bytes of the CUDA device that would be used; ("", 0) without one."""
    if device != "auto" and not device.startswith("cuda"):
        return "", 0
    import torch

    if not torch.cuda.is_available():
        return "", 0
    number = int(device.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        return "", 0
    properties = torch.cuda.get_device_properties(number)
    return properties.name, properties.total_memory


def model_cards() -> list[ModelCard]:
    """The cards of all named models, smallest model first."""
    modules = []
    for name in plugins.names(plugins.ENCODERS):
        with suppress(ImgSearchError):  # `doctor` reports a plug-in that cannot be loaded
            modules.append(plugins.encoder_module(name))
    cards = {card.name: card for module in modules for card in module.CARDS}
    return sorted(cards.values(), key=lambda card: (card.parameters, card.name))


def _shown(url: str) -> str:
    """A URL without a password and options."""
    return re.sub(r"//[^/]*@", "//", url.partition("?")[0])


def _is_folder(place: str) -> bool:
    return os.path.isdir(os.path.expanduser(place))


def canonical(model: str) -> str:
    """The canonical name of a model: absolute path of a folder, or preset for a hub id."""
    plain = model.removeprefix(SCHEME)
    if os.path.isdir(plain):
        return os.path.realpath(plain)
    return presets.short_name(plain)
