"""Reads the statements of a file about its image: EXIF, XMP, IPTC, texts, comments, file name.

Nothing here raises, whatever the tags contain. `statement` decides which source counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from PIL import Image
from PIL.ExifTags import Base

from imgsearch.records import METADATA_VERSION, ImageMetadata
from imgsearch.sources.containers import Blocks, exif_from, image_blocks, raw_blocks
from imgsearch.sources.exif import read_exif, tags
from imgsearch.sources.iptc import read_iptc
from imgsearch.sources.name_dates import read_name
from imgsearch.sources.statement import Statement, merged
from imgsearch.sources.texts import read_comments, read_texts
from imgsearch.sources.xmp import read_xmp

_FORMATS = {"MPO": "JPEG"}
"""Pillow's names of formats that extend another one -> that one."""


def image_statements(
    image: Image.Image, exif: Image.Exif, data: bytes, name: str
) -> list[Statement]:
    """The statements of a file called `name` that Pillow has opened; `data` is all of it."""
    return [*_block_statements(image_blocks(image, exif, data)), read_name(_base(name))]


def raw_statements(exif: Image.Exif, data: bytes, name: str) -> list[Statement]:
    """The statements of a RAW file called `name`."""
    return [*_block_statements(raw_blocks(exif, data)), read_name(_base(name))]


def read_metadata(
    exif: Image.Exif,
    width: int,
    height: int,
    format: str,
    orientation: int = 1,
    statements: Iterable[Statement] = (),
) -> ImageMetadata:
    """The metadata of an image; a tag with an invalid value counts as absent.

    Parameters
    ----------
    width, height : int
        Size of the full, upright image in pixels.
    format : str
        Pillow's name.
    statements : iterable of Statement, optional
        Statements of sources other than EXIF, in any order.
    """
    whole, source = merged((read_exif(exif), *statements))
    taken, position = whole.taken, whole.position
    return ImageMetadata(
        width=width,
        height=height,
        format=_FORMATS.get(format, format),
        orientation=orientation,
        taken_at=taken.start if taken else None,
        taken_precision=taken.precision if taken else None,
        taken_source=source,
        utc_offset_minutes=taken.utc_offset_minutes if taken else None,
        camera_make=whole.camera_make or None,
        camera_model=whole.camera_model or None,
        latitude=position[0] if position else None,
        longitude=position[1] if position else None,
        title=whole.title or None,
        description=whole.description or None,
        keywords=whole.keywords,
        people=whole.people,
        city=whole.city or None,
        state=whole.state or None,
        country=whole.country or None,
        rating=whole.rating,
        metadata_version=METADATA_VERSION,
    )


def orientation_of(exif: Image.Exif) -> int:
    """The EXIF orientation, 1 to 8; 1 if it is missing or invalid."""
    value = tags(exif).get(Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _block_statements(blocks: Blocks) -> Iterator[Statement]:
    yield from map(read_xmp, blocks.xmp)
    yield from map(read_iptc, blocks.iptc)
    if blocks.exif:
        yield read_exif(exif_from(blocks.exif))
    yield read_texts(blocks.texts, blocks.changed)
    yield read_comments(blocks.comments)


def _base(name: str) -> str:
    return name.rpartition("/")[2]
