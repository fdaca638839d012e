"""Saved searches: kept as they were, found by name, bounded, and honest about pictures gone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from imgsearch.catalog import Catalog, open_catalog
from imgsearch.catalog.overview import Overview
from imgsearch.catalog.sqlite_file import FILE
from imgsearch.errors import CatalogError, ImgSearchError, QueryError
from imgsearch.filters.parser import parse
from imgsearch.records import ImageRecord
from imgsearch.searching import saved_searches
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.saved_searches import (
    NameTaken,
    NoSuchSearch,
    SavedSearches,
    combined,
    described,
    listed,
)
from tests.fakes import MemoryFolder, ingest


@pytest.fixture
def searches(catalog: Catalog) -> SavedSearches:
    """Over a library of two pictures, a.jpg and b.jpg in /photos; #1 is b.jpg."""
    folder = MemoryFolder()
    folder.files = {"a.jpg": ("a", 1), "b.jpg": ("b", 1)}
    ingest(catalog, folder)

    def result(rank: int) -> ImageRecord:
        assert rank == 1
        return catalog.get([2])[2]

    return SavedSearches(catalog, result)


def test_a_request_is_kept_as_it_was(searches: SavedSearches, tmp_path: Path):
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(b"picture")
    request = SearchRequest(
        [Term("a dog", weight=0.5), Term("people", weight=-0.5), Term(path=str(outside))],
        7,
        "semantic",
        parse("taken >= 2023 and not (name ~ 'x*' or rating < 3)"),
        bad=[Term(image_id=1)],
        min_strength=0.3,
        instruction="find the dog",
        unique=True,
        apart=True,
        sort="-date",
        remember=True,
    )
    kept = searches.add("dogs", request)
    found = kept.request
    assert found == searches["dogs"].request
    assert [(term.text, term.weight) for term in found.terms[:2]] == [
        ("a dog", 0.5), ("people", -0.5)
    ]  # fmt: skip
    assert (found.terms[2].path, found.terms[2].name) == (str(outside), str(outside))
    assert (found.bad[0].image_id, found.bad[0].name) == (1, "/photos/a.jpg")
    for name in (
        "limit",
        "mode",
        "where",
        "min_strength",
        "instruction",
        "unique",
        "apart",
        "sort",
    ):
        assert getattr(found, name) == getattr(request, name), name
    assert not found.remember
    assert kept.missing == ()
    assert kept.text == f"a dog, without people, like 1 picture, {request.where}"


def test_names_are_found_whatever_their_case_and_accents(searches: SavedSearches):
    first = searches.add("  Été à  la mer ", "beach")
    assert first.name == "Été à la mer"
    assert searches["ete a LA mer"].id == first.id
    with pytest.raises(NameTaken, match="'Été à la mer' already"):
        searches.add("ÉTÉ À LA MER", "sand")
    again = searches.add("ÉTÉ À LA MER", "sand", replace=True)
    assert (again.id, again.text, len(searches)) == (first.id, "sand", 1)


def test_renaming_and_removing(searches: SavedSearches):
    one, two = searches.add("one", "dog"), searches.add("two", "cat")
    with pytest.raises(NameTaken):
        searches.rename("one", "TWO")
    assert searches.rename("one", "One").id == one.id, "its own name in another case"
    searches.rename("one", "zebra")
    assert [each.name for each in searches] == ["two", "zebra"]
    assert searches.name_of(two.id) == "two"
    searches.remove("zebra")
    for gone in (
        lambda: searches["zebra"],
        lambda: searches.remove("zebra"),
        lambda: searches.rename("zebra", "x"),
        lambda: searches.name_of(one.id),
    ):
        with pytest.raises(NoSuchSearch, match="there is no saved search"):
            gone()
    assert searches.add("three", "owl").id > two.id, "ids are never used again"


@pytest.mark.parametrize(
    "name",
    ["", " \t ", "x" * 101, "a\x00b", "a\u202eb", "tab\x1b[31m", "half \ud800"],
    ids=["empty", "blank", "long", "NUL", "bidi", "escape", "surrogate"],
)
def test_names_that_cannot_be_used(searches: SavedSearches, name: str):
    with pytest.raises(QueryError, match="the name of a saved search"):
        searches.add(name, "dog")


@pytest.mark.parametrize("name", ["12", "-x", "a/b", "家族　旅行", "👨\u200d👩\u200d👧", "x" * 100])
def test_names_that_can(searches: SavedSearches, name: str):
    assert searches.add(name, "dog").text == searches[name].text == "dog"


def test_pictures_become_ids_or_paths(searches: SavedSearches, tmp_path: Path):
    likes = [Term(result=1, weight=0.5), Term(image_id=1)]
    kept = searches.add("like", SearchRequest(likes)).request.terms
    assert [(term.image_id, term.name, term.weight) for term in kept] == [
        (2, "/photos/b.jpg", 0.5), (1, "/photos/a.jpg", 1.0)
    ]  # fmt: skip
    fused = Term("in red", result=1, fused=True)
    (kept_fused,) = searches.add("fused", SearchRequest([fused])).request.terms
    assert (kept_fused.path, kept_fused.image_id, kept_fused.fused) == ("/photos/b.jpg", None, True)


@pytest.mark.parametrize(
    "request_",
    [
        SearchRequest(),
        SearchRequest(good=[Term(image_id=1)]),
        SearchRequest([Term(data=b"x", name="what came from stdin")]),
        SearchRequest([Term(image_id=99)]),
        SearchRequest([Term(path="/nowhere/x.jpg")]),
        SearchRequest([Term("word " * 20_000)]),
    ],
    ids=["empty", "feedback alone", "stdin", "no such picture", "no such file", "long"],
)
def test_requests_that_cannot_be_saved(searches: SavedSearches, request_: SearchRequest):
    with pytest.raises(QueryError) as raised:
        searches.add("x", request_)
    assert raised.value.hint
    assert len(searches) == 0


def test_their_number_is_bounded(searches: SavedSearches, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(saved_searches, "MAX_SAVED_SEARCHES", 2)
    searches.add("one", "dog")
    searches.add("two", "dog")
    with pytest.raises(QueryError, match="takes no more"):
        searches.add("three", "dog")
    searches.add("two", "cat", replace=True)


def test_an_example_picture_that_is_gone_is_named(searches: SavedSearches, catalog: Catalog):
    kept = searches.add("like", SearchRequest([Term(result=1)]))
    assert kept.required() is kept.request
    folder = MemoryFolder()
    folder.files = {"a.jpg": ("a", 1)}
    ingest(catalog, folder)
    (gone,) = searches
    assert gone.missing == ("/photos/b.jpg",)
    with pytest.raises(QueryError, match=r"example picture that is gone: /photos/b\.jpg"):
        gone.required()


@pytest.mark.parametrize(
    "stored",
    [
        "no JSON", "[]", "7", '{"terms": 1}', '{"terms": [{"text": 7}]}', '{"where": "taken <"}',
        '{"terms": [{"text": "a", "weight": "heavy"}]}', '{"sort": "colour"}', '{"new": 1}',
        '{"terms": [{"data": "!"}]}', "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_damaged_is_named_and_harms_no_other(
    searches: SavedSearches, catalog: Catalog, stored: str
):
    searches.add("sound", "dog")
    searches.add("bad", "cat")
    with sqlite3.connect(Path(catalog.folder) / FILE) as db:
        db.execute("UPDATE saved_searches SET request = ? WHERE name = 'bad'", (stored,))
    db.close()
    found, damaged = listed(catalog)
    assert ([each.name for each in found], damaged) == (["sound"], ["bad"])
    with pytest.raises(CatalogError, match="'bad' cannot be read"):
        searches["bad"]
    searches.remove("bad")


def test_a_search_is_saved_while_another_process_indexes(searches: SavedSearches, catalog: Catalog):
    before = catalog.head()
    with catalog.writer():
        searches.add("now", "dog")
        with open_catalog(catalog.folder).snapshot():
            assert len(searches) == 1
    assert catalog.head() == before, "no index has to follow"


def test_a_read_only_library_says_so(
    searches: SavedSearches, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("imgsearch.catalog.sqlite_file._is_read_only", lambda path: True)
    other = open_catalog(catalog.folder)
    with pytest.raises(ImgSearchError) as raised:
        SavedSearches(other, lambda rank: catalog.get([1])[1]).add("x", "dog")
    assert raised.value.hint
    other.close()


def test_an_overview_reads_the_same(searches: SavedSearches, catalog: Catalog):
    searches.add("like", SearchRequest([Term(image_id=1)]))
    overview = Overview(catalog.folder)
    assert listed(overview) == listed(catalog)
    assert saved_searches.saved_search(overview, "LIKE") == searches["like"]
    overview.close()


def test_combined_narrows_and_the_later_options_win():
    first = SearchRequest(
        [Term("dog")], 5, "text", parse("rating >= 3"), min_strength=0.5, sort="name", unique=True
    )
    more = SearchRequest([Term("cat")], 9, where=parse("taken < 2020"), remember=True)
    both = combined(first, more)
    assert [term.text for term in both.terms] == ["dog", "cat"]
    assert str(both.where) == "rating >= 3 and taken < 2020-01-01"
    assert (both.limit, both.mode, both.sort, both.unique) == (9, "text", "name", True)
    assert (both.min_strength, both.remember) == (0.5, True)
    other = combined(first, SearchRequest(min_score=0.2, sort="size", mode="semantic"))
    assert (other.min_score, other.min_strength) == (0.2, None), "one kind of cut-off at a time"
    assert (other.sort, other.mode) == ("size", "semantic")
    assert combined(first, SearchRequest()).digest() == first.digest()


def test_filters_that_are_too_large_together_are_refused():
    half = parse(" or ".join(f"name ~ a{number}" for number in range(150)))
    with pytest.raises(QueryError):
        combined(SearchRequest(where=half), SearchRequest(where=half))


def test_a_description_is_one_line():
    assert described(SearchRequest([Term("a\n dog"), Term(image_id=3, weight=-1.0)])) == (
        "a dog, unlike 1 picture"
    )
