"""One file to one RGB picture, read once: hash, EXIF and pixels come from the same bytes.

Every decoder here is C code that meets files from anywhere. What a decoder raises becomes a
reason (`reasons`); what it does to its process is the business of `pool`.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pillow_heif
from PIL import Image, PngImagePlugin

from imgsearch.errors import QueryError
from imgsearch.model_card import InputSize
from imgsearch.records import Decoded, ImageFile, ImageMetadata, Skipped
from imgsearch.sources import heif, raw
from imgsearch.sources.captions import read_captions
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.formats import PILLOW_FORMATS
from imgsearch.sources.guarded_files import Unusable, content_hash, read_file
from imgsearch.sources.metadata import orientation_of, read_metadata
from imgsearch.sources.pixels import as_pixels, to_rgb, turned
from imgsearch.sources.skip_reasons import explain
from imgsearch.vectors import Pixels

pillow_heif.register_heif_opener()

# Long editing histories and workflows are text, too, and must not cost the picture.
PngImagePlugin.MAX_TEXT_CHUNK = 32 << 20


def decode_file(file: ImageFile, settings: DecodeSettings) -> Decoded | Skipped:
    """Read and decode a file; every failure is a value."""
    try:
        data, file = read_file(file, settings.max_bytes)
        pixels, metadata = decode_bytes(data, settings, file.path)
    except Unusable as error:
        return Skipped(file, error.reason, error.transient)
    except MemoryError:
        return Skipped(file, "needs too much memory to be read")
    return Decoded(file, content_hash(data), metadata, pixels)


def decode_path(path: str, settings: DecodeSettings, name: str = "") -> Decoded:
    """Decode the picture of a query; messages call it `name`, or by its path.

    Raises
    ------
    QueryError
        There is no such file, or it is no picture that can be read.
    """
    folder, name = os.path.split(os.path.abspath(path))
    result = None if os.path.isdir(path) else decode_file(ImageFile(folder, name, 0, 0), settings)
    if isinstance(result, Decoded):
        return result
    if not os.path.lexists(path):
        reason = "there is no such file"
    else:
        reason = result.reason if result else "it is a folder, not a picture"
    raise no_query(name or path, reason)


def decode_given(data: bytes, name: str, settings: DecodeSettings) -> Pixels:
    """Decode the picture of a query that is no file, called `name`; `QueryError` if it is none."""
    try:
        return decode_bytes(data, settings, name)[0]
    except Unusable as error:
        raise no_query(name, error.reason) from error


def no_query(name: str, reason: str) -> QueryError:
    """The error for a picture of a query that cannot be used, with the reason."""
    return QueryError(
        f"cannot use {name} as a picture to search with: {reason}",
        "It has to be a whole picture file, such as a JPEG, PNG or HEIC.",
    )


def decode_bytes(
    data: bytes, settings: DecodeSettings, name: str = ""
) -> tuple[Pixels, ImageMetadata]:
    """Decode a picture that was read already.

    Parameters
    ----------
    name : str, optional
        File name; its extension tells RAW from TIFF, and nothing else.

    Returns
    -------
    pixels : ndarray of shape (height, width, 3), uint8
        sRGB, the right way up, scaled down as far as `settings.input_size` allows.
    metadata : ImageMetadata

    Raises
    ------
    Unusable
        With the reason.
    """
    try:
        with _pillow_held_to(settings.max_pixels):
            if raw.is_raw(data, name):
                return _decode_raw(data, settings)
            with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
                return _decode_image(image, data, settings)
    except Unusable:
        raise
    except Exception as error:  # decoders raise nearly everything on broken files
        raise explain(error, data, settings.max_pixels) from error


def _decode_image(
    image: Image.Image, data: bytes, settings: DecodeSettings
) -> tuple[Pixels, ImageMetadata]:
    if image.format == "PNG":
        image.load()  # or asking for EXIF would, and its failure would be taken for the EXIF's
    exif = _exif(image)
    stated, remaining = _orientations(image, exif, data)
    full, box = _load(image, settings.input_size, remaining)
    if image.format == "TIFF":  # Pillow has turned it while loading
        remaining = orientation_of(_exif(image))
    rgb = turned(to_rgb(image, _scaled(full, settings.input_size), box), remaining)
    width, height = full if remaining < 5 else full[::-1]
    captions = read_captions(image, exif)
    metadata = read_metadata(exif, width, height, image.format or "", stated, captions)
    return as_pixels(rgb), metadata


def _load(
    image: Image.Image, input_size: InputSize, orientation: int
) -> tuple[tuple[int, int], tuple[float, float, float, float] | None]:
    """Load the first frame, not much larger than needed where the format can do that.

    JPEG's own scaling by 2, 4 or 8 filters well enough that nothing need be kept for the filter
    that follows: docs/PERFORMANCE.md, "Decoding smaller".

    Returns
    -------
    full : (width, height)
        Of the picture in the file, not turned.
    box : (left, upper, right, lower) or None
        What of the loaded frame is the picture, if it is smaller than `full`.
    """
    full = image.size
    drafted = image.draft(image.mode, _scaled(full, input_size))
    image.load()
    if drafted is None:
        return image.size, None  # only now some formats know their size
    return full, drafted[1]


def _scaled(size: tuple[int, int], input_size: InputSize) -> tuple[int, int]:
    factor = input_size.scale(*size)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # the pixels may be fine all the same
        return Image.Exif()


def _orientations(image: Image.Image, exif: Image.Exif, data: bytes) -> tuple[int, int]:
    """The orientation that the file states, and the one that is still to be applied."""
    if image.format != "HEIF":
        stated = orientation_of(exif)
        return stated, stated
    stated = image.info.get("original_orientation") or 1
    stated = stated if 1 <= stated <= 8 else 1
    return stated, 1 if stated == 1 or heif.states_turn(data) else stated


def _decode_raw(data: bytes, settings: DecodeSettings) -> tuple[Pixels, ImageMetadata]:
    image, orientation, size, exif = raw.develop(data, settings.input_size, settings.max_pixels)
    stated = orientation_of(exif)
    rgb = turned(to_rgb(image, _scaled(image.size, settings.input_size)), orientation)
    width, height = size if (size[0] > size[1]) == (rgb.width > rgb.height) else size[::-1]
    return as_pixels(rgb), read_metadata(exif, width, height, "RAW", stated)


_HELD = threading.RLock()


@contextmanager
def _pillow_held_to(max_pixels: int) -> Iterator[None]:
    """Within it, Pillow refuses larger pictures at once, and keeps its other warnings to itself.

    Pillow's limit and Python's warning filters belong to the whole process, so threads take
    turns; where that matters, decoding runs in processes anyway. Pillow warns above its limit and
    raises only above twice of it: here the warning is an error, too.
    """
    with _HELD, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
