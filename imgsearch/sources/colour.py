"""Converts colours to sRGB: ICC profiles, and spaces that a file states by numbers.

Profiles are applied by LittleCMS. PNG (cICP, gAMA and cHRM; PNG, third edition, 4.3) and HEIF and
AVIF (nclx) can state primaries and a transfer function instead: ITU-T H.273 lists them by number.
The HDR ones, PQ and HLG, are mapped to the range of sRGB: ADR 25.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from imgsearch.sources import heif

Floats = NDArray[np.float32]

_MAX_PROFILE_BYTES = 8 << 20
_MAX_CHUNKS = 1000
_MAX_LEVELS_OFF = 3  # a profile that changes no colour by more is sRGB
_MAX_GAMMA_OFF = 0.01
_MAX_CHROMATICITY_OFF = 0.01

_D65 = (0.3127, 0.3290)
_SRGB_GAMMA = 1 / 2.2

# Red, green, blue and white as x, y: ITU-T H.273, table 2.
_SRGB_PRIMARIES = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65)
_PRIMARIES = {
    1: _SRGB_PRIMARIES,
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.310, 0.316),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65),
}
# Video curves are shown like sRGB by the programs that write pictures with them.
_SRGB_TRANSFERS = (1, 2, 6, 7, 11, 12, 13, 14, 15)
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_PQ, _HLG = 16, 18

_REFERENCE_WHITE_NITS = 203.0  # ITU-R BT.2408
_PQ_PEAK_NITS = 10_000.0
_HLG_PEAK_NITS = 1000.0
_KNEE = 0.8  # of the reference white; below, light stays as it is
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True, slots=True)
class ColourSpace:
    """The colour space stated by a file.

    Attributes
    ----------
    profile : bytes or None
        An ICC profile, which takes precedence over the numbers.
    primaries : tuple of 8 floats
        Chromaticities x, y of red, green, blue and white.
    transfer : int
        Transfer function, by its number in ITU-T H.273, table 3; 0 for a power.
    gamma : float
        Exponent from stored value to light, for transfer 0.
    """

    profile: bytes | None = None
    primaries: tuple[float, ...] = _SRGB_PRIMARIES
    transfer: int = 13
    gamma: float = 1.0

    @property
    def is_hdr(self) -> bool:
        """True if the values are those of PQ or HLG."""
        return self.profile is None and self.transfer in (_PQ, _HLG)

    @property
    def is_srgb(self) -> bool:
        """True if neither profile nor numbers ask for a conversion."""
        return not self.profile and self.transfer in _SRGB_TRANSFERS and self._srgb_primaries

    @property
    def _srgb_primaries(self) -> bool:
        pairs = zip(self.primaries, _SRGB_PRIMARIES, strict=True)
        return all(abs(a - b) <= _MAX_CHROMATICITY_OFF for a, b in pairs)


SRGB = ColourSpace()


def stated_space(image: Image.Image, data: bytes) -> ColourSpace:
    """The colour space that an open image file states; `data` are its bytes.

    In PNG, cICP takes precedence over a profile, and a profile over sRGB, gAMA and cHRM. In other
    formats a profile comes first.
    """
    profile = image.info.get("icc_profile")
    profile = profile if isinstance(profile, bytes) and profile else None
    if image.format == "PNG":
        return _of_png(image, data, profile)
    if profile is None and image.format in ("HEIF", "AVIF"):
        return _numbered(*heif.colour_numbers(data)) or SRGB
    return ColourSpace(profile)


def to_srgb(image: Image.Image, space: ColourSpace) -> Image.Image:
    """An image of mode L, RGB, CMYK or LAB as RGB, in sRGB."""
    if space.profile or image.mode == "LAB":
        image = _by_profile(image, space.profile)
    elif not space.is_srgb:
        return _by_numbers(image.convert("RGB"), space)
    return image if image.mode == "RGB" else image.convert("RGB")


def _of_png(image: Image.Image, data: bytes, profile: bytes | None) -> ColourSpace:
    for kind, content in _png_chunks(data):
        if kind == b"cICP" and len(content) == 4 and content[3]:
            return _numbered(content[0], content[1]) or SRGB
    if profile or "srgb" in image.info:
        return ColourSpace(profile)
    gamma, white_first = image.info.get("gamma"), image.info.get("chromaticity")
    primaries = (*white_first[2:], *white_first[:2]) if white_first else _SRGB_PRIMARIES
    if not gamma or abs(gamma - _SRGB_GAMMA) <= _MAX_GAMMA_OFF or not 0.1 <= gamma <= 5:
        return ColourSpace(primaries=primaries)
    return ColourSpace(primaries=primaries, transfer=0, gamma=1 / gamma)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of the chunks before the pixels."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            return
        yield kind, data[at + 8 : at + 8 + length] if length <= 32 else b""
        at += length + 12


def _numbered(primaries: int, transfer: int) -> ColourSpace | None:
    """A space of H.273; None if it is unspecified or not known."""
    known = transfer in _SRGB_TRANSFERS or transfer in _GAMMAS or transfer in (_PQ, _HLG)
    if not known:
        return None
    chromaticities = _PRIMARIES.get(primaries, _SRGB_PRIMARIES)
    if primaries in (4, 5, 6, 7) and transfer in _SRGB_TRANSFERS:
        return None  # standard-definition video, which is written by default and not meant
    if transfer in _GAMMAS:
        return ColourSpace(primaries=chromaticities, transfer=0, gamma=_GAMMAS[transfer])
    return ColourSpace(primaries=chromaticities, transfer=transfer)


def _by_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "L" and profile and profile[16:20] == b"RGB ":
        image = image.convert("RGB")
    transform = _transform(image.mode, profile)
    return transform.apply(image) if transform else image


@lru_cache(maxsize=16)  # a camera writes the same profile into every image
def _transform(mode: str, profile: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None if the profile does not fit or is sRGB."""
    try:
        source = _source(mode, profile)
        if source is None:
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        transform = ImageCms.ImageCmsTransform(source, srgb, mode, "RGB")
        return None if mode in ("L", "RGB") and _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _source(mode: str, profile: bytes | None) -> ImageCms.ImageCmsProfile | None:
    if mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    if not profile or len(profile) > _MAX_PROFILE_BYTES:
        return None
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    fits = source.profile.xcolor_space.strip() == {"L": "GRAY"}.get(mode, mode)
    return source if fits else None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """True if the source is sRGB as well: its content counts, not its name."""
    chart = _chart()
    chart = chart if mode == "RGB" else chart.convert(mode)
    after = np.asarray(transform.apply(chart), np.int16)
    return int(np.abs(after - np.asarray(chart.convert("RGB"), np.int16)).max()) <= _MAX_LEVELS_OFF


def _chart() -> Image.Image:
    """All combinations of nine levels, and a grey ramp."""
    levels = np.arange(0, 257, 32).clip(0, 255)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    ramp = np.repeat(np.arange(256), 3).reshape(-1, 3)
    return Image.fromarray(np.concatenate((colours, ramp))[None].astype(np.uint8))


def _by_numbers(image: Image.Image, space: ColourSpace) -> Image.Image:
    matrix = _matrix(space.primaries)
    if matrix is None:
        return image
    stored = np.arange(256, dtype=np.float64) / 255
    light = _light(space, stored)[np.asarray(image)]
    if space.transfer == _HLG:
        light = _hlg_display(light, space.primaries)
    light = light @ matrix.T
    if space.transfer in (_PQ, _HLG):
        light = tone_mapped(light)
    return Image.fromarray(_encoded(light))


def _light(space: ColourSpace, stored: NDArray[np.float64]) -> Floats:
    """Linear light of stored values 0 to 1; 1 is white, in HDR the reference white."""
    curves: dict[int, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
        0: lambda values: values**space.gamma,
        _PQ: lambda values: _pq_nits(values) / _REFERENCE_WHITE_NITS,
        _HLG: _hlg_scene,
    }
    return curves.get(space.transfer, _srgb_light)(stored).astype(np.float32)


def _srgb_light(stored: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def _pq_nits(stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084, equation 4.1."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = stored ** (1 / m2)
    return _PQ_PEAK_NITS * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def _hlg_scene(stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100, inverse of the HLG OETF."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(stored <= 0.5, stored**2 / 3, (np.exp((stored - c) / a) + b) / 12)


def _hlg_display(scene: Floats, primaries: tuple[float, ...]) -> Floats:
    """ITU-R BT.2100, HLG OOTF with the system gamma of a display of 1000 cd/m2."""
    luminance = scene @ _to_xyz(primaries)[1].astype(np.float32)
    peak = _HLG_PEAK_NITS / _REFERENCE_WHITE_NITS
    shown: Floats = peak * np.maximum(luminance, 1e-9)[..., None] ** 0.2 * scene
    return shown


def tone_mapped(light: Floats) -> Floats:
    """Light in units of the reference white, compressed to the range of sRGB.

    Up to 0.8 nothing changes; higher values approach 1 exponentially.
    """
    room = 1 - _KNEE
    return np.where(light <= _KNEE, light, 1 - room * np.exp((_KNEE - light) / room))


def _encoded(light: Floats) -> NDArray[np.uint8]:
    light = light.clip(0, 1)
    stored = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    encoded: NDArray[np.uint8] = (stored * 255).round().astype(np.uint8)
    return encoded


@lru_cache(maxsize=16)
def _matrix(primaries: tuple[float, ...]) -> Floats | None:
    """From linear RGB of these primaries to linear sRGB; None if they span no space."""
    try:
        matrix = np.linalg.inv(_to_xyz(_SRGB_PRIMARIES)) @ _adapted(primaries)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    sane = np.isfinite(matrix).all() and np.abs(matrix).max() < 10
    return matrix.astype(np.float32) if sane else None


def _adapted(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """From linear RGB to XYZ of a D65 white, adapted by Bradford's method."""
    source, target = (_BRADFORD @ _xyz(*white) for white in (primaries[6:], _D65))
    change = np.linalg.inv(_BRADFORD) @ np.diag(target / source) @ _BRADFORD
    adapted: NDArray[np.float64] = change @ _to_xyz(primaries)
    return adapted


def _to_xyz(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """From linear RGB to XYZ."""
    columns = np.stack([_xyz(*primaries[at : at + 2]) for at in (0, 2, 4)], 1)
    return columns * np.linalg.solve(columns, _xyz(*primaries[6:]))


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1, (1 - x - y) / y])
