"""The Searcher over a catalog and an index in memory."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch

import numpy as np
import pytest

from imgsearch.catalog import full_text as words_of_catalog
from imgsearch.encoders.registry import Registry
from imgsearch.errors import QueryError
from imgsearch.filters.parser import parse
from imgsearch.indexing.index_files import IndexFiles
from imgsearch.searching import searcher as searcher_module
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.searcher import Searcher
from imgsearch.searching.terms import foreign_script
from imgsearch.searching.trace import Trace
from imgsearch.settings import Settings
from imgsearch.spaces import Spaces
from tests.conftest import full_only
from tests.fakes import OTHER, MemoryFolder, ingest, vector_of


@pytest.fixture
def folder() -> MemoryFolder:
    return MemoryFolder()


@pytest.fixture
def searcher(catalog) -> Searcher:
    """Reads of a catalog that grows; no term here needs an encoder."""
    settings = Settings(index="memory")
    return Searcher(
        settings,
        catalog,
        Spaces(settings, Registry(settings), catalog),
        IndexFiles(catalog, "memory", lambda note: None),
    )


def query(content: str = "x", **options) -> SearchRequest:
    return SearchRequest([Term(vector=vector_of(content))], **options)


def paths(hits) -> list[str]:
    return [hit.image.file.path for hit in hits]


def test_the_best_first(folder, catalog, searcher):
    folder.files = {f"{n}.jpg": (f"content {n}", 1) for n in range(9)}
    ingest(catalog, folder)
    hits = searcher.search(query("content 5"))
    assert paths(hits)[0] == "5.jpg"
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert [hit.rank for hit in hits] == list(range(1, 10))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 5, 40, 41, 100])
def test_equal_scores_by_path_however_many_there_are(folder, catalog, searcher, limit):
    names = [f"{n:02}.jpg" for n in np.random.default_rng(0).permutation(40)]
    folder.files = dict.fromkeys(names, ("same", 1))
    ingest(catalog, folder)
    assert paths(searcher.search(query("other", limit=limit))) == sorted(names)[:limit]


def test_a_least_score(folder, catalog, searcher):
    folder.files = {"a.jpg": ("a", 1), "b.jpg": ("b", 1)}
    ingest(catalog, folder)
    assert paths(searcher.search(query("a", min_score=0.99))) == ["a.jpg"]
    assert searcher.search(query("a", min_score=1.5)).hits == []


def test_only_what_passes_and_as_many_as_asked_for(folder, catalog, searcher):
    folder.files = {f"{n:03}.jpg": (f"content {n % 50}", 1) for n in range(100)}
    ingest(catalog, folder)
    everything = paths(searcher.search(query("content 7", limit=1000)))
    for pattern, count in (
        ("*", 100),
        ("0*", 100),
        ("00*", 10),
        ("*7*", 19),
        ("042*", 1),
        ("x*", 0),
    ):
        where = parse(f"name ~ '{pattern}'")
        expected = [path for path in everything if fnmatch(path, pattern)]
        assert len(expected) == count
        for limit in (1, 2, 19, 200):
            told = Trace()
            found = searcher.search(query("content 7", limit=limit, where=where), told)
            assert paths(found) == expected[:limit]
            assert (told.passed, told.total) == (count, 100)


def test_a_filter_counts_pictures_with_a_vector_in_the_space(folder, catalog, searcher):
    folder.files = {"a.jpg": ("a", 1)}
    ingest(catalog, folder)
    folder.files = {"a.jpg": ("a", 1), "b.jpg": ("b", 1)}
    ingest(catalog, folder, space=OTHER)
    told, where = Trace(), parse("format = jpeg")
    assert paths(searcher.search(query("a", where=where), told)) == ["a.jpg"]
    assert (told.passed, told.total) == (1, 1)
    told = Trace()
    assert paths(searcher.search(SearchRequest(where=where), told)) == ["a.jpg", "b.jpg"]
    assert (told.passed, told.total) == (2, 2)


def test_a_filter_that_none_passes_asks_no_model(folder, catalog, searcher):
    folder.files = {"a.jpg": ("a", 1)}
    ingest(catalog, folder)
    told = Trace()
    text = SearchRequest([Term(text="a dog")], where=parse("has gps"))
    assert searcher.search(text, told).hits == []
    assert told.passed == 0 and "encode" not in told.seconds


def test_a_list_of_nothing(searcher):
    with pytest.raises(QueryError, match="no pictures yet"):
        searcher.search(SearchRequest(where=parse("has gps")))
    assert len(searcher.rank(SearchRequest())) == 0, "a page of an empty library is empty"


def test_each_search_sees_what_was_committed_before(folder, catalog, searcher):
    folder.files = {"a.jpg": ("a", 1)}
    ingest(catalog, folder)
    assert paths(searcher.search(query("b"))) == ["a.jpg"]
    folder.files = {"b.jpg": ("b", 2)}
    ingest(catalog, folder)
    assert paths(searcher.search(query("b"))) == ["b.jpg"]


def test_no_pictures(searcher):
    with pytest.raises(QueryError, match="no pictures yet"):
        searcher.search(query())


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("a dog", ""),
        ("naïve café", ""),
        ("№ 1, 2 & ½ 🐕", ""),
        ("Ｗｉｄｅ ﬁsh", ""),
        ("rock ʼn roll", ""),
        ("dog собака", "Cyrillic"),
        ("猫", "CJK"),
        ("ねこ", "Hiragana"),
        ("كلب", "Arabic"),
        ("\ue000\udcff", ""),
        ("", ""),
    ],
)
def test_foreign_script(text, script):
    assert foreign_script(text, ("LATIN",)) == script
    assert foreign_script(text, ()) == ""


def test_ranks_count_what_is_shown(folder, catalog, searcher):
    """'#3' is the third line that was shown, also if weak hits were left out in between."""
    folder.files = {f"{n:02}.jpg": (f"content {n}", 1) for n in range(40)}
    folder.files |= {f"dog {n:02}.jpg": (f"named {n}", 1) for n in range(5)}
    ingest(catalog, folder)
    scores = sorted(hit.score for hit in searcher.search(query("content 5", limit=100)))
    term = Term(text="dog", vector=vector_of("content 5"))
    hits = searcher.search(SearchRequest([term], limit=100, min_score=scores[20]))
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert any(hit.named for hit in hits) and not all(hit.named for hit in hits)


def test_words_alone_take_no_pictures_and_nothing_unwanted(folder, catalog, searcher):
    folder.files = {"dog.jpg": ("a", 1)}
    ingest(catalog, folder)
    for term in (Term(vector=vector_of("a")), Term(text="dog", weight=-1.0)):
        with pytest.raises(QueryError, match="words only"):
            searcher.search(SearchRequest([Term(text="dog"), term], mode="text"))


def test_words_alone_find_what_no_model_has_seen(folder, catalog, searcher):
    """Nor does a filter ask for a vector, which nobody needs here."""
    folder.files = {"dog 1.jpg": ("a", 1)}
    ingest(catalog, folder)
    folder.files |= {"dog 2.jpg": ("b", 1), "cat.jpg": ("c", 1)}
    ingest(catalog, folder, space=OTHER)
    for where in (None, parse("format = jpeg"), parse("name ~ 'dog*'")):
        told = Trace()
        words = SearchRequest([Term(text="dog")], mode="text", where=where)
        found = searcher.search(words, told)
        assert paths(found) == ["dog 1.jpg", "dog 2.jpg"]
        assert told.total == 3
        assert all(hit.named and hit.score is None for hit in found)
    vector = Term(text="dog", vector=vector_of("a"))
    hits = searcher.search(SearchRequest([vector]))
    assert paths(hits) == ["dog 1.jpg"], "it has no score without"
    words = SearchRequest([Term(text="dog")], mode="text", where=parse("has gps"))
    assert searcher.search(words).hits == []


def test_with_and_without_a_filter_the_best_by_words_are_looked_at(
    folder, catalog, searcher, monkeypatch
):
    """One bound for both, and it counts those that pass."""
    folder.files = {f"{'dog ' * (1 + n % 7)}{n:03}.jpg": (f"{n}", 1) for n in range(70)}
    ingest(catalog, folder)
    monkeypatch.setattr(searcher_module, "MAX_WORD_MATCHES", 5)

    def best(where) -> list[str]:
        words = SearchRequest([Term(text="dog")], limit=100, mode="text", where=where)
        return paths(searcher.search(words))

    ids = catalog.select(parse("name ~ '*1.jpg'"))
    monkeypatch.setattr(words_of_catalog, "_PAGE_ROWS", 3)
    assert len(best(None)) == len(best(parse("name ~ '*.jpg'"))) == 5
    assert best(None) == best(parse("name ~ '*.jpg'"))
    assert len(best(parse("name ~ '*1.jpg'"))) == 5 and len(ids) == 7
    assert all(path.endswith("1.jpg") for path in best(parse("name ~ '*1.jpg'")))
    every = [i for i, _ in catalog.with_words("dog", 100)]
    assert [i for i, _ in catalog.with_words("dog", 100, ids)] == [i for i in every if i in ids]
    assert catalog.with_words("dog", 100, ids[:0]) == []


def places(ranking) -> list[tuple[int, float | None, float | None, bool]]:
    """What a ranking says of each id."""
    none = [None if np.isnan(each) else round(float(each), 6) for each in ranking.scores]
    strengths = [None if np.isnan(each) else round(float(each), 6) for each in ranking.strengths]
    return list(zip(ranking.ids.tolist(), none, strengths, ranking.named.tolist(), strict=True))


@full_only
@pytest.mark.parametrize("limit", [1, 3, 10, 40, 100])
@pytest.mark.parametrize("least", [-2.0, 0.0, 0.5, 1.5])
def test_a_ranking_is_a_search_without_its_pictures(folder, catalog, searcher, limit, least):
    names = [f"{n:02}.jpg" for n in np.random.default_rng(1).permutation(40)]
    folder.files = {name: (f"content {int(name[:2]) % 7}", 1) for name in names}
    ingest(catalog, folder)
    wanted = query("content 3", limit=limit, min_score=least)
    hits = searcher.search(wanted)
    assert places(searcher.rank(wanted)) == [
        (h.image.id, h.score, h.strength, h.named) for h in hits
    ]


def test_a_ranking_by_words_is_a_search_without_its_pictures(folder, catalog, searcher):
    folder.files = {f"{'beach' if n % 3 else 'hill'} {n:02}.jpg": (f"c {n}", 1) for n in range(30)}
    ingest(catalog, folder)
    for mode in ("hybrid", "text"):
        terms = [Term("beach", vector=vector_of("c 4")), Term("01")][: 2 if mode == "text" else 1]
        wanted = SearchRequest(terms, 12, mode=mode, min_score=0.2 if mode == "hybrid" else -2)
        hits = searcher.search(wanted)
        assert hits.hits
        assert searcher.rank(wanted).ids.tolist() == [h.image.id for h in hits]


@full_only
@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("words", ["", "beach"])
def test_a_ranking_begins_like_a_deeper_one(
    folder, catalog, searcher, monkeypatch, words, unique
) -> None:
    monkeypatch.setattr(searcher_module, "FUSION_DEPTH", 30)
    monkeypatch.setattr(searcher_module, "TIED_PLACES", 1)
    names = np.random.default_rng(2).permutation(200)
    folder.files = {
        f"{n:03} {'beach' if n % 9 == 0 else 'hill'}.jpg": (f"c {n % 60}", 1) for n in names
    }
    ingest(catalog, folder)

    def ranking(limit):
        terms = [Term(words or None, vector=vector_of("c 7"))]
        return searcher.rank(SearchRequest(terms, limit, unique=unique))

    deep = ranking(1000)
    assert deep.complete and deep.total == (60 if unique else 200)
    assert deep.named.any() == bool(words)
    for limit in (1, 7, 29, 30, 31, 64, 120, 199, 200, 201):
        shallow = ranking(limit)
        assert places(shallow) == places(deep)[: len(shallow)], limit
        assert shallow.complete == (limit >= 200)
        assert shallow.total == (deep.total if limit >= 200 else None)
        if not unique:
            assert len(shallow) == min(limit, 200)


def test_a_ranking_can_be_ranked_deeper_from_its_vectors(folder, catalog, searcher) -> None:
    folder.files = {f"{n}.jpg": (f"content {n}", 1) for n in range(9)}
    ingest(catalog, folder)
    first = searcher.rank(SearchRequest([Term("3", vector=vector_of("x"), weight=0.5)], 4))
    assert first.source is not None and first.space == searcher.space
    (term,) = first.source.terms
    assert (term.text, term.weight) == ("3", 0.5) and term.vector is not None
    deeper = searcher.rank(replace(first.source, limit=9))
    assert deeper.ids[:4].tolist() == first.ids.tolist()
    assert first.continued(deeper).ids.tolist() == deeper.ids.tolist()


def test_pictures_by_date_can_be_ranked_too(folder, catalog, searcher):
    folder.files = {f"{n}.jpg": (f"content {n}", n) for n in range(9)}
    ingest(catalog, folder)
    wanted = SearchRequest([], 5, where=parse("name ~ '*.jpg'"))
    ranking = searcher.rank(wanted)
    assert ranking.ids.tolist() == [h.image.id for h in searcher.search(wanted)]
    assert ranking.by_date and not ranking.complete and ranking.total == 9
    assert len(searcher.rank(SearchRequest([], 100))) == 9


def test_there_are_as_many_as_requested_after_folding(folder, catalog, searcher):
    """All copies are counted, however far down they are, and ranks count what is shown."""
    folder.files = {f"{n:03}.jpg": (f"content {n % 3}", 1) for n in range(150)}
    ingest(catalog, folder)
    request = query("content 1", limit=2, unique=True)
    hits = searcher.search(request)
    assert [(hit.rank, len(hit.duplicates)) for hit in hits] == [(1, 49), (2, 49)]
    assert [hit.image.file.path for hit in hits] == ["001.jpg", hits[1].image.file.path]
    ranking = searcher.rank(query("content 1", limit=1000, unique=True))
    assert ranking.ids[:2].tolist() == [hit.image.id for hit in hits], "the page says the same"
    for hit in hits:
        copies = [each.id for each in hit.duplicates]
        assert copies == list(ranking.folded_ids(hit.image.id))
    by_date = searcher.search(SearchRequest([], 10, unique=True))
    assert [len(hit.duplicates) for hit in by_date] == [49, 49, 49], "a list by date folds, too"


def test_pictures_that_are_judged_by_id_do_not_refine_the_last_search(folder, catalog, searcher):
    """Only results of the last search refer to it: a page knows nothing of it."""
    folder.files = {f"{n}.jpg": (f"content {n}", 1) for n in range(9)}
    ingest(catalog, folder)
    judged = {"good": [Term(image_id=int(searcher.rank(query("content 3")).ids[0]))]}
    alone = searcher.rank(SearchRequest(**judged)).ids.tolist()
    searcher.search(query("content 7", remember=True))
    assert searcher.rank(SearchRequest(**judged)).ids.tolist() == alone
    refined = searcher.search(SearchRequest(good=[Term(result=1)]))
    assert refined.notes[0] == "Refining the last search."


# Several models


@pytest.fixture
def two_models(folder, catalog) -> MemoryFolder:
    """Model "toy", which is in use, knows a, b and c; model "other" knows d and e as well."""
    folder.files = {f"{name}.jpg": (name, 1) for name in "abc"}
    ingest(catalog, folder)
    folder.files = {f"{name}.jpg": (name, 1) for name in "abcde"}
    ingest(catalog, folder, space=OTHER)
    return folder


def test_a_federated_search_fuses_the_rankings_of_all_models(two_models, catalog, searcher):
    ids = {each.file.path: each.id for each in catalog.get(range(1, 6)).values()}
    terms = [Term(image_id=ids["b.jpg"])]
    alone = searcher.search(SearchRequest(terms, min_score=-1))
    assert sorted(paths(alone)) == ["a.jpg", "b.jpg", "c.jpg"]
    told = Trace()
    found = searcher.search(SearchRequest(terms, min_score=-1, federated=True), told)
    assert paths(found)[0] == "b.jpg" and sorted(paths(found)) == sorted(ids)
    assert "federate" in told.seconds
    scores = {hit.image.file.path: hit.score for hit in found}
    assert scores["d.jpg"] is None and scores["e.jpg"] is None, "only the model in use has scores"
    assert {hit.image.file.path: hit.score for hit in alone}.items() <= scores.items()
    ranking = searcher.rank(SearchRequest(terms, min_score=-1, federated=True))
    assert ranking.ids.tolist() == [hit.image.id for hit in found]
    assert ranking.source is not None
    again = searcher.rank(ranking.source)  # with vectors of the model in use
    assert sorted(again.ids.tolist()) == sorted(ids[f"{each}.jpg"] for each in "abc")
    first = searcher.search(SearchRequest(terms, 2, min_score=-1, federated=True))
    assert paths(first) == paths(found)[:2]
    where = parse("name = d.jpg or name = a.jpg")
    some = searcher.search(SearchRequest(terms, where=where, min_score=-1, federated=True))
    assert sorted(paths(some)) == ["a.jpg", "d.jpg"]


def test_a_model_that_does_not_know_the_picture_is_left_out_with_a_note(
    two_models, catalog, searcher
):
    lonely = MemoryFolder()
    lonely.root, lonely.files = "/elsewhere", {"f.jpg": ("f", 1)}
    ingest(catalog, lonely)
    (key,) = [each.id for each in catalog.get(range(1, 9)).values() if each.file.path == "f.jpg"]
    request = SearchRequest([Term(image_id=key)], min_score=-1, federated=True)
    found = searcher.search(request)
    assert paths(found)[0] == "f.jpg"
    assert [note for note in found.notes if note.startswith("other takes no part")]


def test_a_federated_search_with_one_model_says_that_there_is_one(folder, catalog, searcher):
    folder.files = {"a.jpg": ("a", 1)}
    ingest(catalog, folder)
    found = searcher.search(query("a", federated=True))
    assert paths(found) == ["a.jpg"]
    assert "The library has vectors of one model only; there is nothing to fuse." in found.notes


# Orders other than that of the scores


@pytest.fixture
def sorted_folder(folder, catalog) -> MemoryFolder:
    """Pictures whose names, sizes and dates are all in different orders."""
    folder.files = {
        "B.jpg": ("xx", 3),
        "a.jpg": ("xxxx", 2),
        "c.jpg": ("x", 1),
        "d.jpg": ("far", 9),
    }
    ingest(catalog, folder)
    return folder


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", ["a.jpg", "B.jpg", "c.jpg", "d.jpg"]),
        ("-name", ["d.jpg", "c.jpg", "B.jpg", "a.jpg"]),
        ("size", ["c.jpg", "B.jpg", "d.jpg", "a.jpg"]),
        ("-size", ["a.jpg", "d.jpg", "B.jpg", "c.jpg"]),
        ("date", ["c.jpg", "a.jpg", "B.jpg", "d.jpg"]),
        ("-date", ["d.jpg", "B.jpg", "a.jpg", "c.jpg"]),
    ],
)
@pytest.mark.parametrize("limit", [1, 3, 20])
def test_an_order_is_that_of_all_hits_and_the_limit_comes_last(
    sorted_folder, searcher, sort, expected, limit
):
    hits = searcher.search(query("far", limit=limit, sort=sort)).hits
    assert paths(hits) == expected[:limit]
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    listed = searcher.search(SearchRequest(limit=limit, sort=sort))
    assert paths(listed) == expected[:limit], "a list without terms, too"


def test_an_order_changes_no_hit(sorted_folder, searcher):
    best = {hit.path: hit.score for hit in searcher.search(query("x", min_score=-0.2))}
    by_name = searcher.search(query("x", min_score=-0.2, sort="name"))
    assert {hit.path: hit.score for hit in by_name} == best and 0 < len(best) < 4
    assert paths(searcher.search(query("x", sort="score"))) == paths(searcher.search(query("x")))


def test_dated_pictures_come_before_undated_ones_in_both_directions(folder, catalog, searcher):
    folder.files = {"old.jpg": ("o", 1), "new.jpg": ("n", 2), "undated.jpg": ("u", 3)}
    ingest(catalog, folder)
    with catalog._engine.connect() as connection, connection.begin():
        for name, year in (("old", 1999), ("new", 2020)):
            connection.exec_driver_sql(
                f"UPDATE images SET taken_at = '{year}-01-01 00:00:00.000000'"
                f" WHERE path = '{name}.jpg'"
            )
    for sort, expected in (
        ("date", ["old", "new", "undated"]),
        ("-date", ["new", "old", "undated"]),
    ):
        found = paths(searcher.search(query("o", sort=sort)))
        assert found == [f"{name}.jpg" for name in expected]


def test_sorting_stops_at_the_best_and_says_so(sorted_folder, searcher, monkeypatch):
    monkeypatch.setattr(searcher_module, "MAX_SORTED_PLACES", 3)
    found = searcher.search(query("far", limit=1, sort="name"))
    best = paths(searcher.search(query("far", limit=3)))
    assert paths(found) == sorted(best, key=str.casefold)[:1]
    assert any("Sorted are the best 3 pictures" in note for note in found.notes)


def test_orders_that_are_none(sorted_folder, searcher):
    with pytest.raises(QueryError, match="no scores to sort by"):
        searcher.search(SearchRequest(sort="score"))
    with pytest.raises(QueryError, match="'colour' is not an order"):
        query("x", sort="colour")
