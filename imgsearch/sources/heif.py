"""Properties that a HEIF or AVIF container states of its image: rotation and colour.

libheif applies the rotation and mirroring stated by the container (properties `irot` and `imir` of
ISO/IEC 23008-12, 6.5.10 and 6.5.12). Some phones and programs write neither, and only an EXIF
orientation, which libheif ignores. The two must not both be applied.
"""

from __future__ import annotations

from collections.abc import Iterator

_ROTATIONS = (b"irot", b"imir")
_UNSPECIFIED = 2
_FULL_BOX_BYTES = 4  # version and flags at the start of a full box


def states_turn(data: bytes) -> bool:
    """True if the primary image states a rotation or mirroring, even by zero degrees.

    Also True if the container cannot be parsed, so that EXIF is not applied on a guess.
    """
    try:
        return any(kind in _ROTATIONS for kind, _ in _primary_properties(memoryview(data)))
    except (KeyError, IndexError, ValueError, StopIteration):
        return True


def colour_numbers(data: bytes) -> tuple[int, int]:
    """Colour primaries and transfer function of the primary image, as numbers of ITU-T H.273.

    2 stands for unspecified, which is also the result if the container cannot be parsed.
    """
    try:
        for kind, content in _primary_properties(memoryview(data)):
            if kind == b"colr" and bytes(content[:4]) == b"nclx":
                return _number(content, 4, 2), _number(content, 6, 2)
    except (KeyError, IndexError, ValueError, StopIteration):
        pass
    return _UNSPECIFIED, _UNSPECIFIED


def bits(data: bytes) -> int:
    """Most bits per sample of the primary image; 0 if the container does not state them."""
    try:
        for kind, content in _primary_properties(memoryview(data)):
            if kind == b"pixi":
                return max(content[_FULL_BOX_BYTES + 1 :], default=0)
    except (KeyError, IndexError, ValueError, StopIteration):
        pass
    return 0


def _primary_properties(data: memoryview) -> list[tuple[bytes, memoryview]]:
    """Type and content of the properties of the primary image."""
    meta = dict(boxes(dict(boxes(data))[b"meta"][_FULL_BOX_BYTES:]))
    properties = dict(boxes(meta[b"iprp"]))
    all_properties = list(boxes(properties[b"ipco"]))
    used = _associations(properties[b"ipma"], _primary(meta[b"pitm"]))
    return [all_properties[index - 1] for index in used if index]


def boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content of consecutive boxes of an ISO base media file (ISO/IEC 14496-12, 4.2)."""
    for kind, start, end in box_places(data):
        yield kind, data[start:end]


def box_places(data: memoryview, at: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the content of consecutive boxes, the first of them at `at`.

    The last one may end after the data. Raises `ValueError` or `IndexError` for a header that is
    not valid.
    """
    while at + 8 <= len(data):
        size, header = _number(data, at, 4), 8
        if size == 1:
            size, header = _number(data, at + 8, 8), 16
        elif size == 0:
            size = len(data) - at
        if size < header:
            raise ValueError("a box shorter than its header")
        yield bytes(data[at + 4 : at + 8]), at + header, at + size
        at += size


def _number(data: memoryview, at: int, width: int) -> int:
    if at + width > len(data):
        raise IndexError("truncated")
    return int.from_bytes(data[at : at + width], "big")


def _primary(pitm: memoryview) -> int:
    return _number(pitm, _FULL_BOX_BYTES, 2 if pitm[0] == 0 else 4)


def _associations(ipma: memoryview, item: int) -> list[int]:
    """Property numbers (from 1) of an item: ISO/IEC 23008-12, 9.3."""
    id_width = 2 if ipma[0] == 0 else 4
    index_width = 2 if ipma[3] & 1 else 1
    mask = 0x7FFF if index_width == 2 else 0x7F
    at = _FULL_BOX_BYTES + 4
    for _ in range(_number(ipma, _FULL_BOX_BYTES, 4)):
        current, count = _number(ipma, at, id_width), _number(ipma, at + id_width, 1)
        at += id_width + 1
        if current == item:
            offsets = range(at, at + count * index_width, index_width)
            return [_number(ipma, offset, index_width) & mask for offset in offsets]
        at += count * index_width
    return []
