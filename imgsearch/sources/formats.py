"""Which files are taken for pictures, and which decoders may touch them.

The extension only says whether a file is worth opening; what it is, its content decides. Files
with other extensions (documents, films, sidecars, databases) and files without one are passed
over without a word.
"""

from __future__ import annotations

PILLOW_FORMATS = (
    "JPEG",
    "PNG",
    "HEIF",
    "WEBP",
    "GIF",
    "TIFF",
    "AVIF",
    "BMP",
    "DIB",
    "PPM",
    "JPEG2000",
    "ICO",
    "PCX",
    "PSD",
    "QOI",
    "SGI",
    "ICNS",
    "DDS",
    "TGA",
)
"""The decoders that `Image.open` may try, in this order, and no others: EPS starts Ghostscript,
WMF is drawn by Windows, and the scientific formats are no photographs. MPO is opened as JPEG. TGA
comes last because it has no magic number."""

# fmt: off
PICTURE_EXTENSIONS = frozenset(
    (
        "jpg", "jpeg", "jpe", "jfif", "jif", "mpo", "png", "apng",
        "webp", "gif", "bmp", "dib", "tif", "tiff", "heic", "heif",
        "heics", "heifs", "hif", "avif", "avifs", "jp2", "j2k", "j2c",
        "jpc", "jpf", "jpx", "psd", "tga", "pcx", "ppm", "pgm",
        "pbm", "pnm", "ico", "icns", "qoi", "sgi", "bw", "rgb",
        "dds",
    )
)
# fmt: on

# fmt: off
RAW_EXTENSIONS = frozenset(
    (
        "dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "srf",
        "sr2", "orf", "rw2", "raf", "pef", "srw", "3fr", "fff",
        "iiq", "kdc", "dcr", "mrw", "mos", "x3f", "erf", "rwl",
        "mef",
    )
)
# fmt: on

UNSUPPORTED_EXTENSIONS = {
    "svg": "SVG",
    "svgz": "SVG",
    "jxl": "JPEG XL",
    "xcf": "GIMP",
    "eps": "EPS",
    "exr": "OpenEXR",
    "hdr": "Radiance HDR",
    "jxr": "JPEG XR",
    "wdp": "JPEG XR",
    "wmf": "WMF",
    "emf": "EMF",
    "kra": "Krita",
    "fits": "FITS",
}
"""Picture formats that no decoder of ours reads: they are reported, not passed over."""

CANDIDATES = PICTURE_EXTENSIONS | RAW_EXTENSIONS | UNSUPPORTED_EXTENSIONS.keys()


def extension(name: str) -> str:
    """What follows the last dot of a file name, in lower case; "" where there is no dot."""
    stem, dot, tail = name.rpartition(".")
    return tail.lower() if dot and stem else ""


def is_picture_name(name: str) -> bool:
    """True if a file of this name is worth opening."""
    return extension(name) in CANDIDATES
