"""Converts images of any mode to 8-bit sRGB: depth, palette, transparency, colours."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from imgsearch.model_card import InputSize
from imgsearch.sources.colour import SRGB, ColourSpace, to_srgb
from imgsearch.sources.depth import eight_bits
from imgsearch.vectors import Pixels

_WITH_ALPHA = ("RGBA", "LA", "RGBa", "La", "PA")
_WHITE, _BLACK = 255, 0
_MIN_DIFFERENCE_LEVELS = 48  # levels by which a pixel stands out from the ground
_MIN_SHARE = 1 / 4  # of what is visible that has to stand out from white

_MIN_DITHERED_SHARE = 1 / 50  # of the pixels, that differ from all four neighbours
_MAX_DITHER_SIDE = 2048  # of the part that decides
_DITHER_BLUR_PIXELS = 1.0  # standard deviation
_MIN_AVERAGING_REDUCTION = 4  # from here on, scaling down averages enough

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
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
    space: ColourSpace = SRGB,
) -> Image.Image:
    """The image in sRGB, scaled to `size`, on a ground from which it stands out.

    Palette colours and depths above 8 bits do not interpolate, so they are converted before
    scaling; everything else is done on the small image. The dots of a dithered picture of two
    colours are averaged, because a model sees them as a texture.

    Parameters
    ----------
    size : (width, height)
        Size of the result before rotation.
    box : (left, upper, right, lower), optional
        The part of `image` to use; all of it if None.
    space : ColourSpace, optional
        The colour space of `image`.
    """
    dithered = image.width < _MIN_AVERAGING_REDUCTION * size[0] and _is_dithered(image)
    image = _scalable(image)
    if dithered and image.mode in ("L", "RGB"):
        image = image.filter(ImageFilter.GaussianBlur(_DITHER_BLUR_PIXELS))
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
    if image.mode not in _WITH_ALPHA:
        return to_srgb(image, space)
    # Pillow scales with premultiplied alpha, so hidden colours do not bleed into the edges.
    image = image.convert({"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}.get(image.mode, image.mode))
    opaque = to_srgb(image.convert(image.mode[:-1]), space)
    return _on_ground(opaque, image.getchannel("A"))


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image turned upright, given its EXIF orientation."""
    operation = _OPERATIONS.get(orientation)
    return image if operation is None else image.transpose(operation)


def model_input(image: Image.Image, input_size: InputSize) -> Pixels:
    """The pixels of an upright RGB image after the model's own preparation, if it has one."""
    steps = input_size.preparation
    return as_pixels(image if steps is None else steps.apply(image))


def as_pixels(image: Image.Image) -> Pixels:
    """The pixels of an RGB image: ndarray of shape (height, width, 3), uint8, C-order."""
    return np.array(image, dtype=np.uint8, order="C")


def _scalable(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(eight_bits(np.asarray(image)))
    if "transparency" in image.info and image.mode in ("1", "L", "RGB", "P"):
        return image.convert("RGBA")
    if image.mode in ("P", "PA", "1", "RGBX", "YCbCr", "HSV"):
        return image.convert({"PA": "RGBA", "1": "L"}.get(image.mode, "RGB"))
    return image


def _is_dithered(image: Image.Image) -> bool:
    """True if an image of two colours has many single dots; a text or drawing has few."""
    if image.mode not in ("1", "L", "P", "RGB") or len(image.getcolors(2) or ()) != 2:
        return False
    width, height = (min(side, _MAX_DITHER_SIDE) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    part = image.crop((left, top, left + width, top + height))
    dots = np.asarray(part.convert("L") if part.mode == "RGB" else part)
    inner = dots[1:-1, 1:-1]
    single = (inner != dots[:-2, 1:-1]) & (inner != dots[2:, 1:-1])
    single &= (inner != dots[1:-1, :-2]) & (inner != dots[1:-1, 2:])
    return bool(single.size) and float(single.mean()) >= _MIN_DITHERED_SHARE


def _on_ground(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """An RGB image on white, or on black if hardly anything visible stands out from white."""
    weight = np.asarray(alpha, np.float32)
    if not weight.any():
        return Image.new("RGB", image.size, "white")
    shown = np.asarray(image, np.int16)
    on_white, on_black = (
        float(np.average(np.abs(shown - ground).max(2) >= _MIN_DIFFERENCE_LEVELS, weights=weight))
        for ground in (_WHITE, _BLACK)
    )
    ground = "black" if on_white < _MIN_SHARE and on_black > on_white else "white"
    page = Image.new("RGB", image.size, ground)
    page.paste(image, mask=alpha)
    return page
