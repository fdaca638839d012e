"""A model's card, its input size, and the options to run it with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Preparation(Protocol):
    """The exact steps from a decoded image to the input of a model, as data.

    Hashable, and sent to decoder processes, which apply it: so it is defined in a module that
    imports nothing heavier than Pillow. Images are `PIL.Image.Image`, sRGB, 8 bits per channel;
    mean and deviation are applied on the device.
    """

    def decoded_size(self, width: int, height: int) -> tuple[int, int] | None:
        """Width and height to which a decoder scales an image; None to follow `InputSize`."""

    def final_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the model's input. An image of that size is not changed."""

    def apply(self, image: Any) -> Any:
        """The model's input. Applying it again changes nothing."""


@dataclass(frozen=True, slots=True)
class InputSize:
    """The size at which a model needs decoded images, and the steps from there to its input.

    A decoder may scale an image down as long as its shorter side keeps `short` pixels, its longer
    side `long` pixels, or all of it `area` pixels, whichever is set; it never scales up. If all
    are None, the model needs the full size. With a `preparation`, the decoder delivers the model's
    input itself.
    """

    short: int | None = None
    long: int | None = None
    area: int | None = None
    preparation: Preparation | None = None

    def decoded_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height to which a decoder scales an image of this size."""
        exact = self.preparation and self.preparation.decoded_size(width, height)
        factor = self.scale(width, height)
        return exact or (max(1, round(width * factor)), max(1, round(height * factor)))

    def scale(self, width: int, height: int) -> float:
        """The factor, at most 1, by which an image of this size may be scaled."""
        if self.short:
            return min(1.0, self.short / min(width, height))
        if self.long:
            return min(1.0, self.long / max(width, height))
        if self.area:
            return min(1.0, math.sqrt(self.area / (width * height)))
        return 1.0


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Facts about a model that users need before they rely on it.

    Attributes
    ----------
    languages : str
        Languages of text queries, in words; "" if unknown.
    scripts : tuple of str
        Unicode scripts of queries, such as ("LATIN",); empty for any.
    limits : str
        What it cannot find, in one or two sentences; "" if unknown.
    alternative : str
        A model for queries in other languages; "" if none is needed.
    hub : str
        Id of its weights on the Hugging Face hub; "" if they come with a package.
    text_hub : str
        Id of its text tower, for a two-part model, whose image tower is then `hub`; "" for all
        others.
    parameters, dimension : int
        Number of weights, and length of its vectors; 0 if unknown.
    dimensions : sequence of int
        Shorter lengths to which its vectors may be cut, because they were trained for that
        (Matryoshka representation learning, Kusupati et al. 2022); empty if they were not.
    instructions : bool
        True if it was trained to follow instructions.
    query_instruction, document_instruction : str
        Default instructions for queries and for pictures.
    visual_tokens : int
        Maximum number of visual tokens of a picture unless `EncoderOptions` has another; 0 for a
        model whose pictures have one size.
    speed : str
        The hardware it needs to be usable, in words; "" if unknown.
    needs : tuple of str
        Packages that must be installed beside imgsearch.
    """

    name: str
    summary: str
    languages: str = ""
    scripts: tuple[str, ...] = ()
    limits: str = ""
    licence: str = ""
    alternative: str = ""
    hub: str = ""
    text_hub: str = ""
    parameters: int = 0
    dimension: int = 0
    dimensions: Sequence[int] = ()
    instructions: bool = False
    query_instruction: str = ""
    document_instruction: str = ""
    visual_tokens: int = 0
    speed: str = ""
    needs: tuple[str, ...] = ()

    @property
    def bf16_bytes(self) -> int:
        """Bytes of the weights in bf16, two for each; running the model takes more."""
        return 2 * self.parameters


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """Options to run a model with.

    Attributes
    ----------
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    precision : str
        Precision of the network: "auto", "fp32", "bf16", "fp16", or "autocast" (weights in
        float32, products in bf16 or fp16). Vectors are always float32. "auto" is bf16 on devices
        with instructions for it (CUDA 8.0, AMX, AVX512-BF16), fp16 on older CUDA devices, and fp32
        elsewhere, where half precision is slower or less exact.
    threads : int or None
        CPU threads for the whole process; None keeps torch's choice.
    batch_size : int
        Inputs per pass through the network; 0 lets the encoder choose, from the memory that one
        input takes and the memory that is free.
    source : str
        A folder or a hub id to load the weights from, instead of the place that belongs to the
        model's name; "" for that place.
    text_source : str
        The same for the text tower of a two-part model.
    instruction : str
        The instruction for pictures; "" is the model's own document instruction.
    dimension : int
        Length of the vectors; 0 is the length that the model gives.
    visual_tokens : int
        Maximum number of visual tokens of a picture; 0 is the model's own.
    """

    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    batch_size: int = 0
    source: str = ""
    text_source: str = ""
    instruction: str = ""
    dimension: int = 0
    visual_tokens: int = 0
