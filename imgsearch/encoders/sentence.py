"""Any cross-modal model that sentence-transformers can load, as an `imgsearch.ports.Encoder`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from imgsearch.encoders import presets
from imgsearch.encoders.asked import choose_dimension, refuse_document_instruction
from imgsearch.encoders.batches import halved, plan_batches, split_batches
from imgsearch.encoders.memory import (
    MOST_ON_PROCESSOR,
    fitting_batch,
    picture_bytes,
    release_unused,
    unless_out_of_memory,
)
from imgsearch.encoders.model_folder import ModelFolder, find_model, matryoshka_dimensions
from imgsearch.encoders.options import (
    autocasting,
    choose_device,
    choose_weights_dtype,
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

WINDOW = 8
"""Batches to look over at a time, where pictures go into the network in different sizes."""

GUESSED_SIDE = 1024
"""Pixels of a side, where the size depends on the picture."""


class SentenceEncoder:
    """A SentenceTransformer behind the port `Encoder`.

    Parameters
    ----------
    model : SentenceTransformer
        Takes texts and pictures, or one of them where the other is never asked for.
    space : EmbeddingSpace
        Its instruction is what the model is told about pictures. Its dimension may be smaller
        than the model's: the beginning of each vector is kept, at unit norm.
    batch_size : int
        Inputs that go through the network together. Halved, and remembered, when memory runs out.
    autocast : torch.dtype, optional
        Compute in this dtype while the weights stay in theirs.
    alike : bool
        True if the model brings all pictures to one size, so that any can share a batch.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        space: EmbeddingSpace,
        card: ModelCard,
        input_size: InputSize,
        batch_size: int = MOST_ON_PROCESSOR,
        autocast: torch.dtype | None = None,
        alike: bool = True,
    ) -> None:
        self._model = model
        self._space = space
        self._card = card
        self._input_size = input_size
        self.batch_size = batch_size
        self._autocast, self._alike = autocast, alike

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

    @property
    def window(self) -> int:
        """How many pictures `encode_in_batches` would like to have at once.

        Where all are brought to one size, a batch; else enough to sort them by size.
        """
        return self.batch_size * (1 if self._alike else WINDOW)

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
            The network computed something that is not a number, or there is too little memory
            for a single picture.
        """
        return self._together(len(images), self.encode_in_batches(images))

    def encode_in_batches(self, images: Sequence[Pixels]) -> Iterator[tuple[list[int], Embeddings]]:
        """Places among the pictures, each once, and their rows, as soon as they are computed."""
        areas = [float(image.shape[0] * image.shape[1]) for image in images]
        costs = [1.0] * len(images) if self._alike else areas

        told = self._space.instruction or None

        def encode(batch: list[int]) -> torch.Tensor:
            pictures = [Image.fromarray(_crop(images[place])) for place in batch]
            return self._tensor(self._model.encode_document, pictures, prompt=told)

        return self._stream(encode, plan_batches(costs, self.batch_size))

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        """One row per text, in order; shape, dtype and errors as `encode_images`.

        Parameters
        ----------
        instruction : str or None
            Put before each text, for models that were trained with instructions; None means the
            model's own for queries, if it has one.
        """

        def encode(batch: list[int]) -> torch.Tensor:
            words = [texts[place] for place in batch]
            return self._tensor(self._model.encode_query, words, prompt=instruction)

        # Longest first: a text is padded to the longest of its batch.
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        batches = split_batches([order], self.batch_size)
        return self._together(len(texts), self._stream(encode, batches))

    def _together(self, count: int, batches: Iterator[tuple[list[int], Embeddings]]) -> Embeddings:
        rows = np.empty((count, self._space.dimension), np.float32)
        for batch, found in batches:
            rows[batch] = found
        return rows

    def _stream(
        self, encode: Callable[[list[int]], torch.Tensor], batches: list[list[int]]
    ) -> Iterator[tuple[list[int], Embeddings]]:
        while batches:
            tensor = unless_out_of_memory(encode, batches[0])
            if tensor is None:
                batches = self._smaller(batches)
                continue
            batch, *batches = batches
            yield batch, self._checked(tensor.float().cpu().numpy())

    def _smaller(self, batches: list[list[int]]) -> list[list[int]]:
        """The batches that are left, halved because the first of them did not fit."""
        refusal = EncoderError(
            f"there is too little memory for {self._space.model}",
            "Close other programs, choose a smaller model, or use --device cpu.",
        )
        smaller, self.batch_size = halved(batches, refusal)
        release_unused()
        return smaller

    def _tensor(self, encode: Any, inputs: list[Any], **options: Any) -> torch.Tensor:
        with autocasting(self._model.device, self._autocast):
            tensor: torch.Tensor = encode(
                inputs,
                batch_size=len(inputs),
                show_progress_bar=False,
                convert_to_tensor=True,
                **options,
            )
        return tensor

    def _checked(self, rows: Embeddings) -> Embeddings:
        if not np.isfinite(rows).all():
            raise EncoderError(
                f"the model {self._space.model} computed values that are not numbers",
                "Try --precision fp32.",
            )
        return normalize(rows[:, : self._space.dimension])


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
        or does not take both texts and pictures; or the options cannot be met: no such device,
        a dimension that the model was not trained for, or an instruction for pictures where it
        takes none.
    """
    options = options or EncoderOptions()
    limit_threads(options.threads)
    device = choose_device(options.device)
    weights, autocast = choose_weights_dtype(options.precision, device)
    folder = find_model(name, options.source)
    _require(presets.preset(folder.name))
    model = open_model(folder, device, weights)
    missing = [kind for kind in ("text", "image") if not model.supports(kind)]
    if missing:
        raise EncoderError(
            f"the model {name} does not take {' or '.join(missing)} input",
            "Choose a model for both texts and pictures, such as a CLIP or a SigLIP.",
        )
    _pad_texts_as_trained(model)
    size, preprocessing = describe_input(model)
    card = _card(folder, model)
    dimension = choose_dimension(card, options.dimension, dimension_of(model))
    told = _document_instruction(model, card, options.instruction)
    space = EmbeddingSpace(folder.name, folder.revision, preprocessing, dimension, told)
    batch = options.batch_size or batch_for(model, size, weights, device)
    return SentenceEncoder(model, space, card, size, batch, autocast, bool(size.short))


def batch_for(
    model: SentenceTransformer, size: InputSize, weights: torch.dtype, device: torch.device
) -> int:
    """How many pictures should go through a model together, from the memory that is free."""
    each = picture_bytes(model.config, size.short or GUESSED_SIDE, weights.itemsize)
    return fitting_batch(device, each)


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


def open_model(
    folder: ModelFolder, device: torch.device, dtype: torch.dtype
) -> SentenceTransformer:
    """The model in a folder, on its device; `EncoderError` if it cannot be loaded."""
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


def _document_instruction(model: SentenceTransformer, card: ModelCard, asked: str) -> str:
    """What the model is told about pictures.

    sentence-transformers tells a picture something only where the model reads conversations; for
    a CLIP or a SigLIP a prompt stands before texts and nowhere else.
    """
    if not model.supports("message"):
        refuse_document_instruction(card, asked)
        return ""
    return asked or model.prompts.get("document") or ""


def dimension_of(model: SentenceTransformer) -> int:
    """How many numbers the vectors have that the model gives."""
    return model.get_embedding_dimension() or len(model.encode(["a"], show_progress_bar=False)[0])


def _card(folder: ModelFolder, model: SentenceTransformer) -> ModelCard:
    known = presets.preset(folder.name)
    if known:
        return known
    kind = getattr(model.config, "model_type", None) or type(model[0]).__name__
    query, document = (model.prompts.get(side) or "" for side in ("query", "document"))
    return ModelCard(
        name=folder.name,
        summary=f"A model of the kind {kind}.",
        dimensions=matryoshka_dimensions(folder.path),
        instructions=bool(query or document) or model.supports("message"),
        query_instruction=query,
        document_instruction=document,
    )


def _crop(pixels: Pixels) -> Pixels:
    """The middle of a picture that is more than `LONGEST` times as long as it is wide."""
    rows, columns = pixels.shape[:2]
    most = LONGEST * min(rows, columns)
    top, left = max(0, rows - most) // 2, max(0, columns - most) // 2
    return pixels[top : top + most, left : left + most]
