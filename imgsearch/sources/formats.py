"""Extensions of image files, and the decoders that may open them.

The extension only decides whether a file is worth opening; its content decides what it is. Files
with other extensions (documents, films, sidecars, databases) or without one are silently ignored.
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
"""The only decoders that `Image.open` may try, in this order. EPS would start Ghostscript, WMF is
drawn by Windows, and the scientific formats do not hold photographs. MPO is opened as JPEG. TGA
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

VIDEO_TYPES = {"mov": "video/quicktime", "mp4": "video/mp4"}
"""Extension of the video of a Live Photo to its media type. Videos are not indexed."""

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
"""Image formats without a decoder here: such files are reported as skipped, not ignored."""

CANDIDATES = PICTURE_EXTENSIONS | RAW_EXTENSIONS | UNSUPPORTED_EXTENSIONS.keys()


def extension(name: str) -> str:
    """The part of a file name after the last dot, in lower case; "" if there is none."""
    stem, dot, tail = name.rpartition(".")
    return tail.lower() if dot and stem else ""


def is_picture_name(name: str) -> bool:
    """True if a file with this name is worth opening."""
    return extension(name) in CANDIDATES
