"""Which decoders there are and what they are held to; decides nothing else, and loads none.

A run that finds nothing new asks for the versions alone, and need not wait for Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from imgsearch.model_card import InputSize

_PACKAGES = ("pillow", "pillow-heif", "rawpy")


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How pictures are decoded.

    Attributes
    ----------
    input_size : InputSize
        How large the pixels have to be; anything beyond is scaled away.
    max_pixels : int
        Pictures with more pixels are skipped, judged by their header.
    max_bytes : int
        Files with more bytes are skipped.
    """

    input_size: InputSize = field(default_factory=InputSize)
    max_pixels: int = 250_000_000
    max_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class DecoderInfo:
    """A decoder for people to see: `version` is None where it is not installed."""

    name: str
    version: str | None
    formats: str
    hint: str = ""


def decoders() -> list[DecoderInfo]:
    """The decoders that can be had, installed or not."""
    from PIL import features

    avif = features.version("avif") if features.check("avif") else None
    return [
        DecoderInfo("pillow", _version("pillow"), "JPEG, PNG, WebP, GIF, TIFF, BMP and others"),
        DecoderInfo("libavif", avif, "AVIF", "" if avif else "Install a Pillow wheel with AVIF."),
        DecoderInfo("pillow-heif", _version("pillow-heif"), "HEIC, HEIF"),
        DecoderInfo(
            "rawpy",
            _version("rawpy"),
            "camera RAW (DNG, CR2, CR3, NEF, ARW, RAF and others)",
            "" if _version("rawpy") else "In your clone of imgsearch: pip install '.[raw]'",
        ),
    ]


def decoder_signature(settings: DecodeSettings) -> str:
    """What a verdict on a file depends on besides the file; stored beside what was skipped."""
    versions = ", ".join(f"{name} {_version(name) or '-'}" for name in _PACKAGES)
    avif = "with" if find_spec("PIL._avif") else "without"
    return f"{versions}, {avif} AVIF, limit {settings.max_pixels / 1e6:g} MP"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
