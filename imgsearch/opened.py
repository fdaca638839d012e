"""A library that is open: its settings, its catalog, its models and its index files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from imgsearch import plugins
from imgsearch.catalog import SqlCatalog, open_catalog
from imgsearch.encoders.registry import Registry, canonical
from imgsearch.errors import (
    CatalogError,
    EncoderError,
    LibraryBusy,
    LibraryMissing,
    SpaceMismatch,
)
from imgsearch.indexing.index_files import far_behind, rebuild, sync, worth_flushing
from imgsearch.model_card import InputSize
from imgsearch.ports import Decoder, Encoder, VectorIndex
from imgsearch.records import Revision
from imgsearch.settings import Settings
from imgsearch.sources.decoders import DecodeSettings, decoder_signature
from imgsearch.spaces import Asked, choose
from imgsearch.vectors import EmbeddingSpace

if TYPE_CHECKING:
    from imgsearch.sources.rendering import Renderer, UploadDecoder

MOST_IN_FLIGHT = 512
"""Pictures that are decoded or wait for the model; their pixels are bounded by the decoder, too."""
BATCH = 32
"""Pictures per commit at most, and per call of a model that does not say how many it wants."""
LOCK_WAIT_S = 3.0
"""A search may hold the lock for a moment, to write an index file."""
RENDER_SECONDS = 20.0
"""A picture that takes longer to be rendered for a browser is not shown."""
UPLOAD_BYTES = 64 << 20
UPLOAD_PIXELS = 100_000_000
UPLOAD_SECONDS = 20.0
"""What a picture may take that came over the network."""


class Opened:
    """What indexing and searching have in common.

    Parameters
    ----------
    say : callable
        Gets notes for the user, one sentence each.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda note: None) -> None:
        self.settings = settings
        self.say = say
        self.models = Registry(settings)

    @cached_property
    def catalog(self) -> SqlCatalog:
        """The catalog; raises `LibraryMissing` if there is none yet."""
        return open_catalog(self.settings.library)

    def upgrade(self) -> None:
        """Bring the catalog's schema up to date; opening it is what does it."""
        self.catalog.close()
        del self.catalog

    def create(self) -> SqlCatalog:
        """The catalog, made if there is none."""
        if "catalog" not in self.__dict__:
            self.catalog = open_catalog(self.settings.library, create=True)
        return self.catalog

    def close(self) -> None:
        """Close the catalog."""
        if "catalog" in self.__dict__:
            self.catalog.close()

    @property
    def model(self) -> str:
        """The model in use: the one that was asked for, else the library's, else `automatic`."""
        if self.settings.model:
            return canonical(self.settings.model)
        with suppress(LibraryMissing):
            default = self.catalog.default_space()
            if default is not None:
                return default.model
        return self.models.automatic.name

    def encoder(self) -> Encoder:
        """The model in use, loaded once, as the library has it."""
        model = self.model
        with suppress(LibraryMissing):
            known = self.catalog.known_spaces
            spaces = self._asked.fitting(known(filled=True), model)
            spaces = spaces or self._asked.fitting(known(), model)
            if spaces:
                return self._load(self._meant(spaces))
        return self.models.encoder(model, self._asked)

    def known_space(self) -> EmbeddingSpace | None:
        """The space of the model in use if this library has it already; loads no model."""
        model = self.model
        revision = self.models.revision(model)
        spaces = self._asked.fitting(self.catalog.known_spaces(), model)
        spaces = [space for space in spaces if space.revision == revision]
        return self._meant(spaces) if spaces else None

    @property
    def _asked(self) -> Asked:
        return Asked(self.settings.document_instruction, self.settings.dimension)

    def _meant(self, spaces: Sequence[EmbeddingSpace]) -> EmbeddingSpace:
        return choose(spaces, self.catalog.default_space())

    def _load(self, space: EmbeddingSpace) -> Encoder:
        """The model of a space, told and cut as then; it may have changed since."""
        try:
            return self.models.encoder(space.model, Asked(space.instruction, space.dimension))
        except EncoderError as error:
            if self.models.revision(space.model) == space.revision:
                raise
            raise SpaceMismatch(
                f"the model has changed since pictures were indexed with {space}: {error}",
                f"Index again: imgsearch index --model {space.model}",
            ) from error

    def _encoder_of(self, space: EmbeddingSpace) -> Callable[[], Encoder]:
        def load() -> Encoder:
            encoder = self._load(space)
            if encoder.space != space:
                raise SpaceMismatch(
                    f"the model has changed since pictures were indexed with it:\n"
                    f"  indexed with {space}\n  present      {encoder.space}",
                    f"Index again: imgsearch index --model {space.model}",
                )
            return encoder

        return load

    @property
    def _signature(self) -> str:
        return decoder_signature(self._decode_settings(InputSize()))

    def _decode_settings(self, size: InputSize) -> DecodeSettings:
        return DecodeSettings(max_pixels=self.settings.max_pixels, input_size=size)

    def decoder(self, size: InputSize, at_once: int = BATCH) -> Decoder:
        """Decoder processes as the settings have them; close them after use.

        Parameters
        ----------
        at_once : int
            Pictures per call of the model: there will be enough for two calls in flight, so that
            decoding goes on while it works.
        """
        from imgsearch.sources.decoder_pool import (
            ProcessDecoder,  # a run without news needs no Pillow
        )

        return ProcessDecoder(
            self._decode_settings(size),
            workers=self.settings.decoders,
            timeout_s=self.settings.decode_seconds,
            in_flight=min(2 * at_once, MOST_IN_FLIGHT),
        )

    def renderer(self) -> Renderer:
        """Processes that make pictures for browsers; close it after use."""
        from imgsearch.sources.rendering import Renderer

        return Renderer(self._decode_settings(InputSize()), self.settings.decoders, RENDER_SECONDS)

    def upload_decoder(self, size: InputSize) -> UploadDecoder:
        """A process that decodes pictures of strangers, with tighter bounds; close it after use."""
        from imgsearch.sources.rendering import UploadDecoder

        pixels = min(self.settings.max_pixels, UPLOAD_PIXELS)
        bounds = DecodeSettings(size, max_pixels=pixels, max_bytes=UPLOAD_BYTES)
        return UploadDecoder(bounds, UPLOAD_SECONDS)

    @property
    def index_folder(self) -> str:
        """Where the index files lie."""
        return os.path.join(self.catalog.folder, "index")

    def stored_index(self, space: EmbeddingSpace) -> VectorIndex:
        """The index of a space as it lies on disk; empty if there is none."""
        kind = plugins.index_class(self.settings.index)
        index: VectorIndex = kind(self.index_folder, self.catalog.uuid, space)
        return index

    def searched_index(self, space: EmbeddingSpace) -> VectorIndex:
        """The index of a space, brought up to the catalog, for somebody who waits for an answer.

        Nothing is trained here. A file is written only where it is missing, or so old that to
        replay what happened since would take longer again and again; and never mind if it cannot
        be, because someone else writes or the library is read-only.
        """
        index = self.stored_index(space)
        doubt = index.doubt
        if far_behind(self.catalog, index):
            with suppress(LibraryBusy, CatalogError, OSError), self.catalog.writer():
                rebuild(self.catalog, index)
                doubt = doubt or "too much has happened since it was written"
        doubt = sync(self.catalog, index) or doubt
        self._tell_rebuilt(doubt)
        if worth_flushing(index, waited_for=True):
            with suppress(LibraryBusy, CatalogError, OSError), self.catalog.writer():
                sync(self.catalog, index)  # or an older file could replace a newer one
                index.flush()
        return index

    def brought_up(self, space: EmbeddingSpace, anew: bool = False) -> tuple[VectorIndex, Revision]:
        """The index of a space as it should lie on disk; the caller holds the writer lock.

        Parameters
        ----------
        anew : bool
            Write and train it in any case.

        Returns
        -------
        index, flushed
            `flushed` is the revision of what was written here; 0 if nothing was.
        """
        index, flushed = self.stored_index(space), 0
        doubt = index.doubt
        if far_behind(self.catalog, index):
            rebuild(self.catalog, index, train=True)
            flushed = index.revision
        doubt = sync(self.catalog, index) or doubt
        if anew or index.due or worth_flushing(index):
            damage = index.check()  # what was written once is not written again unseen
            doubt = damage or doubt
            if damage:
                index.clear()
                rebuild(self.catalog, index, train=True)
            index.flush(train=True, anew=anew)
            flushed = index.revision
        self._tell_rebuilt(doubt)
        return index, flushed

    def _tell_rebuilt(self, doubt: str) -> None:
        if doubt:
            self.say(f"The index was rebuilt from the catalog: {doubt}.")
