"""Opens image files with the allowed decoders of Pillow, and the two that are added to it."""

from __future__ import annotations

import io

import pillow_heif
from PIL import Image, PngImagePlugin

from imgsearch.sources import tiff
from imgsearch.sources.formats import PILLOW_FORMATS

pillow_heif.register_heif_opener()
tiff.register()

# Long editing histories and workflows are stored as text and must not make the image unreadable.
PngImagePlugin.MAX_TEXT_CHUNK = 32 << 20

_OPENERS = tuple(tiff.OPENER if name == "TIFF" else name for name in PILLOW_FORMATS)


def open_image(data: bytes) -> Image.Image:
    """The image in these bytes, not loaded yet."""
    return Image.open(io.BytesIO(data), formats=_OPENERS)
