"""Cross-modal models that sentence-transformers can load, as an `imgsearch.ports.Encoder`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from imgsearch.encoders import presets
from imgsearch.encoders.batch_encoder import BatchedEncoder
from imgsearch.encoders.capabilities import (
    choose_dimension,
    refuse_document_instruction,
    refuse_visual_tokens,
)
from imgsearch.encoders.devices import (
    autocasting,
    choose_device,
    choose_weights_dtype,
    limit_threads,
)
from imgsearch.encoders.memory import (
    MAX_CPU_BATCH,
    fitting_batch,
    image_bytes,
)
from imgsearch.encoders.model_folder import ModelFolder, find_model, matryoshka_dimensions
from imgsearch.encoders.preparation import FixedSize, fixed_size
from imgsearch.encoders.transformers_logging import no_progress_bars
from imgsearch.errors import EncoderError
from imgsearch.model_card import EncoderOptions, InputSize, ModelCard
from imgsearch.vectors import EmbeddingSpace, Pixels

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

ASSUMED_SIDE_PIXELS = 1024
"""Side of an image in the network if it depends on the picture."""
CORE_BATCH = 4
"""Pictures that a core computes at a time: with one it takes half as long again for each."""


class SentenceEncoder(BatchedEncoder):
    """A SentenceTransformer that implements the port `Encoder`.

    Parameters
    ----------
    model : SentenceTransformer
        Must take texts and pictures, or one of them if only that is ever encoded.
    space, batch_size, alike
        As in `BatchedEncoder`.
    autocast : torch.dtype, optional
        Compute in this dtype; the weights keep theirs.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        space: EmbeddingSpace,
        card: ModelCard,
        input_size: InputSize,
        batch_size: int = MAX_CPU_BATCH,
        autocast: torch.dtype | None = None,
        alike: bool = True,
    ) -> None:
        # With pixels alone, no processor of transformers runs in several threads.
        core_batch = CORE_BATCH * isinstance(input_size.preparation, FixedSize)
        super().__init__(
            space, card, input_size, batch_size, alike, model.device, core_batch=core_batch
        )
        self._model = model
        model.eval()
        self._autocast = autocast

    @property
    def model(self) -> SentenceTransformer:
        """The model that computes the vectors."""
        return self._model

    def image_features(self, images: Sequence[Pixels]) -> dict[str, Any]:
        """Pixels in their final size, or pictures for the image processor of the model."""
        from imgsearch.encoders.engine import host_pixels

        if isinstance(self._input_size.preparation, FixedSize):
            pixels = host_pixels([len(images), *images[0].shape], self._model.device)
            np.stack(images, out=pixels.numpy())
            return {"pixels": pixels}
        return {"pictures": [Image.fromarray(image) for image in images]}

    def text_features(self, texts: Sequence[str], instruction: str | None) -> dict[str, Any]:
        """The texts, which sentence-transformers reads."""
        return {"texts": list(texts), "prompt": instruction}

    def rows(self, features: dict[str, Any]) -> torch.Tensor:
        """Rows of pixels, or of what sentence-transformers reads itself."""
        if "pixels" in features:
            return self._rows_of_pixels(features["pixels"])
        if "texts" in features:
            prompt = features["prompt"]
            return self._tensor(self._model.encode_query, features["texts"], prompt=prompt)
        prompt = self._space.instruction or None
        return self._tensor(self._model.encode_document, features["pictures"], prompt=prompt)

    def _rows_of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Rows of pictures (n, height, width, 3), uint8, on the device in their final size."""
        import torch

        scale = PixelScale.of(image_processor(self._model))
        with torch.inference_mode(), autocasting(self._model.device, self._autocast):
            features = {"pixel_values": scale(pixels), "modality": "image"}
            rows: torch.Tensor = self._model(features)["sentence_embedding"]
        return rows

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


@dataclass(frozen=True, slots=True)
class PixelScale:
    """The values of pixels in a network: (pixel * factor - mean) / deviation for each channel."""

    factor: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, processor: Any) -> PixelScale:
        """That of an image processor of transformers."""
        factor = processor.rescale_factor if processor.do_rescale else 1.0
        if not processor.do_normalize:
            return cls(factor, (0.0,), (1.0,))
        return cls(factor, _channels(processor.image_mean), _channels(processor.image_std))

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (n, height, width, 3), uint8, as (n, 3, height, width), float32, contiguous."""
        import torch

        mean, deviation = (
            torch.tensor(each, device=pixels.device).view(-1, 1, 1)
            for each in (self.mean, self.deviation)
        )
        values = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        return values.mul_(self.factor).sub_(mean).div_(deviation)


def _channels(values: Any) -> tuple[float, ...]:
    """A value for each channel, or one for all, as image processors have both."""
    return tuple(values) if isinstance(values, (list, tuple)) else (float(values),)


def load(name: str, options: EncoderOptions | None = None) -> SentenceEncoder:
    """The model of that name, which must be on this machine.

    Parameters
    ----------
    name : str
        Path of a folder, a preset, or a hub id in the local cache. If `options.source` is set, the
        weights are loaded from there.

    Raises
    ------
    EncoderError
        The model is not on this machine, needs code of its own, has no safetensors, cannot be
        loaded, or does not take both texts and pictures; or an option cannot be met: no such
        device, a dimension that the model was not trained for, or an instruction for pictures or a
        number of visual tokens that it does not take.
    """
    options = options or EncoderOptions()
    limit_threads(options.threads)
    device = choose_device(options.device)
    weights, autocast = choose_weights_dtype(options.precision, device)
    folder = find_model(name, options.source)
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
    refuse_visual_tokens(card, options.visual_tokens)
    dimension = choose_dimension(card, options.dimension, dimension_of(model))
    instruction = _document_instruction(model, card, options.instruction)
    space = EmbeddingSpace(folder.name, folder.revision, preprocessing, dimension, instruction)
    batch = options.batch_size or batch_for(model, size, weights, device)
    return SentenceEncoder(model, space, card, size, batch, autocast, bool(size.short))


def batch_for(
    model: SentenceTransformer, size: InputSize, weights: torch.dtype, device: torch.device
) -> int:
    """Pictures per pass through a model, from the memory that is free."""
    each = image_bytes(model.config, size.short or ASSUMED_SIDE_PIXELS, weights.itemsize)
    return fitting_batch(device, each)


def describe_input(model: SentenceTransformer) -> tuple[InputSize, str]:
    """The image size that a model needs, and a description of its preprocessing.

    If the size depends on the picture (a maximum number of pixels), the description is only the
    name of the processor, and pictures have up to 2048 pixels a side, so that a few dozen of them
    fit in memory.
    """
    processor = image_processor(model)
    steps = fixed_size(processor) if _reads_pixels(model) else None
    name = type(processor).__name__.removesuffix("Pil").removesuffix("Fast")
    edges = dict(getattr(processor, "size", None) or {})
    edges = {edge: pixels for edge, pixels in edges.items() if pixels}
    if edges.keys() == {"shortest_edge"}:
        crop = "crop" if getattr(processor, "do_center_crop", False) else "whole"
        text = f"{name} {edges['shortest_edge']} {crop}"
        return InputSize(short=edges["shortest_edge"], preparation=steps), text
    if edges.keys() == {"height", "width"}:
        text = f"{name} {edges['width']}x{edges['height']}"
        return InputSize(short=max(edges.values()), preparation=steps), text
    return InputSize(long=2048), name


def image_processor(model: SentenceTransformer) -> Any:
    """The processor of transformers for pictures."""
    return getattr(model.processor, "image_processor", model.processor)


def _reads_pixels(model: SentenceTransformer) -> bool:
    """True if the network takes pixels alone, and its processor runs with its own settings.

    A model that reads conversations needs the words around a picture.
    """
    from sentence_transformers.base.modules import Transformer

    reader = model[0]
    if not isinstance(reader, Transformer) or "message" in reader.modality_config:
        return False
    changed = {"image", "common"} & reader.processing_kwargs.keys()
    return "image" in reader.modality_config and not changed


def open_model(
    folder: ModelFolder, device: torch.device, dtype: torch.dtype
) -> SentenceTransformer:
    """Load the model in a folder onto a device; `EncoderError` if that fails."""
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
    except Exception as error:  # a damaged or unknown model makes the libraries raise anything
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise EncoderError(
            f"the model {folder.name} cannot be loaded: {reason}",
            "Check that the folder is complete and that its architecture needs no code of its own.",
        ) from error


def _pad_texts_as_trained(model: SentenceTransformer) -> None:
    """Pad the texts of a SigLIP to its maximum length.

    It was trained on such texts and reads the padding. sentence-transformers 6 pads to the longest
    text of a batch, so that a text's vector would depend on its neighbours.
    """
    config: Any = model.config
    reader: Any = model[0]
    if getattr(config, "model_type", "") in ("siglip", "siglip2"):
        own = reader.processing_kwargs.get("text", {})
        longest = config.text_config.max_position_embeddings
        fixed = {"padding": "max_length", "max_length": longest, "truncation": True}
        reader.processing_kwargs = {**reader.processing_kwargs, "text": fixed | own}


def _document_instruction(model: SentenceTransformer, card: ModelCard, instruction: str) -> str:
    """The instruction for pictures, or "" if the model takes none.

    sentence-transformers passes an instruction along with a picture only to models that read
    conversations; with a CLIP or a SigLIP, a prompt is prepended to texts only.
    """
    if not model.supports("message"):
        refuse_document_instruction(card, instruction)
        return ""
    return instruction or model.prompts.get("document") or ""


def dimension_of(model: SentenceTransformer) -> int:
    """Length of the vectors that the model returns."""
    return model.get_embedding_dimension() or len(model.encode(["a"], show_progress_bar=False)[0])


def _card(folder: ModelFolder, model: SentenceTransformer) -> ModelCard:
    preset = presets.preset(folder.name)
    if preset:
        return preset
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
