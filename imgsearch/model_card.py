"""What is said of a model and to a model: its card, its input, how it is to be run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputSize:
    """How large a decoded picture has to be for a model.

    A decoder may scale a picture down as long as the shorter side keeps `short` pixels, or the
    longer side `long` pixels, or the whole `area` pixels, whichever is set; it never scales up.
    All None: full size.
    """

    short: int | None = None
    long: int | None = None
    area: int | None = None

    def scale(self, width: int, height: int) -> float:
        """The factor, at most 1, by which a picture of this size may be scaled."""
        if self.short:
            return min(1.0, self.short / min(width, height))
        if self.long:
            return min(1.0, self.long / max(width, height))
        if self.area:
            return min(1.0, math.sqrt(self.area / (width * height)))
        return 1.0


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What people should know of a model before they rely on it.

    Attributes
    ----------
    languages : str
        Languages of text queries, in words; "" where unknown.
    scripts : tuple of str
        Unicode scripts that a query may be written in ("LATIN",); empty means any.
    limits : str
        What it cannot find, in one or two sentences; "" where unknown.
    alternative : str
        A model for queries in other languages; "" where none is needed.
    hub : str
        Where its weights are published: an id of the Hugging Face hub; "" where it needs none.
    text_hub : str
        Where those of its text tower are, for a model of two parts; `hub` is then that of the
        tower for pictures. "" for all others.
    parameters, dimension : int
        How many weights it has, and how long its vectors are; 0 where unknown.
    dimensions : sequence of int
        Shorter lengths at which its vectors were trained to be cut (Matryoshka representation
        learning, Kusupati et al. 2022); empty where they were not.
    instructions : bool
        True if it was trained to be told what to look for.
    query_instruction, document_instruction : str
        What it is told about queries and about pictures unless the user says otherwise.
    speed : str
        In words, what it takes to be usable; "" where unknown.
    needs : tuple of str
        Packages that have to be installed beside imgsearch.
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
    speed: str = ""
    needs: tuple[str, ...] = ()

    @property
    def bf16_bytes(self) -> int:
        """Memory of the weights in bf16: two bytes for each. Running it takes more than that."""
        return 2 * self.parameters


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How a model is to be run.

    Attributes
    ----------
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    precision : str
        What the network computes in: "auto", "fp32", "bf16", "fp16", or "autocast" (weights in
        float32, products in bf16 or fp16). Vectors are float32 always. "auto" is bf16 where the
        device has instructions for it (CUDA 8.0, AMX, AVX512-BF16), fp16 on older CUDA devices,
        and fp32 elsewhere, where half precision is slower or less exact.
    threads : int or None
        Processor threads for the whole process; None leaves torch's choice.
    batch_size : int
        Inputs that go through the network together; 0 leaves it to the encoder, which knows what
        one of them takes and how much memory is free.
    source : str
        A folder, or an id of the Hugging Face hub, to take the weights from instead of the place
        that the model's name stands for; "" for that place.
    text_source : str
        The same for the text tower of a model of two parts.
    instruction : str
        What the model is told about pictures; "" is its own document instruction.
    dimension : int
        How many numbers a vector has; 0 is as many as the model gives.
    """

    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    batch_size: int = 0
    source: str = ""
    text_source: str = ""
    instruction: str = ""
    dimension: int = 0
