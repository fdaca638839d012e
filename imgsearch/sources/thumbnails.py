"""Thumbnails as JPEG."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from PIL import Image

from imgsearch.ports import Decoder
from imgsearch.records import ImageFile, Skipped, Thumbnail
from imgsearch.vectors import Pixels

_QUALITY = 80


def thumbnails(decoder: Decoder, files: Iterable[ImageFile]) -> Iterator[Thumbnail | Skipped]:
    """One result per file, in any order, in the size that the decoder returns."""
    for result in decoder.decode(files):
        if isinstance(result, Skipped):
            yield result
        else:
            height, width = result.pixels.shape[:2]
            yield Thumbnail(result.file, width, height, _jpeg(result.pixels))


def _jpeg(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
