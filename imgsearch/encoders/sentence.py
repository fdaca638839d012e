"""Any cross-modal model that sentence-transformers can load, as an `imgsearch.ports.Encoder`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from imgsearch.encoders import presets
from imgsearch.encoders.model_folder import ModelFolder, find_model
from imgsearch.encoders.options import (
    choose_device,
    choose_dtype,
    limit_threads,
)
from imgsearch.encoders.quiet import no_progress_bars
from imgsearch.errors import EncoderError
from imgsearch.model_records import EncoderOptions, InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

LONGEST = 32
"""How many times longer than wide a picture may be. A longer one is cropped to its middle: models
that scale the shorter side to 224 pixels would make gigabytes of a line of 20000 pixels."""


class SentenceEncoder:
    """A SentenceTransformer behind the port `Encoder`.

    Parameters
    ----------
    model : SentenceTransformer
        Takes texts and pictures.
    batch_size : int
        Inputs that go through the network together.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        space: EmbeddingSpace,
        card: ModelCard,
        input_size: InputSize,
        batch_size: int = 32,
    ) -> None:
        self._model = model
        self._space = space
        self._card = card
        self._input_size = input_size
        self._batch_size = batch_size

    @property
    def model(self) -> SentenceTransformer:
        """What computes the vectors."""
        return self._model

    @property
    def space(self) -> EmbeddingSpace:
        return self._space

    @property
    def card(self) -> ModelCard:
        return self._card

    @property
    def input_size(self) -> InputSize:
        return self._input_size

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        """One row per picture, in order.

        Parameters
        ----------
        images : sequence of ndarray of shape (height, width, 3), uint8
            sRGB, the right way up.

        Returns
        -------
        ndarray of shape (n, dimension), float32, C-order, unit norm

        Raises
        ------
        EncoderError
            The network computed something that is not a number.
        """
        pictures = [Image.fromarray(_crop(pixels)) for pixels in images]
        return self._rows(self._model.encode_document, pictures)

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        """One row per text, in order; shape, dtype and errors as `encode_images`.

        Parameters
        ----------
        instruction : str or None
            Put before each text, for models that were trained with instructions; None means the
            model's own for queries, if it has one.
        """
        return self._rows(self._model.encode_query, list(texts), prompt=instruction)

    def _rows(self, encode: Any, inputs: list[Any], **options: Any) -> Embeddings:
        if not inputs:
            return np.empty((0, self._space.dimension), np.float32)
        tensor = encode(
            inputs,
            batch_size=self._batch_size,
            show_progress_bar=False,
            convert_to_tensor=True,
            **options,
        )
        rows = tensor.float().cpu().numpy()
        if not np.isfinite(rows).all():
            raise EncoderError(
                f"the model {self._space.model} computed values that are not numbers",
                "Try --precision fp32.",
            )
        return normalize(rows)


def load(name: str, options: EncoderOptions | None = None) -> SentenceEncoder:
    """The model of that name, from this machine only.

    Parameters
    ----------
    name : str
        Path of a folder, a preset, or a name on the Hugging Face hub that is in the local cache.
        Where `options.source` is given, the weights are looked for there.

    Raises
    ------
    EncoderError
        It is not on this machine, needs code of its own, has no safetensors, cannot be loaded,
        or does not take both texts and pictures; or the options cannot be met.
    """
    options = options or EncoderOptions()
    limit_threads(options.threads)
    device = choose_device(options.device)
    dtype = choose_dtype(options.precision, device)
    folder = find_model(name, options.source)
    _require(presets.preset(folder.name))
    model = _load(folder, device, dtype)
    missing = [kind for kind in ("text", "image") if not model.supports(kind)]
    if missing:
        raise EncoderError(
            f"the model {name} does not take {' or '.join(missing)} input",
            "Choose a model for both texts and pictures, such as a CLIP or a SigLIP.",
        )
    _pad_texts_as_trained(model)
    size, preprocessing = describe_input(model)
    space = EmbeddingSpace(folder.name, folder.revision, preprocessing, _dimension(model))
    return SentenceEncoder(model, space, _card(folder, model), size, options.batch_size)


def describe_input(model: SentenceTransformer) -> tuple[InputSize, str]:
    """How large pictures have to be for a model, and in words what it does with them.

    A size that depends on the picture ("at most so many pixels") is described by its processor's
    name only, and pictures go in at up to 2048 pixels, so that a few dozen of them fit in memory.
    """
    processor = getattr(model.processor, "image_processor", model.processor)
    name = type(processor).__name__.removesuffix("Pil").removesuffix("Fast")
    edges = dict(getattr(processor, "size", None) or {})
    edges = {edge: pixels for edge, pixels in edges.items() if pixels}
    if edges.keys() == {"shortest_edge"}:
        crop = "crop" if getattr(processor, "do_center_crop", False) else "whole"
        return InputSize(short=edges["shortest_edge"]), f"{name} {edges['shortest_edge']} {crop}"
    if edges.keys() == {"height", "width"}:
        text = f"{name} {edges['width']}x{edges['height']}"
        return InputSize(short=max(edges.values())), text
    return InputSize(long=2048), name


def _require(card: ModelCard | None) -> None:
    """Raise `EncoderError` where a package that a preset needs is not installed."""
    lacking = [package for package in (card.needs if card else ()) if not find_spec(package)]
    if card and lacking:
        raise EncoderError(
            f"the model {card.name} needs {', '.join(lacking)}, which is not installed",
            "Install the build of it that belongs to your PyTorch, or choose another model:"
            " imgsearch models",
        )


def _load(folder: ModelFolder, device: torch.device, dtype: torch.dtype) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    try:
        with no_progress_bars():
            return SentenceTransformer(
                str(folder.path),
                device=str(device),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"dtype": dtype, "use_safetensors": True},
            )
    except EncoderError:
        raise
    except Exception as error:  # whatever the libraries make of a damaged or unknown model
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise EncoderError(
            f"the model {folder.name} cannot be loaded: {reason}",
            "Check that the folder is complete and that its architecture needs no code of its own.",
        ) from error


def _pad_texts_as_trained(model: SentenceTransformer) -> None:
    """SigLIP was trained on texts that are all padded to the longest, and reads the padding.

    sentence-transformers 6 pads to the longest of a batch, so that the vector of a text would
    depend on its neighbours.
    """
    config: Any = model.config
    reader: Any = model[0]
    if getattr(config, "model_type", "") in ("siglip", "siglip2"):
        own = reader.processing_kwargs.get("text", {})
        longest = config.text_config.max_position_embeddings
        fixed = {"padding": "max_length", "max_length": longest, "truncation": True}
        reader.processing_kwargs = {**reader.processing_kwargs, "text": fixed | own}


def _dimension(model: SentenceTransformer) -> int:
    return model.get_embedding_dimension() or len(model.encode(["a"], show_progress_bar=False)[0])


def _card(folder: ModelFolder, model: SentenceTransformer) -> ModelCard:
    known = presets.preset(folder.name)
    if known:
        return known
    kind = getattr(model.config, "model_type", None) or type(model[0]).__name__
    return ModelCard(name=folder.name, summary=f"A model of the kind {kind}.")


def _crop(pixels: Pixels) -> Pixels:
    """The middle of a picture that is more than `LONGEST` times as long as it is wide."""
    rows, columns = pixels.shape[:2]
    most = LONGEST * min(rows, columns)
    top, left = max(0, rows - most) // 2, max(0, columns - most) // 2
    return pixels[top : top + most, left : left + most]
