"""Creates a folder of broken, odd and dangerous picture files, all generated here."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

INDEX, SKIP, EITHER, IGNORE = "index", "skip", "either", "ignore"

pillow_heif.register_heif_opener()


def scene(width: int = 160, height: int = 100) -> Image.Image:
    """A picture that looks different in each of the eight orientations."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    red, green = 255 * x / width, 255 * y / height
    blue = np.where((x < width / 3) & (y < height / 4), 255.0, 40.0)
    return Image.fromarray(np.stack([red, green, blue], axis=2).astype(np.uint8))


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def two_frames(format: str) -> bytes:
    second = scene().transpose(Image.Transpose.ROTATE_180)
    return saved(scene(), format, save_all=True, append_images=[second])


# How a camera held that way would store the scene: the inverse of the viewer's operation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def oriented(orientation: int, format: str) -> bytes:
    """The upright scene, stored rotated, with the EXIF tag that states it."""
    turn = STORED[orientation]
    image = scene() if turn is None else scene().transpose(turn)
    options = {"quality": 95} if format in ("JPEG", "WEBP", "HEIF", "AVIF") else {}
    return saved(image, format, exif=exif(orientation).tobytes(), **options)


def heic_without_rotation_box(orientation: int) -> bytes:
    """A HEIC whose orientation is only in EXIF, as some phones write it."""
    turn = STORED[orientation]
    stored = scene() if turn is None else scene().transpose(turn)
    tags = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0%c\0\0\0\0\0\0"
    data = saved(stored, "HEIF", quality=95, exif=tags % 1)
    return data.replace(tags[6:] % 1, tags[6:] % orientation)


def png_header(width: int, height: int, rows: bytes) -> bytes:
    """A 1-bit grey PNG of any size with these compressed rows."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def bomb() -> bytes:
    """1.6 gigapixels in about 200 kB."""
    packer, row = zlib.compressobj(9), b"\0" * 5001
    return png_header(
        40000, 40000, b"".join(packer.compress(row) for _ in range(40000)) + packer.flush()
    )


def dng() -> bytes:
    """A tiny uncompressed Bayer DNG without a preview, rotated by its tag (orientation 6)."""
    width, height = 64, 48
    y, x = np.mgrid[0:height, 0:width]
    sensor = ((y * 900 + x * 100) % 65536).astype("<u2").tobytes()
    short, long, ratio, byte, text, sratio = 3, 4, 5, 1, 2, 10
    matrix = b"".join(struct.pack("<ii", v, 1) for v in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    neutral = struct.pack("<II", 1, 1) * 3
    tags = [
        (254, long, 1, struct.pack("<I", 0)),
        (256, long, 1, struct.pack("<I", width)),
        (257, long, 1, struct.pack("<I", height)),
        (258, short, 1, struct.pack("<H", 16)),
        (259, short, 1, struct.pack("<H", 1)),
        (262, short, 1, struct.pack("<H", 32803)),
        (271, text, 5, b"Maker"),
        (272, text, 4, b"Cam\0"),
        (273, long, 1, None),
        (274, short, 1, struct.pack("<H", 6)),
        (277, short, 1, struct.pack("<H", 1)),
        (278, long, 1, struct.pack("<I", height)),
        (279, long, 1, struct.pack("<I", len(sensor))),
        (306, text, 20, b"2020:05:04 03:02:01\0"),
        (33421, short, 2, struct.pack("<HH", 2, 2)),
        (33422, byte, 4, bytes((0, 1, 1, 2))),
        (50706, byte, 4, bytes((1, 4, 0, 0))),
        (50708, text, 4, b"Cam\0"),
        (50721, sratio, 9, matrix),
        (50728, ratio, 3, neutral),
    ]
    at = 8 + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for tag, kind, count, value in tags:
        field = (value or b"").ljust(4, b"\0")
        if len(field) > 4:
            extra += b"\0" * (len(extra) % 2)
            extra, field = extra + field, struct.pack("<I", at + len(extra))
        entries += struct.pack("<HHI", tag, kind, count) + field
    start = at + len(extra)
    entries = entries.replace(
        struct.pack("<HHII", 273, long, 1, 0), struct.pack("<HHII", 273, long, 1, start)
    )
    return (
        b"II*\0"
        + struct.pack("<I", 8)
        + struct.pack("<H", len(tags))
        + entries
        + b"\0" * 4
        + extra
        + sensor
    )


def contents() -> dict[str, tuple[str, bytes]]:
    """Name -> (expected verdict, bytes)."""
    picture = scene()
    jpeg = saved(picture, "JPEG", quality=90)
    png = saved(picture, "PNG")
    heic = saved(picture, "HEIF", quality=90)
    avif = saved(picture, "AVIF", quality=90)
    mask = Image.linear_gradient("L").resize(picture.size)
    alpha = picture.copy()
    alpha.putalpha(mask)
    ramp = np.tile(np.linspace(0, 65535, 160), (100, 1))
    huge = bytearray(jpeg)
    frame = huge.index(b"\xff\xc0")
    huge[frame + 5 : frame + 9] = struct.pack(">HH", 65000, 65000)
    twelve = bytearray(jpeg)
    twelve[frame + 4] = 12
    files = {
        "plain.jpg": (INDEX, jpeg),
        "plain.png": (INDEX, png),
        "plain.heic": (INDEX, heic),
        "plain.avif": (INDEX, avif),
        "plain.webp": (INDEX, saved(picture, "WEBP")),
        "plain.bmp": (INDEX, saved(picture, "BMP")),
        "plain.gif": (INDEX, saved(picture, "GIF")),
        "plain.tiff": (INDEX, saved(picture, "TIFF")),
        "plain.jp2": (INDEX, saved(picture, "JPEG2000")),
        "plain.tga": (INDEX, saved(picture, "TGA")),
        "plain.ppm": (INDEX, saved(picture, "PPM")),
        "plain.ico": (INDEX, saved(picture, "ICO")),
        "plain.pcx": (INDEX, saved(picture, "PCX")),
        "two.mpo": (INDEX, two_frames("MPO")),
        "animated.gif": (INDEX, two_frames("GIF")),
        "animated.png": (INDEX, two_frames("PNG")),
        "animated.webp": (INDEX, two_frames("WEBP")),
        "pages.tiff": (INDEX, two_frames("TIFF")),
        "progressive.jpg": (INDEX, saved(picture, "JPEG", progressive=True)),
        "cmyk.jpg": (INDEX, saved(picture.convert("CMYK"), "JPEG", quality=95)),
        "cmyk.tif": (INDEX, saved(picture.convert("CMYK"), "TIFF")),
        "grey16.png": (INDEX, saved(Image.fromarray(ramp.astype(np.uint16)), "PNG")),
        "grey12in16.tif": (INDEX, saved(Image.fromarray((ramp / 16).astype(np.uint16)), "TIFF")),
        "float.tif": (INDEX, saved(Image.fromarray(ramp.astype(np.float32) / 65535), "TIFF")),
        "int32.tif": (INDEX, saved(Image.fromarray((ramp * 99 - 9e5).astype(np.int32)), "TIFF")),
        "one_bit.tif": (INDEX, saved(picture.convert("1"), "TIFF", compression="group4")),
        "alpha.png": (INDEX, saved(alpha, "PNG")),
        "alpha.webp": (INDEX, saved(alpha, "WEBP", lossless=True)),
        "grey_alpha.png": (INDEX, saved(alpha.convert("LA"), "PNG")),
        "palette.png": (INDEX, saved(picture.quantize(32), "PNG", transparency=3)),
        "upper.JPEG": (INDEX, jpeg),
        "jpeg_named.png": (INDEX, jpeg),
        "heic_named.jpg": (INDEX, heic),
        "double.jpg.png": (INDEX, png),
        "trailing_junk.jpg": (INDEX, jpeg + b"junk" * 99),
        "one_pixel.png": (INDEX, saved(picture.crop((0, 0, 1, 1)), "PNG")),
        "wide.png": (INDEX, saved(Image.new("L", (20000, 1), 100), "PNG")),
        "tall.png": (INDEX, saved(Image.new("L", (1, 20000), 100), "PNG")),
        "black.jpg": (INDEX, saved(Image.new("RGB", (80, 60)), "JPEG")),
        "orientation_42.jpg": (INDEX, saved(picture, "JPEG", exif=exif(42))),
        "bad_exif.jpg": (INDEX, saved(picture, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")),
        "empty.jpg": (SKIP, b""),
        "one_byte.png": (SKIP, b"\x89"),
        "text.jpg": (SKIP, b"This is not a picture.\n" * 9),
        "page.jpeg": (SKIP, b"<!DOCTYPE html><html><body>404</body></html>"),
        "document.jpg": (SKIP, b"%PDF-1.7\n" + bytes(99)),
        "zeros.jpg": (SKIP, bytes(5000)),
        "noise.jpg": (SKIP, np.random.default_rng(5).bytes(5000)),
        "header_only.jpg": (SKIP, jpeg[:20]),
        "half.jpg": (SKIP, jpeg[: len(jpeg) // 2]),
        "half.png": (INDEX, png[: len(png) // 2]),
        "eighth.png": (SKIP, png[: len(png) // 8]),
        "half.heic": (SKIP, heic[: len(heic) // 2]),
        "half.avif": (SKIP, avif[: len(avif) // 2]),
        "almost.jpg": (EITHER, jpeg[:-2]),
        "bomb.png": (SKIP, bomb()),
        "claims_65000x65000.jpg": (SKIP, bytes(huge)),
        "twelve_bit.jpg": (SKIP, bytes(twelve)),
        "postscript.jpg": (SKIP, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
        "drawing.svg": (SKIP, b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        "new.jxl": (SKIP, b"\xff\x0a" + bytes(50)),
        "notes.txt": (IGNORE, b"text"),
        "film.mp4": (IGNORE, b"\0\0\0\x18ftypmp42" + bytes(50)),
        "sidecar.xmp": (IGNORE, b"<x/>"),
        "no_extension": (IGNORE, jpeg),
        ".hidden.jpg": (IGNORE, jpeg),
        "._plain.jpg": (IGNORE, b"\0\x05\x16\x07" + bytes(99)),
    }
    for number in range(1, 9):
        for format, tail in (("JPEG", "jpg"), ("TIFF", "tif"), ("PNG", "png"), ("HEIF", "heic")):
            files[f"turned_{number}.{tail}"] = (INDEX, oriented(number, format))
    return files | dict.fromkeys(odd_names(), (INDEX, jpeg))


def odd_names() -> list[str]:
    return [
        os.fsdecode(b"latin1_caf\xe9.jpg"),
        "line\nbreak.jpg",
        "\u202egpj.exe.jpg",
        "写真 猫.jpg",
        "-rf.jpg",
        "$(touch x) & ;.jpg",
        'it\'s "quoted".jpg',
        "percent%20%s%n.jpg",
        "back\\slash.jpg",
        "  spaces .jpg",
        "x" * 240 + ".jpg",
    ]


def make(folder: Path) -> dict[str, str]:
    """Write all of them into `folder`; return the expected verdicts by path below it."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, (verdict, data) in contents().items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        expected[name] = verdict
    os.mkfifo(folder / "pipe.jpg")
    (folder / "lost.jpg").symlink_to("nowhere.jpg")
    (folder / "alias.jpg").symlink_to("plain.jpg")
    (folder / "loop").symlink_to(".")
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg" / "inside.jpg").write_bytes(saved(scene(), "JPEG"))
    return expected | {
        "pipe.jpg": SKIP,
        "lost.jpg": SKIP,
        "alias.jpg": IGNORE,
        "folder.jpg/inside.jpg": INDEX,
    }
