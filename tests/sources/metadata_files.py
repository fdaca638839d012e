"""Small picture files with metadata in them, made by hand."""

from __future__ import annotations

import io
import struct

from PIL import Image

from imgsearch.records import ImageMetadata
from imgsearch.sources.decode import decode_bytes
from imgsearch.sources.decoders import DecodeSettings

NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "ext": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "microsoft": "http://ns.microsoft.com/photo/1.0/",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "kw": "http://www.metadataworkinggroup.com/schemas/keywords/",
    "mwg": "http://www.metadataworkinggroup.com/schemas/regions/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}


def packet(elements: str = "", attributes: str = "") -> bytes:
    """An XMP packet with these properties; prefixes are those of `NAMESPACES`."""
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF {spaces}><rdf:Description rdf:about="" {attributes}>{elements}'
        '</rdf:Description></rdf:RDF></x:xmpmeta>  \n<?xpacket end="w"?>'
    ).encode()


def bag(name: str, *items: str, kind: str = "Bag") -> str:
    inner = "".join(f"<rdf:li>{item}</rdf:li>" for item in items)
    return f"<{name}><rdf:{kind}>{inner}</rdf:{kind}></{name}>"


def saved(form: str = "JPEG", **save) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(stream, form, **save)
    return stream.getvalue()


def with_segments(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG with these segments after its start: (marker, content)."""
    plain = saved()
    parts = (struct.pack(">BBH", 0xFF, m, len(body) + 2) + body for m, body in segments)
    return plain[:2] + b"".join(parts) + plain[2:]


def iptc(*datasets: tuple[int, int, bytes]) -> bytes:
    return b"".join(
        struct.pack(">BBBH", 0x1C, record, number, len(value)) + value
        for record, number, value in datasets
    )


def resource(number: int, content: bytes) -> bytes:
    """A Photoshop image resource."""
    head = b"8BIM" + struct.pack(">HHI", number, 0, len(content))
    return head + content + b"\0" * (len(content) % 2)


def with_iptc(*datasets: tuple[int, int, bytes]) -> bytes:
    return with_segments((0xED, b"Photoshop 3.0\0" + resource(1028, iptc(*datasets))))


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def read(data: bytes, name: str = "plain.jpg") -> ImageMetadata:
    """The metadata of a file's bytes, read as the indexer does."""
    return decode_bytes(data, DecodeSettings(), name)[1]
