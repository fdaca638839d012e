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
        "rgba", "dds", "jps", "psdt", "icb", "vda", "vst", "insp",
    )
)
# fmt: on

# fmt: off
RAW_EXTENSIONS = frozenset(
    (
        "dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "srf",
        "sr2", "orf", "rw2", "raf", "pef", "srw", "3fr", "fff",
        "iiq", "kdc", "dcr", "mrw", "mos", "x3f", "erf", "rwl",
        "mef", "gpr", "k25", "ori", "bay", "cap", "dcs", "drf",
        "ptx", "rwz",
    )
)
# fmt: on

VIDEO_TYPES = {"mov": "video/quicktime", "mp4": "video/mp4"}
"""Extension of the video of a Live Photo to its media type. Videos are not indexed."""

UNSUPPORTED_EXTENSIONS = {
    "afdesign": "Affinity Designer",
    "afphoto": "Affinity Photo",
    "ai": "Adobe Illustrator",
    "ani": "cursor",
    "avci": "AVC",
    "blp": "Blizzard texture",
    "bpg": "BPG",
    "cdr": "CorelDRAW",
    "cin": "Cineon",
    "clip": "Clip Studio",
    "cpt": "Corel Photo-Paint",
    "cur": "cursor",
    "dcm": "DICOM",
    "dicom": "DICOM",
    "dpx": "DPX",
    "ecw": "ECW",
    "eip": "Capture One",
    "emf": "EMF",
    "emz": "EMF",
    "eps": "EPS",
    "epsf": "EPS",
    "exr": "OpenEXR",
    "fits": "FITS",
    "flif": "FLIF",
    "fpx": "FlashPix",
    "fts": "FITS",
    "hdp": "JPEG XR",
    "hdr": "Radiance HDR",
    "ilbm": "IFF",
    "jb2": "JBIG2",
    "jbg": "JBIG",
    "jbig": "JBIG",
    "jbig2": "JBIG2",
    "jls": "JPEG-LS",
    "jng": "JNG",
    "jxl": "JPEG XL",
    "jxr": "JPEG XR",
    "jxs": "JPEG XS",
    "kra": "Krita",
    "ktx2": "KTX",
    "lbm": "IFF",
    "lfp": "Lytro",
    "miff": "ImageMagick",
    "mng": "MNG",
    "ora": "OpenRaster",
    "pam": "PAM",
    "pcd": "Photo CD",
    "pct": "PICT",
    "pdn": "Paint.NET",
    "pict": "PICT",
    "ppmx": "PPM",
    "procreate": "Procreate",
    "psb": "Photoshop large document",
    "psp": "PaintShop Pro",
    "pspimage": "PaintShop Pro",
    "ras": "Sun raster",
    "rgbe": "Radiance HDR",
    "sai": "PaintTool SAI",
    "sai2": "PaintTool SAI",
    "svg": "SVG",
    "svgz": "SVG",
    "wbmp": "WBMP",
    "wdp": "JPEG XR",
    "wmf": "WMF",
    "wmz": "WMF",
    "wpg": "WordPerfect graphics",
    "xbm": "XBM",
    "xcf": "GIMP",
    "xpm": "XPM",
    "xwd": "X window dump",
}
"""Image formats without a decoder here: such files are reported as skipped, not ignored.

Extensions that are more often something else are left out: `fit` (sports watches), `iff`, `mac`,
`pfm` (fonts), `pic`, `raw`, `sid` (music)."""

CANDIDATES = PICTURE_EXTENSIONS | RAW_EXTENSIONS | UNSUPPORTED_EXTENSIONS.keys()


def extension(name: str) -> str:
    """The part of a file name after the last dot, in lower case; "" if there is none."""
    stem, dot, tail = name.rpartition(".")
    return tail.lower() if dot and stem else ""


def is_picture_name(name: str) -> bool:
    """True if a file with this name is worth opening."""
    return extension(name) in CANDIDATES
