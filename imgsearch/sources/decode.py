"""Decodes one file to RGB pixels; hash, EXIF and pixels come from the same bytes, read once.

The decoders are C code that handles files of unknown origin. `skip_reasons` turns their exceptions
into reasons, and `decoder_pool` contains what they do to their process.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pillow_heif
from PIL import Image, PngImagePlugin

from imgsearch.errors import QueryError
from imgsearch.model_card import InputSize
from imgsearch.records import Decoded, ImageFile, ImageMetadata, Skipped
from imgsearch.sources import heif, raw
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.formats import PILLOW_FORMATS
from imgsearch.sources.guarded_files import Unusable, content_hash, read_file
from imgsearch.sources.metadata import (
    image_statements,
    orientation_of,
    raw_statements,
    read_metadata,
)
from imgsearch.sources.pixels import as_pixels, to_rgb, upright
from imgsearch.sources.sidecar_metadata import read_sidecars
from imgsearch.sources.skip_reasons import explain
from imgsearch.sources.statement import Statement
from imgsearch.vectors import Pixels

pillow_heif.register_heif_opener()

# Long editing histories and workflows are stored as text and must not make the image unreadable.
PngImagePlugin.MAX_TEXT_CHUNK = 32 << 20


def decode_file(file: ImageFile, settings: DecodeSettings) -> Decoded | Skipped:
    """Read and decode a file, with its sidecars; a failure is returned as `Skipped`."""
    try:
        data, file = read_file(file, settings.max_bytes)
        pixels, metadata = decode_bytes(data, settings, file.path, read_sidecars(file))
    except Unusable as error:
        return Skipped(file, error.reason, error.transient)
    except MemoryError:
        return Skipped(file, "needs too much memory to be read")
    return Decoded(file, content_hash(data), metadata, pixels)


def decode_path(path: str, settings: DecodeSettings, name: str = "") -> Decoded:
    """Decode the image file of a query; messages call it `name`, or by its path.

    Raises
    ------
    QueryError
        The file does not exist, or is not a readable image.
    """
    folder, base = os.path.split(os.path.abspath(path))
    result = None if os.path.isdir(path) else decode_file(ImageFile(folder, base, 0, 0), settings)
    if isinstance(result, Decoded):
        return result
    if not os.path.lexists(path):
        reason = "there is no such file"
    else:
        reason = result.reason if result else "it is a folder, not a picture"
    raise query_image_error(name or path, reason)


def decode_given(data: bytes, name: str, settings: DecodeSettings) -> Pixels:
    """Decode the bytes of a query image, called `name`; `QueryError` if that fails."""
    try:
        return decode_bytes(data, settings, name)[0]
    except Unusable as error:
        raise query_image_error(name, error.reason) from error


def query_image_error(name: str, reason: str) -> QueryError:
    """The error for a query image that cannot be used, with the reason."""
    return QueryError(
        f"cannot use {name} as a picture to search with: {reason}",
        "It has to be a complete picture file, such as a JPEG, PNG or HEIC.",
    )


def decode_bytes(
    data: bytes, settings: DecodeSettings, name: str = "", beside: Sequence[Statement] = ()
) -> tuple[Pixels, ImageMetadata]:
    """Decode the bytes of an image file.

    Parameters
    ----------
    name : str, optional
        File name; its extension distinguishes RAW from TIFF, and it may hold a date.
    beside : sequence of Statement, optional
        What other files say about the image.

    Returns
    -------
    pixels : ndarray of shape (height, width, 3), uint8
        sRGB, upright, scaled down as far as `settings.input_size` allows.
    metadata : ImageMetadata

    Raises
    ------
    Unusable
        The image cannot be decoded; says why.
    """
    try:
        with _pillow_limit(settings.max_pixels):
            if raw.is_raw(data, name):
                return _decode_raw(data, settings, name, beside)
            with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
                return _decode_image(image, data, settings, name, beside)
    except Unusable:
        raise
    except Exception as error:  # decoders raise nearly anything on broken files
        raise explain(error, data, settings.max_pixels) from error


def _decode_image(
    image: Image.Image,
    data: bytes,
    settings: DecodeSettings,
    name: str,
    beside: Sequence[Statement],
) -> tuple[Pixels, ImageMetadata]:
    if image.format == "PNG":
        image.load()  # else `getexif` loads, and a failure would be taken for broken EXIF
    exif = _exif(image)
    stated, remaining = _orientations(image, exif, data)
    full, box = _load(image, settings.input_size, remaining)
    if image.format == "TIFF":  # Pillow has rotated it while loading
        remaining = orientation_of(_exif(image))
    rgb = upright(to_rgb(image, _scaled(full, settings.input_size), box), remaining)
    width, height = full if remaining < 5 else full[::-1]
    statements = [*image_statements(image, exif, data, name), *beside]
    metadata = read_metadata(exif, width, height, image.format or "", stated, statements)
    return as_pixels(rgb), metadata


def _load(
    image: Image.Image, input_size: InputSize, orientation: int
) -> tuple[tuple[int, int], tuple[float, float, float, float] | None]:
    """Load the first frame, reduced while decoding if the format supports that.

    JPEG's own scaling by 2, 4 or 8 filters well enough to scale down to the target size, with no
    margin for the filter that follows: docs/PERFORMANCE.md, "Decoding smaller".

    Returns
    -------
    full : (width, height)
        Size of the image in the file, before rotation.
    box : (left, upper, right, lower) or None
        The part of the loaded frame that is the image, if the frame is smaller than `full`.
    """
    full = image.size
    draft = image.draft(image.mode, _scaled(full, input_size))
    image.load()
    if draft is None:
        return image.size, None  # some formats know their size only after loading
    return full, draft[1]


def _scaled(size: tuple[int, int], input_size: InputSize) -> tuple[int, int]:
    factor = input_size.scale(*size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # the pixels may still be fine
        return Image.Exif()


def _orientations(image: Image.Image, exif: Image.Exif, data: bytes) -> tuple[int, int]:
    """The orientation stated by the file, and the one that still has to be applied."""
    if image.format != "HEIF":
        stated = orientation_of(exif)
        return stated, stated
    stated = image.info.get("original_orientation") or 1
    stated = stated if 1 <= stated <= 8 else 1
    return stated, 1 if stated == 1 or heif.states_turn(data) else stated


def _decode_raw(
    data: bytes, settings: DecodeSettings, name: str, beside: Sequence[Statement]
) -> tuple[Pixels, ImageMetadata]:
    image, orientation, size, exif = raw.develop(data, settings.input_size, settings.max_pixels)
    stated = orientation_of(exif)
    rgb = upright(to_rgb(image, _scaled(image.size, settings.input_size)), orientation)
    width, height = size if (size[0] > size[1]) == (rgb.width > rgb.height) else size[::-1]
    statements = [*raw_statements(exif, data, name), *beside]
    return as_pixels(rgb), read_metadata(exif, width, height, "RAW", stated, statements)


_PILLOW_LOCK = threading.RLock()


@contextmanager
def _pillow_limit(max_pixels: int) -> Iterator[None]:
    """A context in which Pillow refuses larger images and issues no other warnings.

    Pillow's limit and Python's warning filters are global to the process, so threads take turns;
    where speed matters, decoding runs in processes anyway. Pillow only warns above its limit and
    raises above twice the limit; here the warning is an error.
    """
    with _PILLOW_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
