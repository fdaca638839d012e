"""The model that suits a machine, its user's languages and the size of a library."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgsearch.encoders.registry import LARGE_MODEL, MIN_GPU_BYTES, SMALL_MODEL, gpu
from imgsearch.settings import usable_cores

RETRIEVAL_MODEL = "qwen3-vl-embedding-2b"
LARGEST_MODEL = "qwen3-vl-embedding-8b"
FAST_MODEL = "siglip2-base-32"
MULTILINGUAL_MODEL = "siglip2-base"
DETAILED_MODEL = "siglip2-so400m"
MMEB_IMAGE_RETRIEVAL = {LARGE_MODEL: 66.9, RETRIEVAL_MODEL: 74.8, LARGEST_MODEL: 80.0}
"""Image retrieval in MMEB-V2, in percent, by the README of QwenLM/Qwen3-VL-Embedding."""
SMALL_LANGUAGES = {"ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt"} | {
    "ru",
    "th",
    "tr",
    "zh",
}
"""The languages that `SMALL_MODEL` reads. `RETRIEVAL_MODEL` and `LARGEST_MODEL` read more than 30
by their README, which does not list them: they are recommended for these widely used ones only."""
MIN_LARGEST_GPU_BYTES = 24_000_000_000
"""`LARGEST_MODEL` takes 16.3 GB in half precision. A card sold as 24 GB has slightly more
than this."""
MIN_DETAILED_GPU_BYTES = 4_000_000_000
"""`DETAILED_MODEL` takes 2.3 GB in half precision; the rest is room for a batch."""
MIN_RAM_BYTES = 4_000_000_000
"""`MULTILINGUAL_MODEL` and `FAST_MODEL` take 1.5 GB in float32, beside decoder processes
and the system."""
MAX_IMAGES_PER_CORE = 5_000
"""Without a GPU, a larger library gets `FAST_MODEL`, which computes a quarter of the patches."""

_LANGUAGE = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]+)*")
_LOCALE = re.compile(r"([a-z]{2,3})(?:[_.@-]|$)")


@dataclass(frozen=True, slots=True)
class Hardware:
    """The hardware of this machine.

    Attributes
    ----------
    gpu : str
        Name of the CUDA GPU; "" without one.
    gpu_bytes, ram_bytes : int
        Total memory of the GPU and of the machine.
    cores : int
        Cores that this process may use.
    """

    gpu: str
    gpu_bytes: int
    ram_bytes: int
    cores: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A model, and what speaks for it.

    Attributes
    ----------
    reason : str
        A predicate of which the model is the subject, in words.
    languages : tuple of str
        Codes of the languages it was chosen for.
    images : int
        Number of pictures it was chosen for; 0 if unknown.
    """

    model: str
    reason: str
    languages: tuple[str, ...]
    images: int
    hardware: Hardware


def present_hardware(device: str) -> Hardware:
    """The hardware of this machine; `device` as in `EncoderOptions`."""
    import psutil

    return Hardware(*gpu(device), psutil.virtual_memory().total, usable_cores())


def system_languages(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """English, and the language of the system, as codes of two or three letters."""
    env = os.environ if environment is None else environment
    locale = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    found = _LOCALE.match(locale)
    return ("en", found[1]) if found and found[1] != "en" else ("en",)


def primary_language(tag: str) -> str:
    """The language of a tag such as "pt-BR" or "de", in lower case; "" if it is not a tag."""
    found = _LANGUAGE.fullmatch(tag.strip())
    return found[1].lower() if found else ""


def recommend(hardware: Hardware, languages: Sequence[str], images: int) -> Recommendation:
    """The model for a machine, the languages of queries and a number of pictures.

    Parameters
    ----------
    languages : sequence of str
        Tags such as "en" and "pt-BR".
    images : int
        Pictures of the library; 0 if unknown.
    """
    spoken = tuple(dict.fromkeys(map(primary_language, languages)))
    if hardware.gpu_bytes >= MIN_DETAILED_GPU_BYTES:
        model, reason = _for_gpu(hardware, spoken)
    else:
        model, reason = _for_processor(hardware, spoken, images)
    return Recommendation(model, reason, spoken, images, hardware)


def _for_gpu(hardware: Hardware, spoken: Sequence[str]) -> tuple[str, str]:
    others = [each for each in spoken if each not in SMALL_LANGUAGES]
    if hardware.gpu_bytes < MIN_GPU_BYTES:
        return (
            DETAILED_MODEL,
            f"is the finest model for photos that fits into the memory of {hardware.gpu}",
        )
    if others:
        known = "was trained on 109 languages"
        unlisted = f"those of {RETRIEVAL_MODEL} are more than 30, but not listed"
        return DETAILED_MODEL, f"{known} ({unlisted}), and {hardware.gpu} makes it fast"
    model = LARGEST_MODEL if hardware.gpu_bytes >= MIN_LARGEST_GPU_BYTES else RETRIEVAL_MODEL
    points, default = MMEB_IMAGE_RETRIEVAL[model], MMEB_IMAGE_RETRIEVAL[LARGE_MODEL]
    return model, (
        f"reaches {points:.1f} % at image retrieval in MMEB-V2 ({LARGE_MODEL}: {default:.1f} %;"
        " both by the README of Qwen3-VL-Embedding), reads more than 30 languages, and"
        f" {hardware.gpu} holds it. Without a choice, a new library uses {LARGE_MODEL} once its"
        " weights are on this machine"
    )


def _for_processor(hardware: Hardware, spoken: Sequence[str], images: int) -> tuple[str, str]:
    if hardware.ram_bytes < MIN_RAM_BYTES:
        memory = f"{hardware.ram_bytes / 1e9:.1f} GB"
        reason = f"fits into the {memory} of memory that this machine has; others need 4 GB"
        unread = [each for each in spoken if each not in SMALL_LANGUAGES]
        return SMALL_MODEL, reason + (f". It does not read {', '.join(unread)}" if unread else "")
    understands = "understands sentences in many languages without a GPU"
    if images > MAX_IMAGES_PER_CORE * hardware.cores:
        cores = "1 core" if hardware.cores == 1 else f"{hardware.cores} cores"
        fastest = f"is the fastest that does so, for {images:,} pictures on {cores}"
        return FAST_MODEL, f"{understands}, and {fastest}"
    return MULTILINGUAL_MODEL, understands
