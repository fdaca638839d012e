"""Merges: the union of two libraries, whatever they have in common, also after kills."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from imgsearch.catalog import Catalog
from imgsearch.catalog.sqlite_file import FILE
from imgsearch.errors import ExchangeError, ImgSearchError, LibraryMissing, SpaceMismatch
from imgsearch.exchange import merge as merging
from imgsearch.exchange.merge import merge
from imgsearch.filters.parser import parse
from imgsearch.records import ImageRecord, RootRecord, TakenOver, TextFound
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.saved_searches import SavedSearches
from tests.conftest import ROOT
from tests.exchange.libraries import add, library, picture, stored
from tests.fakes import DECODER, OTHER, SPACE, MemoryFolder, MemoryPool, ingest


def other_of(tmp_path: Path, *pictures, **options) -> str:
    with library(tmp_path / "other", *pictures, **options) as catalog:
        return catalog.folder


def rooted(catalog: Catalog, *roots: RootRecord) -> None:
    with catalog.writer() as writer:
        for root in roots:
            writer.put_root(root)


def test_the_union_and_again(tmp_path: Path) -> None:
    """Shared, new and differing pictures, in a shared root and in one of the other."""
    shared = picture("shared.jpg", "shared")
    mine = (shared, picture("mine.jpg", "mine"), picture("changed.jpg", "as I know it"))
    theirs = (
        shared,
        picture("sub/new.jpg", "new", keywords=("Möwe",)),
        picture("changed.jpg", "as they know it"),
        picture("odd \udcff.jpg", "odd", "/elsewhere"),
    )
    other = other_of(tmp_path, *theirs)
    before = stored(other)
    with library(tmp_path / "mine", *mine) as catalog:
        ids = {row[0]: row[1] for row in stored(catalog.folder)}
        done = merge(catalog, other)
        assert (done.added, done.known, done.differing, done.vectors) == (2, 1, 1, 2)
        rows = dict(row[:2] for row in stored(catalog.folder))
        new = {"/photos/sub/new.jpg", "/elsewhere/odd //dcff.jpg"}
        assert rows == ids | {row[0]: row[1] for row in before if row[0] in new}
        assert {row for row in stored(catalog.folder) if row[0] in new} <= set(before)
        assert [root.path for root in catalog.roots()] == ["/elsewhere", "/photos"]
        # Triggers have written what filters and words look up.
        assert len(catalog.select(parse("keyword = möwe"))) == 1
        assert catalog.with_words("new", 5) and catalog.check() == []
        head = catalog.head()
        again = merge(catalog, other)
        assert (again.added, again.known, again.differing, again.vectors) == (0, 3, 1, 0)
        assert catalog.head() == head
    assert stored(other) == before


def saved_in(catalog: Catalog) -> SavedSearches:
    def result_of(rank: int) -> ImageRecord:
        raise AssertionError(rank)

    return SavedSearches(catalog, result_of)


def test_saved_searches_come_over_with_their_pictures(tmp_path: Path) -> None:
    """Under names that are free here, and once."""
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"a picture")
    with library(
        tmp_path / "other", picture("first.jpg", "1"), picture("both.jpg", "both")
    ) as other:
        searches = saved_in(other)
        both = other.locate("/photos/both.jpg").id
        searches.add("Like both", SearchRequest([Term(image_id=both), Term(path=str(outside))]))
        searches.add("Beach", "a beach in winter")
        searches.add("Dogs", "dogs")
    outside.unlink()
    with library(tmp_path / "mine", picture("both.jpg", "both")) as catalog:
        searches = saved_in(catalog)
        searches.add("béach", "my own beach")
        searches.add("dogs", "dogs")
        assert merge(catalog, str(tmp_path / "other")).searches == 2
        assert [each.name for each in searches] == ["béach", "Beach (2)", "dogs", "Like both"]
        assert searches["beach (2)"].text == "a beach in winter"
        found, gone = searches["like both"].request.terms
        mine = catalog.locate("/photos/both.jpg").id
        assert (found.image_id, found.path) == (mine, None) and mine != both
        assert (gone.image_id, gone.path) == (None, str(outside))
        assert searches["like both"].missing == (str(outside),)
        assert merge(catalog, str(tmp_path / "other")).searches == 0
        assert len(searches) == 4


def test_ids_are_new_and_a_later_index_encodes_nothing(tmp_path: Path) -> None:
    folder = MemoryFolder()
    folder.files = {f"{number}.jpg": (f"{number}", 1) for number in range(4)}
    with library(tmp_path / "other") as catalog:
        ingest(catalog, folder)
    with library(tmp_path / "mine", picture("0.jpg", "x", "/mine")) as catalog:
        with catalog.writer() as writer:
            writer.forget_root("/mine")  # its id is not used again
        assert merge(catalog, str(tmp_path / "other")).added == 4
        assert catalog.all_ids().tolist() == [2, 3, 4, 5]
        pool = MemoryPool(folder)
        report = ingest(catalog, folder, pool=pool)
    assert (pool.encoded, report.unchanged, report.added) == ([], 4, 0)


def test_a_library_without_pictures_takes_all_and_the_default_space(tmp_path: Path) -> None:
    other = other_of(tmp_path, picture("a.jpg", "a"), space=OTHER)
    with library(tmp_path / "other") as catalog:
        add(catalog, picture("a.jpg", "a"))
    with library(tmp_path / "mine") as catalog:
        assert merge(catalog, other).vectors == 2
        assert catalog.default_space() == OTHER
        assert set(catalog.known_spaces(filled=True)) == {OTHER, SPACE}


def test_an_empty_library_brings_nothing(tmp_path: Path) -> None:
    with library(tmp_path / "other") as catalog:
        rooted(catalog, RootRecord("/empty"))
    with library(tmp_path / "mine", picture("a.jpg", "a")) as catalog:
        assert merge(catalog, str(tmp_path / "other")) == TakenOver()
        assert [root.path for root in catalog.roots()] == ["/photos"]


def test_vectors_and_texts_that_are_missing_here_are_filled_in(tmp_path: Path) -> None:
    both = picture("a.jpg", "a"), picture("b.jpg", "b")
    hashes = [each.content_hash for each in both]
    other = other_of(tmp_path, *both)
    with library(tmp_path / "other") as catalog, catalog.writer() as writer:
        writer.set_ocr_mode("on")
        writer.put_texts([TextFound(each, "reader", "theirs") for each in hashes])
    with library(tmp_path / "other") as catalog:
        add(catalog, *both, space=OTHER)
    with library(tmp_path / "mine", *both) as catalog:
        with catalog.writer() as writer:
            writer.put_texts(
                [
                    TextFound(hashes[0], "reader", "mine"),
                    TextFound(hashes[1], "reader", reason="failed"),
                ]
            )
        assert merge(catalog, other).vectors == 2
        assert len(stored(catalog.folder, OTHER)) == 2 and catalog.ocr_mode() == "on"
        assert catalog.with_words("mine", 5) and catalog.with_words("theirs", 5)
        assert catalog.texts().failed == 0 and catalog.texts().read == 2


@pytest.mark.parametrize(("mine", "theirs", "merged"), [
    ("", "auto", "auto"),
    ("off", "on", "on"),
    ("on", "auto", "on"),
    ("auto", "off", "auto"),
    ("off", "", "off"),
])  # fmt: skip
def test_a_library_that_reads_no_texts_takes_over_which_are_read(
    tmp_path: Path, mine: str, theirs: str, merged: str
) -> None:
    other = other_of(tmp_path, picture("a.jpg", "a"))
    with library(tmp_path / "other") as catalog, catalog.writer() as writer:
        writer.set_ocr_mode(theirs)
    with library(tmp_path / "mine", picture("b.jpg", "b")) as catalog:
        with catalog.writer() as writer:
            writer.set_ocr_mode(mine)
        merge(catalog, other)
        assert catalog.ocr_mode() == merged


def test_no_space_in_common_is_refused_with_the_way(tmp_path: Path) -> None:
    other = other_of(tmp_path, picture("a.jpg", "a"), space=OTHER)
    with library(tmp_path / "mine", picture("b.jpg", "b")) as catalog:
        with pytest.raises(SpaceMismatch, match="no model in common") as caught:
            merge(catalog, other)
        assert f"imgsearch index --library {other} --model toy" in caught.value.hint
        assert len(stored(catalog.folder)) == catalog.count() == 1


def test_what_is_no_other_library_is_a_sentence(tmp_path: Path) -> None:
    with library(tmp_path / "mine", picture("b.jpg", "b")) as catalog:
        (tmp_path / "link").symlink_to(tmp_path / "mine")
        for folder, reason in ((tmp_path, "no library"), (tmp_path / "link", "this library")):
            with pytest.raises(ImgSearchError, match=reason):
                merge(catalog, str(folder))
    with pytest.raises(LibraryMissing):
        from imgsearch.library import Library
        from imgsearch.settings import Settings

        Library(Settings(library=str(tmp_path / "new"))).merge(str(tmp_path / "none"))
    assert not (tmp_path / "new").exists()


# Roots


def test_a_root_inside_one_of_ours_becomes_part_of_it(tmp_path: Path) -> None:
    other = other_of(tmp_path, picture("a.jpg", "a", "/photos/2020"))
    with library(tmp_path / "mine", picture("b.jpg", "b")) as catalog:
        merge(catalog, other)
        assert [root.path for root in catalog.roots()] == ["/photos"]
        assert [row[0] for row in stored(catalog.folder)] == [
            "/photos/2020/a.jpg",
            "/photos/b.jpg",
        ]


def test_a_root_around_one_of_ours_takes_it_in(tmp_path: Path) -> None:
    other = other_of(tmp_path, picture("b/a.jpg", "a"), picture("c.jpg", "c"))
    with library(tmp_path / "mine", picture("a.jpg", "a", "/photos/b")) as catalog:
        done = merge(catalog, other)
        assert (done.added, done.known) == (1, 1)
        assert [root.path for root in catalog.roots()] == ["/photos"]
        assert merge(catalog, other).added == 0


@pytest.mark.parametrize(
    ("mine", "theirs", "path", "refused"),
    [
        (RootRecord("/photos", ("drafts/",)), RootRecord("/photos"), "drafts/a.jpg", True),
        (RootRecord("/photos", ("drafts/",)), RootRecord("/photos"), "good/a.jpg", False),
        (RootRecord("/photos", ("*.jpg",)), RootRecord("/photos/b"), "a.jpg", True),
        (RootRecord("/photos", ("b/",)), RootRecord("/photos/b"), "a.jpg", True),
        (RootRecord("/photos/b", ("x/",)), RootRecord("/photos"), "a.jpg", True),
        (RootRecord("/photos"), RootRecord("/photos", ("x/",)), "a.jpg", False),
        (RootRecord("/mine", ("*",)), RootRecord("/photos", ("x/",)), "a.jpg", False),
    ],
)
def test_pictures_that_the_next_scan_would_take_out_are_refused(
    tmp_path: Path, mine: RootRecord, theirs: RootRecord, path: str, refused: bool
) -> None:
    other = other_of(tmp_path, picture(path, "a", theirs.path))
    with library(tmp_path / "other") as catalog:
        rooted(catalog, theirs)
    with library(tmp_path / "mine") as catalog:
        rooted(catalog, mine)
        if refused:
            with pytest.raises(ExchangeError, match="exclude") as caught:
                merge(catalog, other)
            assert "imgsearch index" in caught.value.hint and catalog.count() == 0
            return
        assert merge(catalog, other).added == 1
        roots = {root.path: root for root in catalog.roots()}
        assert roots[mine.path].exclude == mine.exclude


def test_hidden_pictures_stay_in_a_joined_root(tmp_path: Path) -> None:
    other = other_of(tmp_path, picture(".a.jpg", "a"))
    with library(tmp_path / "other") as catalog:
        rooted(catalog, RootRecord("/photos", hidden=True))
    with library(tmp_path / "mine", picture("b.jpg", "b")) as catalog:
        merge(catalog, other)
        assert [root.hidden for root in catalog.roots()] == [True]


def test_a_picture_that_is_gone_here_is_left_to_the_next_index(tmp_path: Path) -> None:
    other = other_of(tmp_path, picture("a.jpg", "a"))
    with library(tmp_path / "mine", picture("a.jpg", "a")) as catalog:
        ingest(catalog, MemoryFolder())
        assert (catalog.count(), merge(catalog, other).differing, catalog.count()) == (0, 1, 0)


def test_a_file_that_was_skipped_here_is_a_picture_now(tmp_path: Path) -> None:
    from imgsearch.records import Skipped

    new = picture("a.jpg", "a")
    other = other_of(tmp_path, new)
    with library(tmp_path / "mine", picture("b.jpg", "b")) as catalog:
        with catalog.writer() as writer:
            writer.begin_run(SPACE, DECODER, "fp32")
            writer.commit([Skipped(replace(new.file, size=1), "cut off")])
        merge(catalog, other)
        assert catalog.skipped() == [] and catalog.count() == 2


# Kills


KILLED = """
import os, signal, sys
from imgsearch.catalog import open_catalog
from imgsearch.exchange import merge
merge.IMAGES_PER_COMMIT = 2
def kill(total):
    if total.added >= int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
merge.merge(open_catalog(sys.argv[1]), sys.argv[2], kill)
"""


def test_a_killed_merge_is_run_again(tmp_path: Path, monkeypatch) -> None:
    pictures = [picture(f"{number}.jpg", str(number), f"/{number % 2}") for number in range(9)]
    other = other_of(tmp_path, *pictures)
    before = stored(other)
    mine = picture("mine.jpg", "mine")
    with library(tmp_path / "mine", mine):
        pass
    for count in (2, 8):
        here = tmp_path / f"here {count}"
        shutil.copytree(tmp_path / "mine", here)
        command = [sys.executable, "-c", KILLED, str(here), other, str(count)]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
        with library(here) as catalog:
            assert catalog.check() == [] and count <= len(stored(here)) - 1 <= count + 1
            done = merge(catalog, other)
            assert done.added + done.known == 9
            assert len(stored(here)) == 10 and set(before) < set(stored(here))
            assert catalog.check() == []
    assert stored(other) == before and os.path.exists(other)


def test_one_transaction_takes_a_bounded_number_of_pictures(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(merging, "IMAGES_PER_COMMIT", 2)
    other = other_of(tmp_path, *(picture(f"{number}.jpg", str(number)) for number in range(5)))
    totals = []
    with library(tmp_path / "mine") as catalog:
        merge(catalog, other, lambda total: totals.append(total.added))
    assert totals == [2, 4, 5]


def test_a_damaged_vector_of_the_other_library_does_not_come_over(tmp_path: Path) -> None:
    other = other_of(tmp_path, picture("a.jpg", "a"), picture("b.jpg", "b"))
    with closing(sqlite3.connect(Path(other) / FILE)) as connection, connection:
        connection.execute("UPDATE embeddings SET vector = x'00' WHERE image_id = 1")
    with library(tmp_path / "mine") as catalog:
        assert (merge(catalog, other).vectors, catalog.count()) == (1, 2)
        assert catalog.check() == []
