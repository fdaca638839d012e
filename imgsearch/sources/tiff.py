"""TIFF files of any depth and layout (TIFF 6.0; Adobe's supplements of 1995 and 2005).

Pillow reads samples of 8 bits in most layouts and few of the others, and some of those wrongly
(planar 16-bit, 32-bit unsigned, 16-bit MinIsWhite). Here Pillow, and libtiff in it, only
decompress: each plane is described as an 8-bit grey picture that is as wide as a row has bytes, and
NumPy interprets those bytes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from imgsearch.sources.depth import eight_bits, opaque_value
from imgsearch.sources.guarded_files import Unusable

OPENER = "TIFF OF ANY DEPTH"
"""The name under which Pillow knows `DeepTiff`."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_PREDICTOR, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 317, 322, 323, 324, 325
_EXTRA_SAMPLES, _SAMPLE_FORMAT, _PROFILE, _GDAL_NO_DATA = 338, 339, 34675, 42113

_LOSSLESS = {1, 5, 8, 32773, 32946, 34925, 50000}  # compressions of bytes, whatever they mean
_LOSSY = {6: "JPEG", 7: "JPEG", 34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG"}
_LOSSY |= {50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL", 22610: "JPEG XR", 34934: "JPEG XR"}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK, _LAB = 0, 1, 2, 5, 8
_KINDS = {
    0: "gray",
    1: "gray",
    2: "RGB",
    3: "palette",
    4: "mask",
    5: "CMYK",
    6: "YCbCr",
    8: "Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32803: "sensor data of a camera",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear sensor data of a camera",
}
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _CMYK: 4, _LAB: 3}
_TYPES = {(1, 8), (1, 16), (1, 32), (1, 64), (2, 8), (2, 16), (2, 32), (2, 64)}
_TYPES |= {(3, 16), (3, 32), (3, 64)}
_KIND_OF_FORMAT = {1: "u", 2: "i", 3: "f"}
_YCBCR = 6
_BIG_ENDIAN_BIG = b"MM\0+"
_MAX_SAMPLES = 64
_MAX_BYTES_PER_PIXEL = 64


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of the samples of a TIFF page.

    Attributes
    ----------
    sample_format : int
        1 unsigned, 2 signed, 3 float.
    alpha : int
        0 for none, 1 premultiplied, 2 not premultiplied.
    tile : (width, height) or None
    """

    width: int
    height: int
    bits: int
    samples: int
    sample_format: int
    photometric: int
    planar: bool
    alpha: int
    compression: int
    predictor: int
    tile: tuple[int, int] | None
    big_endian: bool

    @property
    def colours(self) -> int:
        return _COLOURS.get(self.photometric, self.samples)

    @property
    def mode(self) -> str:
        """Mode of the decoded picture in Pillow."""
        mode = {1: "L", 3: "LAB" if self.photometric == _LAB else "RGB", 4: "CMYK"}[self.colours]
        return mode + ("A" if self.alpha and mode in ("L", "RGB") else "")

    @property
    def words(self) -> str:
        """The kind in words for users: "32-bit float RGB with alpha"."""
        number = {1: "", 2: " signed", 3: " float"}.get(self.sample_format, " complex")
        depth = f"{self.bits}-bit" if self.bits else "mixed-depth"
        words = f"{depth}{number} {_KINDS.get(self.photometric, 'picture')}"
        words += " with alpha" if self.alpha else ""
        words += f" in {self.samples} channels" if self.samples > self.colours + 1 else ""
        words += " in planes" if self.planar else ""
        coding = _LOSSY.get(self.compression)
        return f"{words}, compressed as {coding}" if coding else words


class DeepTiff(TiffImagePlugin.TiffImageFile):
    """A TIFF file whose deep samples are converted to 8 bits while they are loaded.

    Raises `Unusable` for a kind that is not supported.
    """

    _layout: Layout | None = None

    def _open(self) -> None:
        assert self.fp is not None
        if self.fp.read(4) == _BIG_ENDIAN_BIG:  # Pillow takes it for an ordinary TIFF
            raise Unusable("a kind of TIFF that is not supported: big-endian BigTIFF")
        self.fp.seek(0)
        super()._open()  # type: ignore[no-untyped-call, unused-ignore]

    def _setup(self) -> None:
        layout = _layout(self.tag_v2, self.tag_v2.prefix == b"MM")
        self._layout = layout if _is_deep(layout) else None
        if self._layout is None:
            try:
                super()._setup()  # type: ignore[no-untyped-call, unused-ignore]
                return
            except (SyntaxError, KeyError):
                self._layout = layout
        _require_support(layout)
        self._mode, self._size, self.tile = layout.mode, (layout.width, layout.height), []
        self._tile_size = self._size
        self._im, self.palette = None, None
        if _PROFILE in self.tag_v2:
            self.info["icc_profile"] = self.tag_v2[_PROFILE]

    def load(self) -> Any:
        if self._layout is None:
            return super().load()
        if self._im is None:
            assert self.fp is not None
            self.fp.seek(0)
            self.im = _picture(self._layout, self.tag_v2, self.fp.read()).im
            self.load_end()
        return Image.Image.load(self)


class _Plane(TiffImagePlugin.TiffImageFile):
    """A plane of bytes; the limit of pixels holds for the picture that it is part of."""

    def load_prepare(self) -> None:
        ImageFile.ImageFile.load_prepare(self)


def _accept(prefix: bytes) -> bool:
    return prefix[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*")


def register() -> None:
    """Make `DeepTiff` known to Pillow."""
    Image.register_open(OPENER, DeepTiff, _accept)


def _layout(tags: Mapping[int, Any], big_endian: bool) -> Layout:
    photometric = _number(tags, _PHOTOMETRIC, 0)
    bits = _tuple(tags, _BITS, (1,))
    samples = _number(tags, _SAMPLES, len(bits))
    extra = _tuple(tags, _EXTRA_SAMPLES, ())
    colours = _COLOURS.get(photometric, samples)
    alpha = extra[0] if extra and extra[0] in (1, 2) and samples > colours else 0
    if photometric == _RGB and samples == 4 and not extra:
        alpha = 2  # many programs do not declare it
    tile = None
    if _TILE_OFFSETS in tags:
        tile = _number(tags, _TILE_WIDTH, 0), _number(tags, _TILE_HEIGHT, 0)
    formats = _tuple(tags, _SAMPLE_FORMAT, (1,))
    return Layout(
        width=_number(tags, _WIDTH, 0),
        height=_number(tags, _HEIGHT, 0),
        bits=bits[0] if len(set(bits)) == 1 else 0,
        samples=samples,
        sample_format=formats[0] if len(set(formats)) == 1 else 0,
        photometric=photometric,
        planar=_number(tags, _PLANAR, 1) == 2 and samples > 1,
        alpha=alpha,
        compression=_number(tags, _COMPRESSION, 1),
        predictor=_number(tags, _PREDICTOR, 1),
        tile=tile,
        big_endian=big_endian,
    )


def _number(tags: Mapping[int, Any], tag: int, default: int) -> int:
    values = _tuple(tags, tag, (default,))
    return values[0] if values else default


def _tuple(tags: Mapping[int, Any], tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    value = tags.get(tag, default)
    values = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(each, int) for each in values):
        raise SyntaxError(f"invalid tag {tag}")
    return values


def _is_deep(layout: Layout) -> bool:
    """True for the kinds that are read here, even if Pillow can open them."""
    if layout.compression not in _LOSSLESS:
        return False
    if layout.photometric == _YCBCR:
        return layout.planar
    deep = layout.bits > 8 or layout.sample_format in (2, 3) or _has_unread_planes(layout)
    return deep and layout.photometric in _COLOURS


def _has_unread_planes(layout: Layout) -> bool:
    """True for planes of 8 bits that Pillow cannot read: more than those of the colours, or one."""
    if not (layout.planar and layout.bits == 8):
        return False
    return layout.colours == 1 or layout.samples > layout.colours + 1


def _require_support(layout: Layout) -> None:
    if not (layout.width > 0 and layout.height > 0 and 0 < layout.samples <= _MAX_SAMPLES):
        raise SyntaxError("invalid dimensions")
    if layout.tile and not (layout.tile[0] > 0 and layout.tile[1] > 0):
        raise SyntaxError("invalid tiles")
    depth = layout.sample_format, layout.bits
    packed = layout.sample_format == 1 and 0 < layout.bits < 16 and layout.predictor == 1
    lab = layout.photometric == _LAB and layout.bits != 16
    known = layout.photometric in _COLOURS and layout.samples >= layout.colours and not lab
    size = layout.samples * layout.bits // 8 <= _MAX_BYTES_PER_PIXEL
    coding = layout.compression in _LOSSLESS and layout.predictor in (1, 2, 3)
    if not (known and size and coding and (depth in _TYPES or packed)):
        raise Unusable(f"a kind of TIFF that is not supported: {layout.words}")


def _picture(layout: Layout, tags: Mapping[int, Any], data: bytes) -> Image.Image:
    samples = _samples(layout, tags, data)
    colours = [samples[:, :, band] for band in range(layout.colours)]
    if layout.photometric == _LAB:
        return Image.merge("LAB", [Image.fromarray(band) for band in _lab(colours)])
    alpha = _share(samples[:, :, layout.colours], layout) if layout.alpha else None
    if alpha is not None and layout.alpha == 1:
        colours = [_straight(band, alpha) for band in colours]
    stacked = np.stack(colours, 2)
    shown = (
        stacked
        if stacked.dtype == np.uint8
        else eight_bits(stacked, _declared_bits(layout), _no_data(tags))
    )
    if layout.photometric == _WHITE_IS_ZERO:
        shown = 255 - shown
    bands = [shown[:, :, band] for band in range(layout.colours)]
    if alpha is not None and layout.mode.endswith("A"):
        bands.append((alpha * 255).round().astype(np.uint8))
    images = [Image.fromarray(np.ascontiguousarray(band)) for band in bands]
    return images[0] if len(images) == 1 else Image.merge(layout.mode, images)


def _declared_bits(layout: Layout) -> int:
    """Bits that a file declares if the samples would fit into fewer; 0 to find them."""
    return layout.bits if layout.bits not in (16, 32, 64) and layout.sample_format == 1 else 0


def _no_data(tags: Mapping[int, Any]) -> float | None:
    try:
        return float(str(tags[_GDAL_NO_DATA]).strip("\0 "))
    except (KeyError, ValueError):
        return None


def _lab(bands: list[NDArray[Any]]) -> list[NDArray[np.uint8]]:
    """16-bit CIE L*a*b* (L unsigned, a and b signed) as Pillow stores 8-bit Lab."""
    lightness, *chroma = (np.ascontiguousarray(band.astype(np.uint16)) for band in bands)
    signed = [(band.view(np.int16) >> 8) + 128 for band in chroma]
    return [(lightness >> 8).astype(np.uint8), *(band.astype(np.uint8) for band in signed)]


def _share(values: NDArray[Any], layout: Layout) -> NDArray[np.float32]:
    """Alpha from 0 to 1."""
    opaque = np.float32(opaque_value(values, layout.bits))
    share: NDArray[np.float32] = np.nan_to_num(values.astype(np.float32) / opaque)
    return share.clip(0, 1)


def _straight(band: NDArray[Any], alpha: NDArray[np.float32]) -> NDArray[Any]:
    """A band with its premultiplication undone."""
    full = band / np.maximum(alpha, np.float32(1e-3))
    return (full if band.dtype.kind == "f" else full.clip(0, np.iinfo(band.dtype).max)).astype(
        band.dtype
    )


def _samples(layout: Layout, tags: Mapping[int, Any], data: bytes) -> NDArray[Any]:
    """The samples: ndarray of shape (height, width, samples), in the machine's byte order."""
    if not layout.planar:
        return _plane(layout, tags, data, 0, layout.samples)
    wanted = layout.colours + (1 if layout.alpha else 0)
    planes = [_plane(layout, tags, data, number, 1)[:, :, 0] for number in range(wanted)]
    return np.stack(planes, 2)


def _plane(
    layout: Layout, tags: Mapping[int, Any], data: bytes, number: int, samples: int
) -> NDArray[Any]:
    """One plane: ndarray of shape (height, width, samples)."""
    across = layout.tile[0] if layout.tile else layout.width
    tiles = -(-layout.width // across)
    row_bytes = -(-across * samples * layout.bits // 8)
    with _Plane(io.BytesIO(_as_bytes(layout, tags, data, number, row_bytes, tiles))) as plane:
        raw = np.asarray(plane).reshape(layout.height, tiles, row_bytes)
    values = _numbers(raw, layout, across, samples)
    return values.reshape(layout.height, tiles * across, samples)[:, : layout.width]


def _numbers(raw: NDArray[np.uint8], layout: Layout, across: int, samples: int) -> NDArray[Any]:
    """Numbers of rows of bytes: ndarray of shape (height, tiles, width of a tile, samples)."""
    shape = (*raw.shape[:2], across, samples)
    if layout.bits % 8:
        return _unpacked(raw, layout.bits, across * samples).reshape(shape)
    if layout.predictor == 3 and layout.sample_format == 3:
        return _undo_float_predictor(raw, layout.bits // 8, samples).reshape(shape)
    order = ">" if layout.big_endian else "<"
    stored = np.dtype(f"{order}{_KIND_OF_FORMAT[layout.sample_format]}{layout.bits // 8}")
    values = raw.reshape(*raw.shape[:2], -1).view(stored).reshape(shape)
    values = values.astype(stored.newbyteorder("="), copy=False)
    if layout.predictor == 2:
        whole = values.view(f"u{layout.bits // 8}")
        return np.cumsum(whole, axis=2, dtype=whole.dtype).view(values.dtype)
    return values


def _undo_float_predictor(raw: NDArray[np.uint8], size: int, samples: int) -> NDArray[Any]:
    """Floats from differences of bytes, most significant bytes first (Adobe, 2005)."""
    differences = raw.reshape(*raw.shape[:2], -1, samples)
    planes = np.cumsum(differences, axis=2, dtype=np.uint8).reshape(*raw.shape[:2], size, -1)
    return np.ascontiguousarray(planes.swapaxes(2, 3)).view(f">f{size}").astype(f"f{size}")


def _unpacked(raw: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint16]:
    """Whole numbers of less than 16 bits that are packed without gaps, row by row."""
    weights = (1 << np.arange(bits)[::-1]).astype(np.uint16)
    out = np.empty((*raw.shape[:2], count), np.uint16)
    for row, line in enumerate(raw):
        out[row] = np.unpackbits(line, axis=1)[:, : count * bits].reshape(-1, count, bits) @ weights
    return out


def _as_bytes(
    layout: Layout, tags: Mapping[int, Any], data: bytes, number: int, row_bytes: int, tiles: int
) -> bytes:
    """The file, described as one 8-bit grey picture of the bytes of a plane."""
    offsets_tag, sizes_tag = (
        (_TILE_OFFSETS, _TILE_BYTES) if layout.tile else (_STRIP_OFFSETS, _STRIP_BYTES)
    )
    offsets = _tuple(tags, offsets_tag, ())
    sizes = _tuple(tags, sizes_tag, (len(data),) * len(offsets))
    rows = layout.tile[1] if layout.tile else _number(tags, _ROWS_PER_STRIP, layout.height)
    pieces = tiles * -(-layout.height // max(1, min(rows, layout.height)))
    first = number * pieces
    if len(offsets) < first + pieces or len(sizes) < first + pieces:
        raise EOFError("strips or tiles are missing")
    described = {
        _WIDTH: (row_bytes * tiles,),
        _HEIGHT: (layout.height,),
        _BITS: (8,),
        _COMPRESSION: (layout.compression,),
        _PHOTOMETRIC: (_BLACK_IS_ZERO,),
        _FILL_ORDER: (_number(tags, _FILL_ORDER, 1),),
        _SAMPLES: (1,),
        _PLANAR: (1,),
        offsets_tag: offsets[first : first + pieces],
        sizes_tag: sizes[first : first + pieces],
    }
    if layout.tile:
        described |= {_TILE_WIDTH: (row_bytes,), _TILE_HEIGHT: (rows,)}
    else:
        described |= {_ROWS_PER_STRIP: (min(rows, layout.height),)}
    return _with_directory(data, described)


def _with_directory(data: bytes, tags: Mapping[int, tuple[int, ...]]) -> bytes:
    """The bytes of a TIFF file with another directory, whose values are 32-bit numbers."""
    start = len(data) + len(data) % 2
    values_at = start + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            values, packed = values + packed, struct.pack("<I", values_at + len(values))
        entries += struct.pack("<HHI", tag, 4, len(numbers)) + packed
    directory = struct.pack("<H", len(tags)) + entries + bytes(4) + values
    header = b"II*\0" + struct.pack("<I", start)
    return b"".join((header, memoryview(data)[8:], bytes(len(data) % 2), directory))
