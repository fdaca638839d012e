"""Two models with one space: one for pictures, and one for texts that was aligned to it.

Reimers and Gurevych, "Making Monolingual Sentence Embeddings Multilingual using Knowledge
Distillation" (2020, arXiv:2004.09813): the text model learnt to return, for a text in any of its
languages, the vector that CLIP returns for its English translation. It fits only that CLIP.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsearch.encoders import presets
from imgsearch.encoders.capabilities import (
    choose_dimension,
    refuse_document_instruction,
    refuse_visual_tokens,
)
from imgsearch.encoders.devices import choose_device, choose_weights_dtype, limit_threads
from imgsearch.encoders.generic import (
    SentenceEncoder,
    batch_for,
    describe_input,
    dimension_of,
    open_model,
)
from imgsearch.encoders.model_folder import ModelFolder, find_model
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions, InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels


class TwoTowerEncoder:
    """Two models that together implement the port `Encoder`.

    Parameters
    ----------
    pictures, texts : SentenceEncoder
        Encoders of the same space; each encodes only the inputs it is named for.
    """

    def __init__(self, pictures: SentenceEncoder, texts: SentenceEncoder) -> None:
        pictures.space.require(texts.space)
        self._pictures = pictures
        self._texts = texts

    @property
    def pictures(self) -> SentenceEncoder:
        """The encoder of pictures."""
        return self._pictures

    @property
    def space(self) -> EmbeddingSpace:
        return self._pictures.space

    @property
    def card(self) -> ModelCard:
        return self._pictures.card

    @property
    def input_size(self) -> InputSize:
        return self._pictures.input_size

    @property
    def batch_size(self) -> int:
        """Pictures per pass through the network."""
        return self._pictures.batch_size

    @property
    def window(self) -> int:
        """As `SentenceEncoder.window`."""
        return self._pictures.window

    def encode_in_batches(self, images: Sequence[Pixels]) -> Iterator[tuple[list[int], Embeddings]]:
        """As `SentenceEncoder.encode_in_batches`."""
        return self._pictures.encode_in_batches(images)

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        """As `SentenceEncoder.encode_images`."""
        return self._pictures.encode_images(images)

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        """As `SentenceEncoder.encode_texts`."""
        return self._texts.encode_texts(texts, instruction)


def load(name: str, options: EncoderOptions) -> TwoTowerEncoder:
    """The preset of that name; both parts must be on this machine.

    Parameters
    ----------
    name : str
        A preset whose card has a `text_hub`.

    Raises
    ------
    EncoderError
        As `generic.load`, for either part; or their vectors differ in length.
    """
    card = presets.preset(name)
    assert card is not None
    limit_threads(options.threads)
    device = choose_device(options.device)
    weights, autocast = choose_weights_dtype(options.precision, device)
    refuse_document_instruction(card, options.instruction)
    refuse_visual_tokens(card, options.visual_tokens)
    parts = find_model(name, options.source), find_model(card.text_hub, options.text_source)
    models = [open_model(part, device, weights) for part in parts]
    for model, part, kind in zip(models, parts, ("image", "text"), strict=True):
        if not model.supports(kind):  # type: ignore[arg-type]
            raise EncoderError(
                f"{part.path}, a part of {name}, does not take {kind} input", _hint(name)
            )
    size, preprocessing = describe_input(models[0])
    dimension = choose_dimension(card, options.dimension, _common(name, *map(dimension_of, models)))
    space = EmbeddingSpace(name, _revision(parts), preprocessing, dimension)
    batch = options.batch_size or batch_for(models[0], size, weights, device)
    pictures, texts = (
        SentenceEncoder(model, space, card, size, batch, autocast, bool(size.short))
        for model in models
    )
    return TwoTowerEncoder(pictures, texts)


def _common(name: str, pictures: int, texts: int) -> int:
    if pictures != texts:
        raise EncoderError(
            f"the two parts of {name} do not fit together: vectors have {pictures} dimensions for"
            f" pictures and {texts} for texts",
            _hint(name),
        )
    return pictures


def _revision(parts: Sequence[ModelFolder]) -> str:
    return "+".join(part.revision for part in parts)


def _hint(name: str) -> str:
    return (
        f"Check {name} (pictures) and {name}{presets.TEXT} (texts) in the table [models] of the"
        " settings."
    )
