"""Folding: what becomes equal, and what stays apart."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.filters.text_keys import folded
from tests.conftest import full_only


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Łódź", "lodz"),
        ("Ærø", "aero"),
        ("Straße", "strasse"),
        ("IŞIK İzmir ışık", "isik izmir isik"),
        ("Đặng ħŧþðœŋ", "dang htthdoeng"),
        ("Ёлка", "елка"),
        ("Чайка Київ", "чайка київ"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("ＦＵＬＬ ｶﾞ ﬁne", "full ガ fine"),
        ("مُحَمَّد", "محمد"),
        ("שָׁלוֹם", "שלום"),
        ("हिन्दी", "हिन्दी"),
        ("ที่นี่", "ที่นี่"),
        ("がか", "がか"),
        ("제주도", "제주도"),
        ("a\u00adb", "ab"),
        ("\udcff\0", "\ufffd\ufffd"),
    ],
)
def test_folding_by_unicode_rules(text, expected):
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert folded(unicodedata.normalize(form, text)) == unicodedata.normalize("NFC", expected)


@given(st.text(max_size=20))
def test_canonically_equal_texts_fold_alike_and_only_once(text):
    assert folded(unicodedata.normalize("NFD", text)) == folded(unicodedata.normalize("NFC", text))
    assert folded(folded(text)) == folded(text)


@full_only
def test_folding_makes_no_wildcards():
    variants = [
        char
        for char in map(chr, range(128, 0x110000))
        if not "\ud800" <= char <= "\udfff"
        and set(unicodedata.normalize("NFKD", char)) & set("*?[")
    ]
    assert variants
    assert [char for char in variants if folded(char) != char] == []
