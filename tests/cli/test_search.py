"""imgsearch search, similar and similarity, on the demo photos."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from imgsearch.catalog import open_catalog
from imgsearch.cli.render import FIELDS
from tests.cli.calls import Place, call, picture, process
from tests.conftest import PHOTOS, examples, full_only

CAT = PHOTOS / "tabby_cat_face.jpg"


def names(outcome) -> list[str]:
    """File names of the hits of a search with --format json."""
    assert outcome.status == 0, outcome.err
    return [os.path.basename(path) for path in outcome.paths]


@pytest.fixture(scope="session")
def scores(demo):
    """File name -> score of a search, over all pictures."""

    def scores(*query: object) -> dict[str, float]:
        options = ("--all", "--mode", "semantic", "-n", 1000, "--format", "json")
        outcome = demo.call("search", *query, *options)
        assert outcome.status == 0, outcome.err
        return {os.path.basename(hit["path"]): hit["score"] for hit in outcome.json}

    return scores


# What a search prints


def test_a_hit_in_json(demo):
    [hit] = demo.call("search", "a", "koala", "-n", 1, "--format", "json").json
    assert tuple(hit) == FIELDS
    assert hit["rank"] == 1
    assert hit["path"] == str(PHOTOS / "koala.jpg")
    assert os.path.isabs(hit["path"])
    assert hit["height"] > hit["width"], "the right way up"
    assert hit["size"] == (PHOTOS / "koala.jpg").stat().st_size
    assert -1 <= hit["score"] <= 1


def test_all_formats_say_the_same(demo):
    def out(form: str) -> str:
        outcome = demo.call("search", "an", "animal", "--all", "-n", 7, "--format", form)
        assert (outcome.status, outcome.err) == (0, "")
        return outcome.text

    hits = json.loads(out("json"))
    paths = [hit["path"] for hit in hits]
    assert [hit["rank"] for hit in hits] == list(range(1, 8))
    assert [json.loads(line) for line in out("jsonl").splitlines()] == hits
    rows = list(csv.DictReader(io.StringIO(out("csv"), newline="")))
    assert [{**row, "score": float(row["score"])}["score"] for row in rows] == [
        hit["score"] for hit in hits
    ]
    assert [row["path"] for row in rows] == paths
    fields = [line.split("\t") for line in out("tsv").splitlines()]
    assert [path for _, path in fields] == paths
    assert [float(score) for score, _ in fields] == [hit["score"] for hit in hits]
    assert out("paths").splitlines() == paths
    assert out("paths0") == "".join(path + "\0" for path in paths)
    table = out("table").splitlines()
    for line, hit in zip(table, hits, strict=True):
        strength = f"{100 * hit['strength']:.0f}%"
        assert line.split()[:3] == [str(hit["rank"]), strength, f"{hit['score']:.3f}"]
        assert os.path.basename(hit["path"]) in line
        assert f"({hit['width']}x{hit['height']})" in line


def test_more_hits_than_there_are_pictures(demo):
    count = len(list(PHOTOS.iterdir()))
    for limit in (count, count + 1, 10**9, 10**30):
        assert (
            len(demo.call("search", "dog", "--all", "-n", limit, "--format", "json").json) == count
        )
    assert len(demo.call("search", "dog", "--all", "--format", "json").json) == 20, "the default"


def test_least_score(demo, scores):
    ranked = list(scores("dog").values())
    assert ranked == sorted(ranked, reverse=True)
    options = ("--mode", "semantic", "-n", 1000, "--format", "json")
    outcome = demo.call("search", "dog", "--min-score", ranked[4], *options)
    assert [hit["score"] for hit in outcome.json] == ranked[:5]


def test_least_strength(demo):
    def strengths(*options: object) -> list[float]:
        base = ("search", "a koala", "--mode", "semantic", "-n", 1000, "--format", "json")
        return [hit["strength"] for hit in demo.call(*base, *options).json]

    every = strengths("--all")
    assert every == sorted(every, reverse=True)
    assert every[0] > 0.5 > every[-1]
    assert strengths("-t", 0) == every
    assert strengths("-t", 0.5) == [strength for strength in every if strength >= 0.5]
    for text in ("50%", "50", ".5", "50 %", "0.50"):
        assert strengths("-t", text) == strengths("-t", 0.5), text
    assert 0 < len(strengths()) < len(every), "the default leaves out what is not meant"


def test_weak_hits_are_left_out_and_a_sentence_says_how_to_see_them(demo):
    outcome = demo.call("search", "zeppelins and gondolas", "-t", "0.9", "--format", "json")
    assert (outcome.status, outcome.json) == (0, [])
    assert outcome.err == ("No picture matches well. To see the nearest ones all the same: --all\n")


def test_words_of_a_name_find_a_picture(demo):
    for mode in ("hybrid", "text"):
        arguments = ("search", "tabby face", "--mode", mode, "--format", "json")
        [first, *others] = demo.call(*arguments).json
        assert first["path"] == str(CAT) and first["named"]
        assert not any(hit["named"] for hit in others)
    assert others == [] and first["score"] is None, "no model was asked"
    semantic = demo.call("search", "tabby face", "--mode", "semantic", "--format", "json").json
    assert not any(hit["named"] for hit in semantic)


@full_only
def test_a_hit_found_by_words_says_so_and_shows_no_percentage(tmp_path):
    """Words go before likeness: the percentages that are shown fall from line to line."""
    place = Place(tmp_path / "photos", tmp_path / "library")
    place.photos.mkdir()
    for photo in PHOTOS.iterdir():
        shutil.copy(photo, place.photos)
    # A hammer by its name and a koala by its caption, though neither looks like a receipt.
    os.rename(place.photos / "hammer.jpg", place.photos / "my receipt.jpg")
    with Image.open(PHOTOS / "koala.jpg") as koala:
        exif = koala.getexif()
        exif[0x010E] = "the receipt of the zoo"
        koala.save(place.photos / "koala.jpg", exif=exif)
    place.index()
    hits = place.call("search", "receipt", "--format", "json").json
    matched = {os.path.basename(hit["path"]): hit["matched"] for hit in hits}
    assert matched["my receipt.jpg"] == ["name"]
    assert matched["koala.jpg"] == ["text"]
    assert matched["receipt.jpg"] == ["name", "meaning"]
    table = place.call("search", "receipt", "-n", 100, "--all").text.splitlines()
    columns = [line.split()[1] for line in table]
    assert sorted(columns[:3]) == ["name", "name", "text"]
    strengths = [int(column.removesuffix("%")) for column in columns[3:]]
    assert strengths == sorted(strengths, reverse=True)
    [first, *_] = csv.DictReader(
        io.StringIO(place.call("search", "receipt", "--format", "csv").text, newline="")
    )
    assert first["matched"] == "name meaning"


def test_no_name_has_the_words(demo):
    outcome = demo.call("search", "zeppelin", "--mode", "text")
    assert (outcome.status, outcome.out) == (0, b"")
    assert outcome.err == "No name, caption or text has all these words.\n"


def test_no_hit_is_no_error(demo):
    outcome = demo.call("search", "dog", "--min-score", "0.999", "--format", "json")
    assert (outcome.status, outcome.json) == (0, [])
    assert outcome.err == "No picture scores 0.999 or more.\n"
    assert demo.call("search", "dog", "--min-score", "inf", "--format", "paths").out == b""


# What a search can be asked


def test_words_make_one_text(demo, scores):
    assert scores("two", "dogs") == scores("two dogs") == scores("two dogs  ")


def test_and_adds(scores):
    both = scores("a dog", "--and", "a window")
    assert next(iter(both)) == "two_dogs_at_window.jpg"
    assert both != scores("a dog")
    assert scores("--and", "a dog") == scores("a dog")


def test_not_takes_away(scores):
    plain, without = scores("an animal"), scores("an animal", "--not", "a cat")
    assert without[CAT.name] < plain[CAT.name] - 0.05


def test_like_is_an_example(scores):
    assert next(iter(scores("--like", CAT))) == CAT.name
    mixed = scores("snow", "--like", CAT)
    assert mixed[CAT.name] < scores("--like", CAT)[CAT.name]


def test_weights(scores):
    equal, more, less = (scores("snow", "--and", f"a cat{w}")[CAT.name] for w in ("", "^4", "^.1"))
    assert less < equal < more
    assert scores("snow", "--and", "a cat^1") == scores("snow", "--and", "a cat")
    extreme = scores("--and", "snow^1e-300", "--like", f"{CAT}^1e300")
    assert next(iter(extreme)) == CAT.name


@full_only
def test_a_caret_that_is_no_weight(scores):
    assert scores("--and", "x^y z")


def test_one_word_that_names_a_picture_is_an_example(demo, monkeypatch):
    monkeypatch.chdir(PHOTOS)
    [hit] = demo.call("search", CAT.name, "-n", 1, "--format", "json").json
    assert hit["path"] == str(CAT)
    assert hit["score"] == pytest.approx(1, abs=1e-3)


def test_a_folder_that_is_called_like_the_word_is_no_example(demo, tmp_path, monkeypatch):
    (tmp_path / "cat").mkdir()
    monkeypatch.chdir(tmp_path)
    assert demo.call("search", "cat").status == 0


def test_similar_finds_the_picture_itself_first(demo):
    [first, second, *_] = demo.call("similar", CAT, "--format", "json").json
    assert first["path"] == str(CAT)
    assert first["score"] == pytest.approx(1, abs=1e-3)
    assert second["score"] < 0.999


def test_similar_takes_a_picture_from_elsewhere(demo, tmp_path):
    shutil.copy(CAT, tmp_path / "other.jpg")
    [hit] = demo.call("similar", tmp_path / "other.jpg", "-n", 1, "--format", "json").json
    assert (hit["path"], hit["score"]) == (str(CAT), pytest.approx(1, abs=1e-3))


def test_similar_takes_the_options_of_search(demo):
    found = demo.call("similar", CAT, "--not", "a cat", "--and", "a dog", "-n", 5, "--all")
    assert len(found.text.splitlines()) == 5


def test_a_picture_that_has_changed_is_not_taken_from_the_library(indexed):
    picture(indexed.photos / "a.jpg", 1)  # what b.jpg was indexed with
    [hit, *_] = indexed.call("similar", indexed.photos / "a.jpg", "--format", "json").json
    assert os.path.basename(hit["path"]) == "b.jpg"


def test_a_picture_deleted_from_the_disk_is_not_listed(indexed):
    (indexed.photos / "b.jpg").unlink()
    assert "b.jpg" not in indexed.listed()
    indexed.index()
    assert "b.jpg" not in indexed.listed()


@full_only
def test_similarity(demo):
    def score(a: object, b: object) -> float:
        outcome = demo.call("similarity", a, b)
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.text == f"{float(outcome.text):.4f}\n"
        return float(outcome.text)

    assert score(CAT, CAT) == pytest.approx(1, abs=1e-3)
    assert score("a cat", "a cat") == pytest.approx(1, abs=1e-3)
    assert score(CAT, "a cat") == score("a cat", CAT) > score(CAT, "a rocket")
    assert score(CAT, PHOTOS / "kitten_with_wool.jpg") > score(CAT, PHOTOS / "colosseum.jpg")
    assert score("a cat", "a kitten") > score("a cat", "a rocket")


def test_similarity_needs_no_library(tmp_path):
    outcome = call("--library", tmp_path / "none", "similarity", "a cat", "a dog", "--json")
    assert outcome.status == 0, outcome.err
    assert list(outcome.json) == ["a", "b", "score", "model"]
    assert not (tmp_path / "none").exists()


# What cannot be answered


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search"], "the query is empty"),
        (["search", ""], "the query is empty"),
        (["search", "  ", "\t"], "the query is empty"),
        (["search", "--not", "a dog"], "only says what not to find"),
        (["search", "dog", "--not", "dog^1"], "cancel each other"),
        (["search", "--and", " "], "a term of the query is empty"),
        (["search", "--and", "^2"], "a term of the query is empty"),
        (["search", "x" * 10_001], "the maximum is 10000"),
        (["search", "missing.jpg"], "missing.jpg as a picture to search with: there is no such"),
        (["search", "a", "--like", "missing"], "there is no such file"),
        (["search", "a", "--like", str(PHOTOS)], "it is a folder"),
        (["search", "a", "--like", ""], "there is no such file"),
        (["search", "a", "--and", "b^0"], "must be a positive number, not 0"),
        (["search", "a", "--and", "b^nan"], "must be a positive number, not nan"),
        (["search", "a", "--and", "b^inf"], "must be a positive number, not inf"),
        (["search", "a", "--not", "b^-2"], "must be a positive number, not -2"),
        (["search", "a", "--like", f"{CAT}^0"], "must be a positive number, not 0"),
        (["search", __file__], "as a picture to search with"),
        (["similar", "missing.jpg"], "there is no such file"),
        (["similar", str(PHOTOS)], "it is a folder"),
        (["similar", __file__], "as a picture to search with"),
        (["similarity", "a cat", "missing.jpg"], "there is no such file"),
        (["similarity", "a cat", ""], "is empty"),
        (["search", "a", "--model", "nobody/nothing"], "only with builtin"),
        (["search", "a", "--model", "/no/such/model"], "only with builtin"),
    ],
)
def test_what_cannot_be_answered_gets_a_sentence(demo, arguments, words):
    outcome = demo.call(*arguments)
    assert (outcome.status, outcome.out) == (1, b"")
    first, hint = outcome.err.splitlines()
    assert first.startswith("imgsearch: ")
    assert words in first
    assert hint.startswith("  ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "a", "-n", "0"],
        ["search", "a", "-n", "many"],
        ["search", "a", "-t", "high"],
        ["search", "a", "-t", "nan"],
        ["search", "a", "-t", "1.5"],
        ["search", "a", "-t", "101"],
        ["search", "a", "-t", "-1%"],
        ["search", "a", "-t", "inf"],
        ["search", "a", "-t", "%"],
        ["search", "a", "--min-score", "nan"],
        ["search", "a", "--mode", "magic"],
        ["search", "a", "--format", "xml"],
        ["search", "a", "--colour", "red"],
        ["similar"],
        ["similar", "a.jpg", "b.jpg"],
        ["similarity", "a"],
    ],
)
def test_wrong_usage(demo, arguments):
    outcome = demo.call(*arguments)
    assert (outcome.status, outcome.out) == (2, b"")
    assert "Usage: imgsearch" in outcome.err


def test_an_empty_library(tmp_path):
    place = Place(tmp_path / "photos", tmp_path / "library")
    open_catalog(str(place.library), create=True).close()
    for command in ("search", "similar"):
        outcome = place.call(command, CAT)
        assert outcome.status == 1
        assert "the library has no pictures yet\n  Add some: imgsearch index" in outcome.err


@pytest.mark.parametrize("command", ["search", "similar"])
def test_no_library(tmp_path, command):
    outcome = Place(tmp_path, tmp_path / "library").call(command, CAT)
    assert outcome.status == 1
    assert "there is no library in" in outcome.err
    assert "imgsearch index FOLDER" in outcome.err
    assert not (tmp_path / "library").exists()


@pytest.mark.parametrize(
    ("query", "script"), [("כלב", "Hebrew"), ("बिल्ली", "Devanagari"), ("γάτα", "Greek")]
)
def test_a_query_that_the_model_cannot_read_gets_a_warning(demo, query, script):
    outcome = demo.call("search", query, "--all", "-n", 1)
    assert outcome.status == 0
    assert len(outcome.text.splitlines()) == 1, "the warning is not among the results"
    assert f"Turkish; the query has {script} letters" in outcome.err
    assert "google/siglip2-base-patch16-256" in outcome.err
    assert demo.call("search", query, "-q").err == ""
    assert script in demo.call("search", "dog", "--not", query, "-n", 1).err
    assert script in demo.call("similarity", "dog", query).err


@pytest.mark.parametrize("query", ["a café", "naïve", "Ｄｏｇ", "dog 🐕 №1", "ﬁsh"])
def test_a_query_that_it_can_read_gets_none(demo, query):
    assert demo.call("search", query, "--all", "-n", 1).err == ""


# fmt: off
TRICKY = [
    "\x1b[2J", "^", "a^", "^2", "a^1e999", "-", "--", "\udcff", "\ud800", "~", "/", ".", "a/b.jpg",
    "x" * 300 + ".jpg", "x" * 9_999, "http://x.jpg", "\0.jpg", "%s", "*",
]
# fmt: on
anything = st.text(st.characters(), max_size=40) | st.sampled_from(TRICKY)


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(words=st.lists(anything, max_size=3), plus=anything, minus=anything, like=anything)
@example(words=["dog"], plus="dog", minus="\udcff", like=str(CAT))
@example(words=["x" * 9_000], plus="y" * 9_000, minus="z" * 9_000, like=str(CAT))
def test_whatever_is_asked_gets_an_answer_or_a_sentence(demo, words, plus, minus, like):
    queries = [
        ["search", "--all", "-n", "2", "--", *words],
        ["search", "--all", "-n", "2", f"--and={plus}", f"--not={minus}"],
        ["search", "--all", "-n", "2", f"--like={like}", f"--not={minus}"],
        ["similar", "--all", "-n", "2", "--", like],
        ["similarity", "--", plus, minus],
    ]
    for query in queries:
        outcome = demo.call(*query)
        assert outcome.status in (0, 1, 2)
        assert bool(outcome.out) == (outcome.status == 0)
        assert outcome.status == 0 or outcome.err
        assert "Traceback" not in outcome.err
        assert not any(c < " " and c != "\n" for c in outcome.text + outcome.err)


def test_a_picture_alone_may_have_a_weight_and_a_text_may_end_like_one(demo):
    weighed = demo.call("search", f"{CAT}^0.5", "-n", 1, "--format", "json").json
    assert weighed[0]["path"] == str(CAT) and weighed[0]["score"] == pytest.approx(1, abs=1e-3)
    assert demo.call("search", f"{CAT}^0").status == 1
    assert demo.call("search", "a cat^2", "-n", 1).status == 0


def test_text_mode_looks_up_the_name_of_a_file(demo):
    found = demo.call("search", "owl.jpg", "--mode", "text", "--format", "json").paths
    assert [os.path.basename(path) for path in found] == ["owl.jpg"]
    refused = demo.call("similar", CAT, "--mode", "text")
    assert refused.status == 1 and "words only" in refused.err


@full_only
def test_a_note_says_how_a_query_was_read(demo):
    told = process("--library", demo.library, "search", "ein Hund am Fenster")
    assert told.status == 0 and "Read as: " in told.err
    quiet = process("--library", demo.library, "search", "ein Hund am Fenster", "-q")
    assert quiet.err == ""


def test_sort_orders_the_hits_above_the_cut_off(demo):
    best = names(demo.call("search", "an", "animal", "-n", 100, "--format", "json"))
    by_name = names(demo.call("search", "an", "animal", "--sort", "name", "--format", "json"))
    assert by_name == sorted(best)[:20]
    listed = demo.call("search", "--type", "jpeg", "--sort", "-size", "-n", 5, "--format", "json")
    sizes = [hit["size"] for hit in listed.json]
    everything = sorted((each.stat().st_size for each in PHOTOS.glob("*.jpg")), reverse=True)
    assert sizes == everything[:5]
