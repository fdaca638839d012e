"""Titles, descriptions and keywords from files made by these tests."""

from __future__ import annotations

import io
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import IFD, Base

from imgsearch.sources.caption_text import MAX_TEXT_CHARACTERS
from imgsearch.sources.captions import Captions, read_captions
from imgsearch.sources.decode import decode_bytes
from imgsearch.sources.decoders import DecodeSettings

XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
<dc:description><rdf:Alt>
<rdf:li xml:lang="x-default">On the  dyke</rdf:li></rdf:Alt></dc:description>
<dc:subject><rdf:Bag><rdf:li>sheep</rdf:li><rdf:li>Ostfriesland</rdf:li><rdf:li>sheep</rdf:li></rdf:Bag>
</dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"""


def jpeg(**save) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", **save)
    return stream.getvalue()


def captions(data: bytes) -> Captions:
    with Image.open(io.BytesIO(data)) as image:
        return read_captions(image, image.getexif())


def with_iptc(*datasets: tuple[int, int, bytes]) -> bytes:
    """A JPEG with an APP13 segment: IPTC-IIM inside a Photoshop resource."""
    records = b"".join(
        struct.pack(">BBBH", 0x1C, record, number, len(value)) + value
        for record, number, value in datasets
    )
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    body = b"Photoshop 3.0\0" + resource + b"\0" * (len(records) % 2)
    plain = jpeg()
    return plain[:2] + b"\xff\xed" + struct.pack(">H", len(body) + 2) + body + plain[2:]


def test_a_picture_without_captions():
    assert captions(jpeg()) == Captions()


def test_xmp():
    expected = Captions("Schafe am Deich", "On the dyke", ("sheep", "Ostfriesland"))
    assert captions(jpeg(xmp=XMP.format(title="Schafe am Deich").encode())) == expected


def test_iptc_in_utf8_and_in_latin1():
    data = with_iptc((2, 5, "Fähre".encode()), (2, 120, "Übers Meer".encode("latin-1")),
                     (2, 25, b"ferry"), (2, 25, b"sea"))  # fmt: skip
    assert captions(data) == Captions("Fähre", "Übers Meer", ("ferry", "sea"))


def test_exif():
    exif = Image.Exif()
    exif[Base.ImageDescription] = "The old mill"
    exif[Base.XPTitle] = "Mühle".encode("utf-16-le") + b"\0\0"
    exif[Base.XPKeywords] = "mill;wind ; ".encode("utf-16-le")
    assert captions(jpeg(exif=exif)) == Captions("Mühle", "The old mill", ("mill", "wind"))


def test_utf8_in_a_tag_that_should_be_ascii():
    exif = Image.Exif()
    exif[Base.ImageDescription] = "Café à Zürich 東京".encode()
    assert captions(jpeg(exif=exif)).description == "Café à Zürich 東京"


def test_reading_nested_lists_stops_early():
    lists = "<dc:title>" * 200 + "<rdf:li>x</rdf:li>" * 2000 + "</dc:title>" * 200
    packet = (
        '<a xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        f' xmlns:dc="http://purl.org/dc/elements/1.1/">{lists}</a>'
    )
    image = Image.new("RGB", (1, 1))
    image.info["xmp"] = packet.encode()
    started = time.process_time()
    assert read_captions(image, Image.Exif()).title == "x"
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "comment",
    [b"ASCII\0\0\0a walk" + b"\0" * 20, b"UNICODE\0" + "a walk".encode("utf-16-le"),
     b"UNICODE\0" + "a walk".encode("utf-16-be")],
)  # fmt: skip
def test_a_user_comment(comment):
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.UserComment] = comment
    assert captions(jpeg(exif=exif)).description == "a walk"


def test_xmp_takes_precedence_over_iptc_and_exif():
    exif = Image.Exif()
    exif[Base.ImageDescription] = "of the camera"
    result = captions(jpeg(exif=exif, xmp=XMP.format(title="").encode()))
    assert result.title == "" and result.description == "On the dyke"


@pytest.mark.parametrize("words", ["OLYMPUS DIGITAL CAMERA         ", "  ", "\0\0", "SONY DSC"])
def test_default_texts_of_cameras_are_ignored(words):
    exif = Image.Exif()
    exif[Base.ImageDescription] = words
    assert captions(jpeg(exif=exif)) == Captions()


def test_a_long_text_is_truncated_and_lines_become_spaces():
    exif = Image.Exif()
    exif[Base.ImageDescription] = "line one\nline two\x1b[31m" + "x" * 5000
    result = captions(jpeg(exif=exif)).description
    assert result.startswith("line one line two [31m") and len(result) == MAX_TEXT_CHARACTERS


@pytest.mark.parametrize(
    "packet",
    [
        b"<not closed",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>',
        b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>',
        b"\xff\xfe\0",
    ],
)
def test_broken_and_hostile_xmp_is_ignored(packet):
    assert captions(jpeg(xmp=packet)) == Captions()


@given(st.binary(max_size=300))
def test_random_xmp_never_raises(packet):
    image = Image.new("RGB", (1, 1))
    image.info["xmp"] = packet
    read_captions(image, Image.Exif())


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 255), st.binary(max_size=40))))
def test_random_iptc_never_raises(datasets):
    captions(with_iptc(*datasets))


def test_decoding_returns_captions():
    data = jpeg(xmp=XMP.format(title="Schafe").encode())
    _, metadata = decode_bytes(data, DecodeSettings())
    assert (metadata.title, metadata.keywords) == ("Schafe", ("sheep", "Ostfriesland"))
