"""The available decoders, their versions and limits, without importing them.

A run that finds nothing new needs only the versions and does not wait for Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec

from imgsearch.model_card import InputSize

MEASURED_SIZE = InputSize(long=224)
"""The least size at which pictures are decoded to be measured. No published model takes smaller
ones, so that pictures are decoded as they would be without the measures."""
_PACKAGES = ("pillow", "pillow-heif", "rawpy")
_RULES = 3  # grows when files are read that were skipped before


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """Settings of the decoder.

    Attributes
    ----------
    input_size : InputSize
        The size that the model needs, to which larger images are scaled down, and the exact steps
        from there to its input.
    max_pixels : int
        Images whose header states more pixels are skipped.
    max_bytes : int
        Larger files are skipped.
    measured : bool
        Take the measures of each picture as well.
    """

    input_size: InputSize = field(default_factory=InputSize)
    max_pixels: int = 250_000_000
    max_bytes: int = 2 << 30
    measured: bool = False


@dataclass(frozen=True, slots=True)
class DecoderInfo:
    """A decoder, for display; `version` is None if it is not installed."""

    name: str
    version: str | None
    formats: str
    hint: str = ""


def decoders() -> list[DecoderInfo]:
    """The supported decoders, installed or not."""
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
    """Versions and limits that decide whether a file decodes; stored with each skipped file."""
    versions = ", ".join(f"{name} {_version(name) or '-'}" for name in _PACKAGES)
    avif = "with" if find_spec("PIL._avif") else "without"
    return f"{versions}, {avif} AVIF, rules {_RULES}, limit {settings.max_pixels / 1e6:g} MP"


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # decoder processes need neither

    try:
        return version(package)
    except PackageNotFoundError:
        return None
