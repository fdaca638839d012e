"""Exclude patterns are understood or refused, and never match nothing in silence."""

from __future__ import annotations

import unicodedata

import pytest

from imgsearch.errors import SourceError
from imgsearch.sources.excludes import Excludes, added, understood
from imgsearch.sources.folder_source import FilesystemSource
from tests.sources.test_folder_source import put, scan

SECRET = ["secret/deep/d.jpg", "secret/k.jpg"]
FILES = ["#snap/a.jpg", "a.jpg", "keep/b.jpg", *SECRET, "with space/s.jpg"]


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("#snap", ["#snap/a.jpg"]),
        ("#snap/", ["#snap/a.jpg"]),
        ("\\#snap", ["#snap/a.jpg"]),
        ("secret/", SECRET),
        ("./secret", SECRET),
        ("./secret/./deep", ["secret/deep/d.jpg"]),
        ("secret//deep/", ["secret/deep/d.jpg"]),
        ("keep/../secret/deep", ["secret/deep/d.jpg"]),
        ("secret/  ", SECRET),
        ("\tsecret/\r\n", SECRET),
        ("secret/.", SECRET),
        ("/secret/deep/", ["secret/deep/d.jpg"]),
        ("with space/", ["with space/s.jpg"]),
        ("with\\ space", ["with space/s.jpg"]),
        ("{root}/secret", SECRET),
        ("{root}/secret/deep/", ["secret/deep/d.jpg"]),
        ("{link}/secret/k.jpg", ["secret/k.jpg"]),
        ("{root}/secret/*.jpg", ["secret/k.jpg"]),
    ],
)
def test_a_pattern_that_is_understood(tmp_path, pattern, left_out):
    root = tmp_path / "photos [2019]"
    put(root, *FILES)
    (tmp_path / "link").symlink_to(root)
    pattern = pattern.replace("{root}", str(root)).replace("{link}", str(tmp_path / "link"))
    [kept] = understood([pattern], [str(root)]).values()
    files, _, _ = scan(root, exclude=kept)
    assert sorted({*FILES} - {*files}) == left_out


def test_a_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    root = str(tmp_path / "Pictures")
    assert understood(["~/Pictures/secret/", "~snapshot"], [root]) == {
        root: ["/secret/", "~snapshot"]
    }


def test_an_absolute_path_with_special_characters_is_that_path(tmp_path):
    put(tmp_path, "a[1]/x.jpg", "a1/y.jpg")
    [kept] = understood([str(tmp_path / "a[1]")], [str(tmp_path)]).values()
    assert scan(tmp_path, exclude=kept)[0] == ["a1/y.jpg"]


@pytest.mark.parametrize(
    "pattern",
    ["", "   ", "!", "/", "./", ".", "..", "../x", "a/../..", "/etc/passwd", "/home/nobody/x",
     "{root}", "{root}/", "secret\\deep", "secret\\", "a\0b", "a\nb"],
)  # fmt: skip
def test_a_pattern_that_could_match_nothing_is_refused(tmp_path, pattern):
    with pytest.raises(SourceError, match="exclude pattern") as caught:
        understood(["fine/", pattern.replace("{root}", str(tmp_path))], [str(tmp_path)])
    assert caught.value.hint


def test_a_comment_kept_by_an_earlier_version_is_a_name(tmp_path):
    put(tmp_path, *FILES)
    assert "#snap/a.jpg" not in scan(tmp_path, exclude=["#snap"])[0]


def test_accents_are_equal_however_they_are_stored(tmp_path):
    name = "Größe é"
    put(tmp_path, f"{unicodedata.normalize('NFD', name)}/a.jpg", "b.jpg")
    for form in ("NFC", "NFD"):
        assert scan(tmp_path, exclude=[unicodedata.normalize(form, name)])[0] == ["b.jpg"]


def test_patterns_add_up_and_a_repeated_one_counts_last():
    assert added(["a/", "!a/b/"], ["c/", "a/"]) == ("!a/b/", "c/", "a/")


def test_patterns_that_matched_nothing():
    excludes = Excludes(["a/", "b/", "*.png"])
    assert excludes.match("x/a/") and excludes.match("c.png") and not excludes.match("c.jpg")
    assert excludes.unmatched() == ["b/"]


@pytest.mark.parametrize(
    ("patterns", "unmatched"),
    [
        (["#snapshot"], []),
        (["#snapshot/"], []),
        ([".private/", ".git/", ".git/annex/"], []),
        (["secret/", "secret/deep/", "secret/deep/*.jpg"], []),
        (["secret/deep/", "secret/"], []),
        (["s*", "/secret/deep/"], []),
        (["@eaDir/", "secret/none/", "none/x.jpg"], ["@eaDir/", "secret/none/", "none/x.jpg"]),
        (["secret/", "!secret/none/"], ["!secret/none/"]),
    ],
)
def test_a_pattern_for_what_is_left_out_anyway_has_its_match(tmp_path, patterns, unmatched):
    put(tmp_path, "a.jpg", "#snapshot/b.jpg", ".private/c.jpg", ".git/annex/d.jpg", *SECRET)
    source = FilesystemSource(str(tmp_path), exclude=patterns)
    list(source.scan())
    assert source.rules.unmatched(patterns) == unmatched
