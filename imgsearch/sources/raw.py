"""Camera RAW through LibRaw (extra `raw`): the preview in the file, or a quick development."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from PIL import Image

from imgsearch.model_card import InputSize
from imgsearch.sources.formats import RAW_EXTENSIONS, extension
from imgsearch.sources.guarded_files import Unusable
from imgsearch.sources.metadata import orientation_of

if TYPE_CHECKING:
    from rawpy import RawPy

MISSING = "RAW pictures need the raw extra: in your clone of imgsearch, pip install '.[raw]'"

_TIFF = (b"II*\0", b"MM\0*")
_MAGIC = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb", b"\0MRM")
_FLIP_TO_EXIF = (1, 2, 4, 3, 5, 8, 6, 7)  # LibRaw: bit 0 mirrors, bit 1 flips, bit 2 transposes


def is_raw(data: bytes, name: str) -> bool:
    """True if the bytes are those of a RAW file.

    Most RAW formats look like TIFF from outside; there, and only there, the extension decides.
    """
    if data.startswith(_MAGIC) or data[4:11] == b"ftypcrx" or data[6:14] == b"HEAPCCDR":
        return True
    if not data.startswith(_TIFF):
        return False
    return data[8:10] == b"CR" or extension(name) in RAW_EXTENSIONS


def develop(
    data: bytes, input_size: InputSize, max_pixels: int
) -> tuple[Image.Image, int, tuple[int, int], Image.Exif]:
    """A RAW file as an ordinary picture.

    Returns
    -------
    image : Image
        Large enough for `input_size`, not turned yet.
    orientation : int
        EXIF orientation that is still to be applied to `image`.
    size : (width, height)
        Of the full picture, as the sensor lies, before turning.
    exif : Image.Exif
        From the file itself, or else from its preview.

    Raises
    ------
    Unusable
        No rawpy, too many pixels, or not understood by LibRaw.
    """
    try:
        import rawpy
    except ImportError as error:
        raise Unusable(MISSING, transient=True) from error
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            return _developed(raw, data, input_size, max_pixels)
    except rawpy.LibRawError as error:
        raise Unusable("damaged, or from a camera that LibRaw does not know") from error


def _developed(
    raw: RawPy, data: bytes, input_size: InputSize, max_pixels: int
) -> tuple[Image.Image, int, tuple[int, int], Image.Exif]:
    size = raw.sizes.width, raw.sizes.height
    if max(size[0] * size[1], raw.sizes.raw_width * raw.sizes.raw_height) > max_pixels:
        raise Unusable(
            f"too many pixels: {size[0]} x {size[1]}, "
            f"the limit is {max_pixels / 1e6:.0f} megapixels"
        )
    orientation = _FLIP_TO_EXIF[raw.sizes.flip & 7]
    preview = _preview(raw)
    exif = _exif(data, preview)
    if preview is not None and _large_enough(preview.size, size, input_size):
        return preview, _left_to_turn(preview, size, orientation), size, exif
    half = tuple(side // 2 for side in size)
    pixels = raw.postprocess(
        half_size=_large_enough(half, size, input_size), use_camera_wb=True, user_flip=0
    )
    return Image.fromarray(pixels), orientation, size, exif


def _preview(raw: RawPy) -> Image.Image | None:
    try:
        preview: Any = raw.extract_thumb()
        if isinstance(preview.data, bytes):
            image: Image.Image = Image.open(io.BytesIO(preview.data), formats=("JPEG",))
            image.load()
            return image
        return Image.fromarray(preview.data)
    except Exception:  # none, of an unknown kind, or broken: the sensor data are still there
        return None


def _large_enough(have: tuple[int, ...], full: tuple[int, int], input_size: InputSize) -> bool:
    """True if scaling `full` down for the model ends at or below `have` (within rounding)."""
    scale = input_size.scale(*full)
    return min(have) >= 0.98 * scale * min(full) and max(have) >= 0.98 * scale * max(full)


def _left_to_turn(preview: Image.Image, size: tuple[int, int], orientation: int) -> int:
    """What a preview still needs: some cameras store it upright, some tag it, most do neither."""
    tagged = orientation_of(preview.getexif())
    if tagged != 1:
        return tagged
    sideways = orientation >= 5
    upright = (preview.width > preview.height) != (size[0] > size[1])
    return 1 if sideways and upright else orientation


def _exif(data: bytes, preview: Image.Image | None) -> Image.Exif:
    exif = Image.Exif()
    try:
        if data.startswith(_TIFF):
            exif.load(b"Exif\0\0" + data)
        elif preview is not None:
            exif = preview.getexif()
    except Exception:  # tags are a bonus
        return Image.Exif()
    return exif
