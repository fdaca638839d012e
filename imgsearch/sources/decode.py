"""Decodes one file to RGB pixels; hash, EXIF and pixels come from the same bytes, read once.

The decoders are C code that handles files of unknown origin. `skip_reasons` turns their exceptions
into reasons, and `decoder_pool` contains what they do to their process.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from PIL import Image

from imgsearch.errors import QueryError
from imgsearch.records import Decoded, ImageFile, ImageMetadata, Measures, Skipped
from imgsearch.sources import cut_off_files, heif, raw
from imgsearch.sources.colour import ColourSpace, stated_space
from imgsearch.sources.decoders import MEASURED_SIZE, DecodeSettings
from imgsearch.sources.deep_samples import converted
from imgsearch.sources.frames import Frame, first_with_content
from imgsearch.sources.guarded_files import Unusable, content_hash, read_file
from imgsearch.sources.metadata import (
    image_statements,
    orientation_of,
    raw_statements,
    read_metadata,
)
from imgsearch.sources.openers import open_image
from imgsearch.sources.pixel_measures import measure
from imgsearch.sources.pixels import model_input, to_rgb, upright
from imgsearch.sources.sidecar_metadata import read_sidecars
from imgsearch.sources.skip_reasons import explain, is_cut_off
from imgsearch.sources.statement import Statement
from imgsearch.vectors import Pixels


def decode_file(file: ImageFile, settings: DecodeSettings) -> Decoded | Skipped:
    """Read and decode a file, with its sidecars; a failure is returned as `Skipped`."""
    try:
        data, file = read_file(file, settings.max_bytes)
        picture = decode_picture(data, settings, file.path, read_sidecars(file))
    except Unusable as error:
        return Skipped(file, error.reason, error.transient)
    except MemoryError:
        return Skipped(file, "needs too much memory to be read")
    return Decoded(file, content_hash(data), picture.metadata, picture.pixels, picture.measures)


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


class Picture(NamedTuple):
    """A decoded picture; `measures` is None unless the settings ask for them."""

    pixels: Pixels
    metadata: ImageMetadata
    measures: Measures | None


def decode_bytes(
    data: bytes, settings: DecodeSettings, name: str = "", beside: Sequence[Statement] = ()
) -> tuple[Pixels, ImageMetadata]:
    """The pixels and metadata of an image file; see `decode_picture`."""
    pixels, metadata, _ = decode_picture(data, settings, name, beside)
    return pixels, metadata


def decode_picture(
    data: bytes, settings: DecodeSettings, name: str = "", beside: Sequence[Statement] = ()
) -> Picture:
    """Decode the bytes of an image file.

    Parameters
    ----------
    name : str, optional
        File name; its extension distinguishes RAW from TIFF, and it may hold a date.
    beside : sequence of Statement, optional
        Statements of other files about the image.

    Returns
    -------
    pixels : ndarray of shape (height, width, 3), uint8
        sRGB, upright, scaled down as far as `settings.input_size` allows, or the model's input if
        that has a preparation.
    metadata : ImageMetadata
    measures : Measures or None

    Raises
    ------
    Unusable
        The image cannot be decoded; says why.
    """
    with _pillow_limit(settings.max_pixels):
        try:
            if raw.is_raw(data, name):
                return _decode_raw(data, settings, name, beside)
            with open_image(data) as image:
                return _decode_image(image, data, settings, name, beside)
        except Unusable:
            raise
        except Exception as error:  # decoders raise nearly anything on broken files
            part = _decode_part(data, settings, name, beside) if is_cut_off(error) else None
            if part is None:
                raise explain(error, data, settings.max_pixels) from error
            return part


def _decode_part(
    data: bytes, settings: DecodeSettings, name: str, beside: Sequence[Statement]
) -> Picture | None:
    """The part of a cut-off file that can be decoded; None if it is too small."""
    try:
        with cut_off_files.leniency():
            part = cut_off_files.load_part(data)
            if part is None:
                return None
            image, rows = part
            picture = _decode_image(image, data, settings, name, beside, rows)
    except Exception:  # the reason for the whole file is the better one
        return None
    note = cut_off_files.missing_note(rows, image.height)
    return picture._replace(metadata=replace(picture.metadata, note=note))


def _decode_image(
    image: Image.Image,
    data: bytes,
    settings: DecodeSettings,
    name: str,
    beside: Sequence[Statement],
    rows: tuple[int, int] | None = None,
) -> Picture:
    """Decode an open image, or only some of its rows."""
    if image.format == "PNG":
        image.load()  # else `getexif` loads, and a failure would be taken for broken EXIF
    exif = _exif(image)
    stated, remaining = _orientations(image, exif, data)
    statements = [*image_statements(image, exif, data, name), *beside]

    def read() -> Frame:
        return _read_frame(image, data, settings, remaining, rows)

    frame = first_with_content(image, read, settings.max_pixels)
    width, height = frame.width, frame.height
    metadata = read_metadata(exif, width, height, image.format or "", stated, statements)
    return _picture(frame.image, frame.measured or frame.image, metadata, settings)


def _picture(
    image: Image.Image, measured: Image.Image, metadata: ImageMetadata, settings: DecodeSettings
) -> Picture:
    """The model's input, and the measures of an image that is large enough for them."""
    measures = measure(measured, metadata) if settings.measured else None
    return Picture(model_input(image, settings.input_size), metadata, measures)


def _read_frame(
    image: Image.Image,
    data: bytes,
    settings: DecodeSettings,
    orientation: int,
    rows: tuple[int, int] | None,
) -> Frame:
    """Decode the current frame, or only some of its rows."""
    full, box = _load(image, settings)
    if image.format == "TIFF":  # Pillow has rotated it while loading
        orientation = orientation_of(_exif(image))
    space = stated_space(image, data)
    samples = converted(image, data, space)

    def scaled(size: tuple[int, int]) -> Image.Image:
        rgb = to_rgb(samples, size, box, space)
        if rows:
            cut_off_files.fill_missing(rgb, rows, image)
        return upright(rgb, orientation)

    width, height = full if orientation < 5 else full[::-1]
    size, least = settings.input_size.decoded_size(*full), _least_size(full, settings)
    measured = None if _larger(size, least) == size else scaled(least)
    return Frame(scaled(size), width, height, measured)


def _least_size(full: tuple[int, int], settings: DecodeSettings) -> tuple[int, int]:
    """The size that the measures need; 0 if none are taken."""
    return MEASURED_SIZE.decoded_size(*full) if settings.measured else (0, 0)


def _larger(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return max(one[0], other[0]), max(one[1], other[1])


def _load(
    image: Image.Image, settings: DecodeSettings
) -> tuple[tuple[int, int], tuple[float, float, float, float] | None]:
    """Load the current frame, reduced while decoding if the format supports that.

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
    size = settings.input_size.decoded_size(*full)
    draft = image.draft(image.mode, _larger(size, _least_size(full, settings)))
    image.load()
    if draft is None:
        return image.size, None  # some formats know their size only after loading
    return full, draft[1]


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
) -> Picture:
    image, orientation, size, exif = raw.develop(data, settings.input_size, settings.max_pixels)
    stated = orientation_of(exif)
    space = ColourSpace(image.info.get("icc_profile"))
    target = settings.input_size.decoded_size(*image.size)
    rgb = upright(to_rgb(image, target, space=space), orientation)
    shown = image.size if orientation < 5 else image.size[::-1]
    width, height = size if (size[0] > size[1]) == (shown[0] > shown[1]) else size[::-1]
    metadata = read_metadata(
        exif, width, height, "RAW", stated, [*raw_statements(exif, data, name), *beside]
    )
    return _picture(rgb, rgb, metadata, settings)


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
