"""Captions, keywords and dates from each container, in files made by these tests."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from PIL.ExifTags import IFD, Base

from imgsearch.sources.caption_text import MAX_TEXT_CHARACTERS
from imgsearch.sources.containers import raw_blocks, raw_exif
from imgsearch.sources.guarded_files import Unusable
from imgsearch.sources.metadata import raw_statements, read_metadata
from tests.sources.metadata_files import (
    bag,
    box,
    iptc,
    packet,
    read,
    resource,
    saved,
    with_iptc,
    with_segments,
)

PACKET = packet(
    bag("dc:subject", "sheep", "dyke") + bag("ext:PersonInImage", "Ann"),
    "dc:title='Schafe' xmp:Rating='4' photoshop:City='Emden' photoshop:DateCreated='2009-05'",
)
XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
UUID_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
UUID_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")


def exif_block(keywords: str = "wind;mill") -> bytes:
    exif = Image.Exif()
    exif.endian = "<"
    exif[Base.XPKeywords] = keywords.encode("utf-16-le")
    exif[Base.Make] = "NIKON"
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "2011:02:03 04:05:06"
    return exif.tobytes().removeprefix(b"Exif\0\0")


def gif(xmp: bytes = b"", comment: bytes = b"") -> bytes:
    data = saved("GIF", comment=comment)
    at = data.index(b",") if not comment else data.index(b"!\xfe")
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    block = b"!\xff\x0bXMP DataXMP" + xmp + trailer
    return data[:at] + block + data[at:] if xmp else data


def psd(*resources: bytes, depth: int = 8) -> bytes:
    """A Photoshop file of 8 x 8 pixels with these resources."""
    section = b"".join(resources)
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 8, 8, depth, 3) + struct.pack(">I", 0)
    pixels = struct.pack(">H", 0) + b"\x7f" * (3 * 8 * 8)
    return head + struct.pack(">I", len(section)) + section + struct.pack(">I", 0) + pixels


def jp2(*boxes: bytes) -> bytes:
    data = saved("JPEG2000")
    at = data.index(b"jp2c") - 4
    return data[:at] + b"".join(boxes) + data[at:]


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    data = saved("PNG")
    at = data.index(b"IDAT") - 4
    return data[:at] + b"".join(map(chunk, chunks)) + data[at:]


def chunk(part: tuple[bytes, bytes]) -> bytes:
    kind, content = part
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def tiff(**tags) -> bytes:
    return saved("TIFF", tiffinfo={int(key[1:]): value for key, value in tags.items()})


def mpo() -> bytes:
    stream = io.BytesIO()
    first, second = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), "red")
    first.save(stream, "MPO", save_all=True, append_images=[second], xmp=PACKET)
    return stream.getvalue()


def raw(data: bytes):
    """The metadata of a RAW file whose pixels are not there."""
    exif = raw_exif(data)
    return read_metadata(exif, 1, 1, "RAW", 1, raw_statements(exif, data, "a.dng"))


def profile(kind: str, content: bytes, compressed: bool = True) -> tuple[bytes, bytes]:
    """A chunk as ImageMagick writes one for a block of metadata, in lines of 72 digits."""
    digits = content.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{kind.lower()}\n{len(content):8}\n{lines}\n".encode()
    key = f"Raw profile type {kind}\0".encode()
    return (b"zTXt", key + b"\0" + zlib.compress(text)) if compressed else (b"tEXt", key + text)


FILES = {
    "JPEG": lambda: saved(xmp=PACKET),
    "MPO": mpo,
    "PNG": lambda: png((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET)),
    "PNG by ImageMagick": lambda: png(profile("xmp", PACKET)),
    "PNG by ImageMagick, APP1": lambda: png(profile("APP1", XMP_START + PACKET)),
    "PNG by ImageMagick, after EXIF": lambda: png(
        profile("exif", b"Exif\0\0" + Image.Exif().tobytes()), profile("APP1", XMP_START + PACKET)
    ),
    "PNG by ImageMagick, 8bim": lambda: png(profile("8bim", resource(1060, PACKET), False)),
    "PNG by ImageMagick, after one that is broken": lambda: png(
        (b"tEXt", b"Raw profile type iptc\0\niptc\n 4\nzz\n"), profile("xmp", PACKET)
    ),
    "WebP": lambda: saved("WEBP", xmp=PACKET),
    "TIFF": lambda: tiff(t700=PACKET),
    "AVIF": lambda: saved("AVIF", xmp=PACKET),
    "HEIC": lambda: saved("HEIF", xmp=PACKET),
    "GIF": lambda: gif(PACKET),
    "GIF with a comment": lambda: gif(PACKET, b"hello"),
    "JPEG 2000": lambda: jp2(box(b"uuid", UUID_XMP + PACKET)),
    "PSD": lambda: psd(resource(1060, PACKET)),
    "extended XMP": lambda: with_segments(
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet(attributes="xmp:Label='x'")),
        *((0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"D" * 32 + struct.pack(
            ">II", len(PACKET), at) + PACKET[at : at + 300]) for at in range(0, len(PACKET), 300)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_xmp_in_each_container(kind):
    found = read(FILES[kind]())
    assert (found.title, found.keywords, found.people) == ("Schafe", ("sheep", "dyke"), ("Ann",))
    assert (found.city, found.rating) == ("Emden", 4)
    assert (found.taken_at, found.taken_precision) == (datetime(2009, 5, 1), "month")
    assert found.taken_source == "xmp"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(exif_block(), id="DNG"),
        pytest.param(b"IIRO" + exif_block()[4:], id="ORF"),
        pytest.param(b"IIU\0" + exif_block()[4:], id="RW2"),
    ],
)
def test_exif_of_raw_files_that_look_like_tiff(data):
    found = raw(data)
    assert (found.camera_make, found.keywords) == ("NIKON", ("wind", "mill"))
    assert found.taken_at == datetime(2011, 2, 3, 4, 5, 6)


def test_xmp_and_iptc_of_a_raw_file_that_looks_like_tiff():
    found = raw(tiff(t700=PACKET, t33723=iptc((2, 25, b"ewe"))))
    assert (found.title, found.keywords) == ("Schafe", ("sheep", "dyke", "ewe"))


def test_exif_and_xmp_of_canon_cr3():
    main, details = Image.Exif(), Image.Exif()
    main[Base.Make] = "Canon"
    details[Base.DateTimeOriginal] = "2011:02:03 04:05:06"
    parts = [box(kind, each.tobytes().removeprefix(b"Exif\0\0"))
             for kind, each in ((b"CMT1", main), (b"CMT2", details))]  # fmt: skip
    canon = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    data = box(b"ftyp", b"crx \0\0\0\1crx isom")
    data += box(b"moov", box(b"uuid", canon + b"".join(parts)))
    found = raw(data + box(b"uuid", UUID_XMP + PACKET) + box(b"mdat", b"?"))
    assert (found.camera_make, found.title) == ("Canon", "Schafe")
    assert found.taken_at == datetime(2011, 2, 3, 4, 5, 6)


def test_the_preview_of_fuji_raw():
    preview = saved(xmp=PACKET, exif=b"Exif\0\0" + exif_block())
    head = b"FUJIFILMCCD-RAW".ljust(84, b" ") + struct.pack(">II", 92, len(preview))
    found = raw(head + preview)
    assert (found.camera_make, found.title) == ("NIKON", "Schafe")


IPTC_FILES = {
    "JPEG": lambda: with_iptc((2, 25, b"ewe")),
    "TIFF": lambda: tiff(t33723=iptc((2, 25, b"ewe"))),
    "TIFF of Photoshop": lambda: tiff(t34377=resource(1028, iptc((2, 25, b"ewe")))),
    "PSD": lambda: psd(resource(1028, iptc((2, 25, b"ewe")))),
    "JPEG 2000": lambda: jp2(box(b"uuid", UUID_IPTC + iptc((2, 25, b"ewe")))),
    "PNG by ImageMagick": lambda: png(
        profile("iptc", resource(1028, iptc((2, 25, b"ewe"))), False)
    ),
    "PNG by ImageMagick, 8bim": lambda: png(
        profile("8bim", resource(1028, iptc((2, 25, b"ewe"))))
    ),
    "PNG by ImageMagick, APP13": lambda: png(
        profile("APP13", b"Photoshop 3.0\0" + resource(1028, iptc((2, 25, b"ewe"))))
    ),
    "PNG by ImageMagick, datasets": lambda: png(profile("iptc", iptc((2, 25, b"ewe")))),
}  # fmt: skip


@pytest.mark.parametrize("kind", IPTC_FILES)
def test_iptc_in_each_container(kind):
    assert read(IPTC_FILES[kind]()).keywords == ("ewe",)


@pytest.mark.parametrize(
    "make",
    [lambda: psd(resource(1058, exif_block())),
     lambda: jp2(box(b"uuid", b"JpgTiffExif->JP2" + exif_block())),
     lambda: png(profile("APP1", b"Exif\0\0" + exif_block())),
     lambda: png(profile("exif", b"Exif\0\0" + exif_block(), False)),
     lambda: png(profile("exif", exif_block())),
     lambda: png(profile("8bim", resource(1058, exif_block())))],
)  # fmt: skip
def test_exif_in_containers_where_pillow_does_not_find_it(make):
    found = read(make())
    assert found.keywords == ("wind", "mill") and found.camera_make == "NIKON"
    assert found.taken_at == datetime(2011, 2, 3, 4, 5, 6)


def test_exif_and_xmp_in_profiles_of_the_same_name():
    """The place and the date of the one, and the title of the other."""
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "2011:02:03 04:05:06"
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    found = read(png(profile("APP1", XMP_START + PACKET), profile("app1", exif.tobytes())))
    assert (found.latitude, found.longitude) == (pytest.approx(48.8583, abs=1e-3), 2 + 53 / 180)
    assert (found.taken_at, found.title) == (datetime(2011, 2, 3, 4, 5, 6), "Schafe")


def test_keywords_of_all_sources_are_united():
    xmp = (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet(bag("dc:subject", "alpha")))
    exif = (0xE1, b"Exif\0\0" + exif_block("gamma"))
    photoshop = (0xED, b"Photoshop 3.0\0" + resource(1028, iptc((2, 25, b"beta"))))
    assert read(with_segments(exif, xmp, photoshop)).keywords == ("alpha", "beta", "gamma")


def test_xmp_precedes_exif_in_texts_and_follows_it_in_dates():
    exif = Image.Exif()
    exif[Base.ImageDescription] = "of the camera"
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "2011:02:03 04:05:06"
    both = packet(bag("dc:description", "On the  dyke"), "photoshop:DateCreated='2009-01-01'")
    found = read(saved(exif=exif, xmp=both))
    assert (found.description, found.taken_source) == ("On the dyke", "exif")


@pytest.mark.parametrize("kind", ["text", "itxt", "compressed"])
def test_texts_of_png(kind):
    info = PngImagePlugin.PngInfo()
    for key, text in (("Title", "Mühle"), ("Description", "The mill"), ("Software", "x"),
                      ("Creation Time", "Thu, 21 Mar 2019 11:04:22 +0100")):  # fmt: skip
        if kind == "itxt":
            info.add_itxt(key, text)
        else:
            info.add_text(key, text, zip=kind == "compressed")
    found = read(saved("PNG", pnginfo=info))
    assert (found.title, found.description) == ("Mühle", "The mill")
    assert (found.taken_at, found.utc_offset_minutes) == (datetime(2019, 3, 21, 11, 4, 22), 60)
    assert found.taken_source == "text"


def test_the_time_of_change_of_png_counts_last():
    time = (b"tIME", struct.pack(">HBBBBB", 2024, 1, 2, 3, 4, 5))
    found = read(png(time))
    assert (found.taken_at, found.utc_offset_minutes) == (datetime(2024, 1, 2, 3, 4, 5), 0)
    assert read(png(time, (b"tEXt", b"Creation Time\x002009"))).taken_at == datetime(2009, 1, 1)
    assert read(png((b"tIME", b"?"))).taken_at is None


@pytest.mark.parametrize(
    "comment, description",
    [
        (b"Grandma's garden", "Grandma's garden"),
        ("Garten für Oma".encode("latin-1"), "Garten für Oma"),
        ("富士山".encode(), "富士山"),
        (b"CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90\n", None),
        (b"Lavc58.54.100", None),
        (b"LEAD Technologies Inc. V1.01", None),
        (b"Created with GIMP", None),
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "GIF", "JPEG2000"])
def test_comments(form, comment, description):
    assert read(saved(form, comment=comment)).description == description


def test_the_first_comment_that_a_person_wrote_counts():
    data = with_segments((0xFE, b"Lavc58.54.100"), (0xFE, b"the garden"))
    assert read(data).description == "the garden"


def test_mpo_is_jpeg():
    assert read(mpo()).format == "JPEG"


def test_the_date_in_the_name_counts_last():
    name = "below/IMG-20190504-WA0001.jpg"
    found = read(saved(), name)
    assert (found.taken_at, found.taken_precision) == (datetime(2019, 5, 4), "day")
    assert found.taken_source == "file name"
    assert read(FILES["JPEG"](), name).taken_source == "xmp"
    assert read(saved(), "20190504/x.jpg").taken_at is None, "a folder is not a name"


def test_a_long_text_is_truncated_and_lines_become_spaces():
    found = read(saved(comment=b"line one\nline two\x1b[31m" + b"x" * 5000)).description
    assert found.startswith("line one line two [31m") and len(found) == MAX_TEXT_CHARACTERS


@given(st.sampled_from(sorted(FILES)), st.integers(0, 5000), st.binary(min_size=1, max_size=4))
def test_damaged_blocks_never_raise(kind, at, damage):
    """Only the reading of metadata is tested: the pixels may well be unusable."""
    data = bytearray(MADE[kind])
    data[at % len(data) :][: len(damage)] = damage
    raw_blocks(raw_exif(bytes(data)), bytes(data))


MADE = {kind: make() for kind, make in FILES.items()}


@given(st.sampled_from(sorted(FILES)), st.data())
def test_damaged_packets_never_raise(kind, data):
    whole = MADE[kind]
    at = whole.find(b"x:xmpmeta")
    if at < 0:
        return
    damage = data.draw(st.binary(min_size=1, max_size=30))
    with contextlib.suppress(Unusable):
        read(whole[:at] + damage + whole[at + len(damage) :])
