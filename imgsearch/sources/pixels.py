"""Converts images of any mode to 8-bit sRGB: depth, palette, alpha, CMYK, colour profile."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from imgsearch.vectors import Pixels

_CONTAINER_BITS = (8, 10, 12, 14, 16)  # depths that scanners and sensors store in 16-bit words
_MAX_PROFILE_BYTES = 8 << 20
_WITH_ALPHA = ("RGBA", "LA", "RGBa", "La", "PA")
_BITS_PER_SAMPLE_TAG = 258  # in TIFF

# EXIF orientation -> operation that turns the image upright (TIFF 6.0, "Orientation").
_OPERATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_rgb(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """The image in sRGB, composited on white, scaled to `size`.

    Palette colours and depths above 8 bits do not interpolate, so they are converted before
    scaling; everything else is done on the small image.

    Parameters
    ----------
    size : (width, height)
        Size of the result before rotation.
    box : (left, upper, right, lower), optional
        The part of `image` to use; all of it if None.
    """
    profile = image.info.get("icc_profile")
    image = _scalable(image)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
    image = _on_white(image) if image.mode in _WITH_ALPHA else image
    return _srgb(image, profile)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image turned upright, given its EXIF orientation."""
    operation = _OPERATIONS.get(orientation)
    return image if operation is None else image.transpose(operation)


def as_pixels(image: Image.Image) -> Pixels:
    """The pixels of an RGB image: ndarray of shape (height, width, 3), uint8, C-order."""
    return np.array(image, dtype=np.uint8, order="C")


def _scalable(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image), _declared_bits(image)))
    if "transparency" in image.info and image.mode in ("1", "L", "RGB", "P"):
        return image.convert("RGBA")
    if image.mode in ("P", "PA", "1", "RGBX"):
        target = {"P": "RGB", "PA": "RGBA", "1": "L", "RGBX": "RGB"}[image.mode]
        return image.convert(target)
    return image


def _declared_bits(image: Image.Image) -> int:
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE_TAG, (16,))
    return bits[0] if isinstance(bits, tuple) and bits and isinstance(bits[0], int) else 16


def _eight_bits(values: NDArray[Any], declared: int) -> NDArray[np.uint8]:
    """Grey values of any depth as uint8; a gradient stays a gradient.

    Whole numbers up to 16 bits are shifted from the depth that the file declares, or else from the
    smallest common depth that holds them all (12-bit scans come in 16-bit files); other values are
    stretched between their finite minimum and maximum.
    """
    if values.dtype.kind in "ui" and values.size and values.min() >= 0 and values.max() <= 0xFFFF:
        largest = int(values.max())
        fitting = (bits for bits in _CONTAINER_BITS if largest < 1 << bits)
        bits = declared if 8 < declared < 16 and largest < 1 << declared else next(fitting)
        return (values >> (bits - 8)).astype(np.uint8)
    return _stretched(values)


def _stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low, high = float(values[finite].min()), float(values[finite].max())
    scale = 255.0 / (high - low) if high > low else 0.0
    grey = np.nan_to_num((values.astype(np.float64) - low) * scale, posinf=255.0, neginf=0.0)
    return grey.clip(0, 255).astype(np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    # Pillow scales RGBA with premultiplied alpha, so hidden colours do not bleed into the edges.
    image = image.convert("RGBA")
    page = Image.new("RGB", image.size, "white")
    page.paste(image, mask=image.getchannel("A"))
    return page


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "LAB" or (profile and image.mode in ("RGB", "CMYK")):
        transform = _transform(image.mode, profile)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=16)  # a camera writes the same profile into every image
def _transform(mode: str, profile: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None if the profile does not fit or is sRGB already."""
    try:
        source = _source(mode, profile)
        if source is None:
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.ImageCmsTransform(source, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _source(mode: str, profile: bytes | None) -> ImageCms.ImageCmsProfile | None:
    if mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    if not profile or len(profile) > _MAX_PROFILE_BYTES:
        return None
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if source.profile.xcolor_space.strip() != mode:
        return None
    # Most profiles are variants of sRGB and would change nothing.
    return None if "srgb" in (source.profile.profile_description or "").lower() else source
