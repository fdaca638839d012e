"""Searches in a library whose pictures have changed on disk since they were indexed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from imgsearch.catalog import open_catalog
from imgsearch.indexing.freshness import FILE
from imgsearch.searching.request import SearchRequest
from imgsearch.serving.gallery import Gallery
from imgsearch.settings import Settings
from tests.cli.calls import Outcome, Place, picture
from tests.conftest import full_only


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "tsv", "paths", "paths0"])
def test_a_deleted_picture_is_in_no_format(indexed: Place, form: str) -> None:
    (indexed.photos / "b.jpg").unlink()
    outcome = indexed.call("search", "red", "--all", "--format", form)
    assert outcome.status == 0
    assert "b.jpg" not in outcome.text and "a.jpg" in outcome.text
    assert "1 picture that is no longer on disk is left out" in outcome.err
    if form == "paths0":
        listed = subprocess.check_output(["xargs", "-0", "ls"], input=outcome.out)
        assert listed.count(b"\n") == 3


def test_a_server_leaves_deleted_pictures_out_of_each_page(indexed: Place) -> None:
    gallery = Gallery(Settings(library=str(indexed.library), device="cpu", threads=1))
    try:
        ranking, before = gallery.rank(SearchRequest(limit=2)).result(60)
        last = ranking.page_ids(0, 4)[-1]
        os.unlink(before[0].path)
        ranking_after, hits = gallery.rank(SearchRequest(limit=2)).result(60)
        assert [hit.image.id for hit in hits] == ranking.page_ids(1, 2)
        assert len(ranking_after) == 3
        [hit] = gallery.turn(ranking, 0, 2).result(60)[1]
        assert hit.image.id == before[1].image.id
        assert gallery.turn(ranking, 3, 2).result(60)[1][0].image.id == last
    finally:
        gallery.close()


def news(outcome: Outcome) -> list[str]:
    return [line for line in outcome.err.splitlines() if "since the last index" in line]


def test_a_search_says_how_many_are_new_or_changed(indexed: Place) -> None:
    photos = indexed.photos
    assert news(indexed.call("search", "red")) == []
    for number in range(2):
        picture(photos / f"new{number}.jpg", 50 + number)
    picture(photos / "fresh" / "deep" / "x.jpg", 60)
    picture(photos / "#snapshot" / "y.jpg", 61)
    picture(photos / ".hidden.jpg", 62)
    (photos / "notes.txt").write_text("no picture")
    (photos / "link.jpg").symlink_to("a.jpg")
    picture(photos / "other.jpg", 63, (80, 60)).replace(photos / "b.jpg")
    said = "3 new, 1 changed since the last index: imgsearch index"
    assert news(indexed.call("search", "red")) == [said]
    assert news(indexed.call("similar", photos / "a.jpg", "--format", "json")) == [said]
    assert news(indexed.call("search", "red", "--no-refresh")) == []
    assert news(indexed.call("search", "red", "-q")) == []
    indexed.index()
    assert news(indexed.call("search", "red")) == []


@pytest.mark.parametrize("keep_time", [True, False])
@pytest.mark.parametrize("keep_size", [True, False])
def test_a_file_overwritten_in_place_is_changed(
    indexed: Place, keep_time: bool, keep_size: bool
) -> None:
    """Its folder keeps its time; with the same size and time, the ctime differs."""
    file = indexed.photos / "b.jpg"
    before, data = file.stat(), file.read_bytes()
    with open(file, "r+b") as written:
        written.write(b"\xff\xd8" + data[2:][::-1] if keep_size else data + b"more")
    if keep_time:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_ino == before.st_ino
    said = "1 changed since the last index: imgsearch index"
    assert news(indexed.call("search", "red")) == [said]
    indexed.index()
    assert news(indexed.call("search", "red")) == []


def test_excluded_and_skipped_files_are_not_new(indexed: Place) -> None:
    (indexed.photos / "broken.jpg").write_text("no picture")
    indexed.index(indexed.photos, "--exclude", "secret/")
    picture(indexed.photos / "secret" / "s.jpg", 70)
    os.utime(indexed.photos)
    assert news(indexed.call("search", "red")) == []


def test_what_is_excluded_behind_a_link_is_not_new(indexed: Place) -> None:
    """The link leads to a folder that a scan does not visit under its own name."""
    store = indexed.photos / ".store"
    picture(store / "p.jpg", 80)
    (indexed.photos / "album").symlink_to(".store")
    indexed.index(indexed.photos, "--exclude", ".store/secret/")
    assert news(indexed.call("search", "red")) == []
    picture(store / "secret" / "s.jpg", 81)
    assert news(indexed.call("search", "red")) == []
    picture(store / "q.jpg", 82)
    assert news(indexed.call("search", "red")) == ["1 new since the last index: imgsearch index"]
    indexed.index(indexed.photos)
    assert news(indexed.call("search", "red")) == []


def test_only_complete_runs_count(indexed: Place) -> None:
    """A part of a folder that was scanned says nothing about the rest."""
    picture(indexed.photos / "new.jpg", 50)
    picture(indexed.photos / "sub" / "new.jpg", 51)
    assert news(indexed.call("search", "red"))[0].startswith("2 new")
    indexed.index(indexed.photos / "sub")
    assert news(indexed.call("search", "red"))[0].startswith("1 new")


def test_refresh_brings_the_library_up_first(
    indexed: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(indexed.photos / "new.jpg", 50)
    (indexed.photos / "b.jpg").unlink()
    outcome = indexed.call("search", "red", "--all", "--refresh")
    assert "new.jpg" in outcome.text and "b.jpg" not in outcome.text and outcome.err == ""
    monkeypatch.setenv("IMGSEARCH_REFRESH", "always")
    picture(indexed.photos / "newer.jpg", 51)
    assert "newer.jpg" in indexed.call("search", "red", "--all").text
    picture(indexed.photos / "newest.jpg", 52)
    assert "newest.jpg" not in indexed.call("search", "red", "--all", "--no-refresh").text
    monkeypatch.setenv("IMGSEARCH_REFRESH", "never")
    assert news(indexed.call("search", "red")) == []
    monkeypatch.setenv("IMGSEARCH_REFRESH", "sometimes")
    assert "ask, always, never" in indexed.call("search", "red").err
    monkeypatch.delenv("IMGSEARCH_REFRESH")
    empty = indexed.call("--library", tmp_path / "none", "search", "red", "--refresh")
    assert empty.status == 1 and "there is no library" in empty.err


@full_only
def test_a_refresh_that_cannot_be_does_not_stop_the_search(indexed: Place) -> None:
    picture(indexed.photos / "new.jpg", 50)
    with open_catalog(str(indexed.library)).writer():
        outcome = indexed.call("search", "red", "--all", "--refresh")
    assert outcome.status == 0 and "a.jpg" in outcome.text
    assert "The library was not refreshed: another process is writing" in outcome.err


def test_a_damaged_record_of_folders_is_no_error(indexed: Place) -> None:
    picture(indexed.photos / "new.jpg", 50)
    for damage in (b"", b"{", b"[]", b'{"' + os.fsencode(indexed.photos) + b'": 3}', b"\xff"):
        (indexed.library / FILE).write_bytes(damage)
        outcome = indexed.call("search", "red", "--all")
        assert outcome.status == 0 and news(outcome) == []
