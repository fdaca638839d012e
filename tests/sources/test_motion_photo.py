"""The video inside a Motion Photo is found as it is, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.sources.motion_photo import embedded_video
from tests.conftest import examples
from tests.sources.metadata_files import bag, box, packet, read, saved, with_segments

VIDEO = box(b"ftyp", b"mp42\0\0\0\0mp42isom") + box(b"mdat", b"film" * 99) + box(b"moov", b"index")
JPEG, HEIC, AVIF = saved("JPEG", quality=90), saved("HEIF"), saved("AVIF")
TRAILER = b"SEFH" + bytes(20) + b"SEFT"
GOOGLE = with_segments(
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet(bag("dc:subject", "ftyp")))
)


@pytest.mark.parametrize(
    "before, video, behind",
    [
        (JPEG, VIDEO, b""),
        (GOOGLE, VIDEO, b""),
        (JPEG + bytes(24) + b"MotionPhoto_Data", VIDEO, TRAILER),
        (JPEG + saved("JPEG"), VIDEO, b""),
        (HEIC + box(b"mpvd", VIDEO)[:8], VIDEO, b""),
        (HEIC + box(b"mpvd", VIDEO)[:8], VIDEO, box(b"sefd", b"xx")),
        (AVIF + box(b"mpvd", VIDEO)[:8], VIDEO, b""),
    ],
)
def test_the_video_is_found_without_what_surrounds_it(before, video, behind):
    data = before + video + behind
    place = embedded_video(data)
    assert place is not None and data[place.start : place.stop] == VIDEO
    assert read(data).width == 8, "and the file is a picture as before"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        JPEG,
        HEIC,
        AVIF,
        GOOGLE,
        VIDEO,
        JPEG + VIDEO[:-12],  # cut off before its index
        JPEG + box(b"moov", b"index"),
        HEIC + VIDEO,
        HEIC + box(b"mpvd", b"none"),
        JPEG + b"\0\0\0\x20ftyp" * 1000,
        JPEG + box(b"free", b"") * 5000 + box(b"ftyp", bytes(8)),
    ],
)
def test_a_picture_without_a_whole_video_has_none(data):
    assert embedded_video(data) is None


@settings(max_examples=examples(400))
@given(
    st.sampled_from([JPEG + VIDEO, HEIC + box(b"mpvd", VIDEO)]),
    st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=8)), max_size=4),
)
def test_a_place_lies_in_the_file_whatever_is_in_it(data, changes):
    changed = bytearray(data)
    for at, value in changes:
        changed[at : at + len(value)] = value
    place = embedded_video(bytes(changed))
    assert place is None or 0 < place.start < place.stop <= len(changed)
