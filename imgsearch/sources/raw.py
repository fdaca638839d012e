"""Camera RAW through LibRaw (extra `raw`): the embedded preview, or a quick development."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from PIL import Image

from imgsearch.model_card import InputSize
from imgsearch.sources.containers import raw_exif
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

    Most RAW formats look like TIFF; for those, and only for those, the extension decides.
    """
    if data.startswith(_MAGIC) or data[4:11] == b"ftypcrx" or data[6:14] == b"HEAPCCDR":
        return True
    if not data.startswith(_TIFF):
        return False
    return data[8:10] == b"CR" or extension(name) in RAW_EXTENSIONS


def develop(
    data: bytes, input_size: InputSize, max_pixels: int
) -> tuple[Image.Image, int, tuple[int, int], Image.Exif]:
    """Develop a RAW file, or take its preview if that is large enough.

    Returns
    -------
    image : Image
        Large enough for `input_size`, not rotated yet.
    orientation : int
        EXIF orientation that still has to be applied to `image`.
    size : (width, height)
        Size of the full image in sensor orientation, before rotation.
    exif : Image.Exif
        EXIF of the file, or else of its preview.

    Raises
    ------
    Unusable
        rawpy is missing, there are too many pixels, or LibRaw cannot read the file.
    """
    try:
        import rawpy
    except ImportError as error:
        raise Unusable(MISSING, transient=True) from error
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            return _develop(raw, data, input_size, max_pixels)
    except rawpy.LibRawError as error:
        raise Unusable("damaged, or from a camera that LibRaw does not know") from error


def _develop(
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
        return preview, _remaining_orientation(preview, size, orientation), size, exif
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
    except Exception:  # missing, unknown or broken: the sensor data remain
        return None


def _large_enough(size: tuple[int, ...], full: tuple[int, int], input_size: InputSize) -> bool:
    """True if `size` is at least `full` scaled down for the model (within rounding)."""
    target = input_size.decoded_size(*full)
    return min(size) >= 0.98 * min(target) and max(size) >= 0.98 * max(target)


def _remaining_orientation(preview: Image.Image, size: tuple[int, int], orientation: int) -> int:
    """The orientation a preview still needs: some are upright, some are tagged, most neither."""
    tag = orientation_of(preview.getexif())
    if tag != 1:
        return tag
    sideways = orientation >= 5
    upright = (preview.width > preview.height) != (size[0] > size[1])
    return 1 if sideways and upright else orientation


def _exif(data: bytes, preview: Image.Image | None) -> Image.Exif:
    exif = raw_exif(data)
    try:
        return exif if len(exif) or preview is None else preview.getexif()
    except Exception:  # the image is usable without tags
        return exif
