"""Width and shortening of text on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.cli.terminal import columns, cut, plain


@pytest.mark.parametrize(
    ("text", "wide"),
    [
        ("abc", 3),
        ("東京", 4),
        ("e\N{COMBINING ACUTE ACCENT}", 1),
        ("ｱ", 1),
        ("🐕", 2),
        ("\udcff", 1),
        ("", 0),
    ],
)
def test_columns(text, wide):
    assert columns(text) == wide


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("photos/2017/beach.jpg", 21, "photos/2017/beach.jpg"),
        ("photos/2017/beach.jpg", 20, "photos…017/beach.jpg"),
        ("photos/2017/beach.jpg", 10, "pho…ch.jpg"),
        ("photos/東京/東京.jpg", 12, "pho…東京.jpg"),
        ("photos/東京/東京.jpg", 11, "pho…京.jpg"),
        ("abc", 1, "…"),
    ],
)
def test_cut_in_the_middle(text, room, shown):
    assert cut(text, room) == shown


@given(st.text(max_size=60), st.integers(1, 60))
def test_a_shortened_text_fits_and_keeps_both_ends(text, room):
    text = unicodedata.normalize("NFC", plain(text))
    shown = cut(text, room)
    assert columns(shown) <= room
    if shown != text:
        head, _, tail = shown.partition("…")
        assert text.startswith(head)
        assert text.endswith(shown[len(head) + 1 :])
        assert columns(shown) >= room - 2, "it cuts no more than needed"
        assert tail is not None
