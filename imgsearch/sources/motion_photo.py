"""Finds the video inside a picture file: a Motion Photo of Android.

A JPEG has the video behind the picture, a HEIC or AVIF in the box `mpvd` ("Motion Photo format
1.0", Android; Google's earlier MicroVideo and Samsung's files are JPEGs of the same form). XMP
also states the place, but many programs drop it, or copy it without the video. So the video itself
is looked for: boxes of ISO/IEC 14496-12 that begin with `ftyp`, among them the index of a film,
`moov`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from imgsearch.sources.heif import box_places

FORMATS_WITH_VIDEO = frozenset(("JPEG", "HEIF", "AVIF"))
"""Formats of pictures that may have a video inside."""
_JPEG = b"\xff\xd8"
_START, _INDEX, _VIDEO = b"ftyp", b"moov", b"mpvd"
_MIN_START_BYTES, _MAX_START_BYTES = 16, 256
_MAX_BOXES = 1000
_MAX_CANDIDATES = 32
_HEADER_BYTES = 8


def embedded_video(data: bytes) -> range | None:
    """The place in bytes of the video in a picture file; None without one."""
    if data.startswith(_JPEG):
        places = ((at, len(data)) for at in _candidates(data))
    else:
        places = ((start, end) for kind, start, end in _boxes(data, 0, len(data)) if kind == _VIDEO)
    return next(filter(None, (_video(data, *place) for place in places)), None)


def _candidates(data: bytes) -> Iterator[int]:
    """Places behind the start of a JPEG at which a video may begin."""
    at = data.find(_START, _HEADER_BYTES)
    for _ in range(_MAX_CANDIDATES):
        if at < 0:
            return
        if _MIN_START_BYTES <= int.from_bytes(data[at - 4 : at], "big") <= _MAX_START_BYTES:
            yield at - 4
        at = data.find(_START, at + 1)


def _video(data: bytes, start: int, end: int) -> range | None:
    """A whole video that begins at a place, without what follows it; None if there is none."""
    kinds, last = set(), start
    for kind, _, next_ in _boxes(data, start, end):
        if not kind.isalnum():  # such as the trailer of Samsung
            break
        kinds.add(kind)
        last = next_
    return range(start, last) if {_START, _INDEX} <= kinds else None


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of consecutive boxes, up to the first that is not whole."""
    with suppress(ValueError, IndexError):
        for box in islice(box_places(memoryview(data)[:end], start), _MAX_BOXES):
            if box[2] > end:
                return
            yield box
