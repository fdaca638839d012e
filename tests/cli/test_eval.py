"""imgsearch eval on the demo photos, with minimum results, and on invalid query files."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from imgsearch.evaluation.ranking_metrics import MEASURES
from tests.cli.calls import Place, picture
from tests.conftest import PHOTOS, ROOT, full_only

DEMO = ROOT / "data" / "queries.jsonl"


def lines(path, *entries) -> str:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return str(path)


def groups(outcome) -> dict[tuple[str, str], dict]:
    assert outcome.status == 0, outcome.err
    return {(group["by"], group["kind"]): group for group in outcome.json["groups"]}


@pytest.fixture(scope="module")
def report(demo: Place):
    return demo.call("eval", DEMO, "--json")


def test_the_demo_queries_find_their_pictures(report):
    """Measured with the built-in model: R@1 34/49 = .694, R@5 46/49 = .939, MRR .804."""
    results = groups(report)
    everything = results["text", "all"]
    assert everything["queries"] == len(DEMO.read_text(encoding="utf-8").splitlines())
    assert everything["recall_at_1"] >= 0.65
    assert everything["recall_at_5"] >= 0.93
    assert everything["mrr"] >= 0.78
    assert results["text", "demo"]["recall_at_1"] == 1
    assert (
        results["text", "caption"]["queries"] + results["text", "demo"]["queries"]
        == (everything["queries"])
    )
    assert report.json["missing"] == []
    assert report.json["pictures"] == len(list(PHOTOS.iterdir()))


def test_the_figures_are_consistent(report):
    for group in groups(report).values():
        assert tuple(group)[3:-2] == MEASURES
        assert group["recall_at_1"] <= group["recall_at_5"] <= group["recall_at_10"]
        assert group["recall_at_1"] <= group["mrr"] <= 1
        assert 0 < group["p50_ms"] <= group["p95_ms"]
    captions = groups(report)["text", "caption"]  # one relevant picture each
    assert captions["recall_at_1"] == pytest.approx(captions["r_precision"])
    assert captions["mrr"] <= captions["ndcg_at_10"] + 1e-9


def test_the_table(demo: Place, tmp_path):
    file = lines(tmp_path / "q.jsonl", {"query": "a koala", "relevant": ["koala.jpg"], "kind": "x"})
    outcome = demo.call("eval", file)
    first, heading, row = outcome.text.splitlines()
    assert first == f"builtin, {len(list(PHOTOS.iterdir()))} pictures"
    assert heading.split()[:8] == ["queries", "n", "R@1", "R@5", "R@10", "MRR", "R-prec", "nDCG@10"]
    assert row.split()[:9] == ["text", "all", "1", *["1.000"] * 6]


def test_a_picture_is_excluded_from_its_own_results(demo: Place, tmp_path):
    kitten = {"query_image": "tabby_cat_face.jpg", "relevant": ["kitten_with_wool.jpg"]}
    both = {**kitten, "relevant": ["tabby_cat_face.jpg", "kitten_with_wool.jpg"]}
    shutil.copy(PHOTOS / "tabby_cat_face.jpg", tmp_path / "elsewhere.jpg")
    copy = {"query_image": "elsewhere.jpg", "relevant": ["kitten_with_wool.jpg"]}
    file = lines(tmp_path / "q.jsonl", kitten | {"kind": "a"}, both | {"kind": "b"})
    results = groups(demo.call("eval", file, "--json"))
    assert results["image", "a"]["recall_at_1"] == results["image", "b"]["recall_at_1"] == 1
    assert results["image", "b"]["r_precision"] == 1
    away = groups(demo.call("eval", lines(tmp_path / "r.jsonl", copy), "--json"))["image", "all"]
    assert (away["recall_at_1"], away["mrr"]) == (0, 0.5), "the library's copy comes first"


@full_only
def test_names(indexed: Place, tmp_path):
    """Absolute, relative to the file or to a folder of the library, or the end of a path."""
    picture(indexed.photos / "sub" / "a.jpg", 50)
    indexed.index()
    beside = indexed.photos / "sub" / "q.jsonl"
    for name, target, file in [
        (str(indexed.photos / "b.jpg"), "b.jpg", tmp_path / "q.jsonl"),
        ("sub/c.png", "sub/c.png", tmp_path / "q.jsonl"),
        ("a.jpg", "a.jpg", tmp_path / "q.jsonl"),
        ("a.jpg", "sub/a.jpg", beside),
        ("../b.jpg", "b.jpg", beside),
        ("deep/d.jpg", "sub/deep/d.jpg", tmp_path / "q.jsonl"),
        ("d.jpg", "sub/deep/d.jpg", tmp_path / "q.jsonl"),
        ("photos/b.jpg", "b.jpg", tmp_path / "q.jsonl"),
    ]:
        question = {"query_image": str(_copy(indexed, target, tmp_path)), "relevant": [name]}
        results = groups(indexed.call("eval", lines(file, question), "--json"))
        assert results["image", "all"]["recall_at_1"] == 1, name
        file.unlink()


def _copy(place: Place, target: str, tmp_path) -> object:
    """Copy a picture to a place outside the library."""
    extension = os.path.splitext(target)[1]
    return shutil.copy(place.photos / target, tmp_path / f"outside{extension}")


def test_an_ambiguous_name(indexed: Place, tmp_path):
    picture(indexed.photos / "sub" / "d.jpg", 51)
    indexed.index()
    file = lines(tmp_path / "q.jsonl", {"query": "x", "relevant": ["d.jpg"]})
    outcome = indexed.call("eval", file)
    assert outcome.status == 1
    assert f"{file}, line 1: d.jpg may be {indexed.photos}/sub/" in outcome.err
    assert "Give more of its path." in outcome.err


def test_pictures_that_are_not_in_the_library(demo: Place, tmp_path):
    one = {"query": "a koala", "relevant": ["koala.jpg", "lost.jpg"]}
    outcome = demo.call("eval", lines(tmp_path / "q.jsonl", one), "--json")
    assert outcome.json["missing"] == ["lost.jpg"]
    assert "1 relevant picture not in the library" in outcome.err
    assert groups(outcome)["text", "all"]["r_precision"] == 0.5
    other = demo.call("eval", lines(tmp_path / "q.jsonl", {"query": "x", "relevant": ["no.jpg"]}))
    assert other.status == 1
    assert "none of the pictures that the queries name is in the library" in other.err


@full_only
def test_saved_runs_are_compared_without_a_library(demo: Place, tmp_path):
    run = tmp_path / "run.json"
    assert demo.call("eval", DEMO, "--save", run, "-q").status == 0
    saved = json.loads(run.read_text(encoding="utf-8"))
    assert saved["imgsearch_run"] == 1
    worse = json.loads(run.read_text(encoding="utf-8"))
    for outcome in worse["outcomes"]:
        outcome["ranks"] = [rank + 1 for rank in outcome["ranks"]]
    worse["outcomes"].pop()
    other = tmp_path / "worse.json"
    other.write_text(json.dumps(worse), encoding="utf-8")
    place = Place(tmp_path, tmp_path / "none")
    outcome = place.call("eval", run, "--compare", other, "--json")
    assert outcome.status == 0, outcome.err
    assert "1 query is in only one of the runs and ignored." in outcome.err
    [group, *_] = outcome.json["groups"]
    assert group["b"]["recall_at_1"] == 0
    change = group["differences"]["recall_at_1"]
    assert change["mean"] == pytest.approx(-group["a"]["recall_at_1"])
    assert change["low"] < change["mean"] < change["high"] < 0
    text = place.call("eval", run, "--compare", other).text
    assert "text all, n = 48" in text
    assert " *" in text.split("R@1")[1].splitlines()[0]
    same = place.call("eval", run, "--compare", run, "--json").json["groups"][0]["differences"]
    assert all(value == {"mean": 0, "low": 0, "high": 0} for value in same.values())
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no queries"),
        ("\n\n", "has no queries"),
        ("{", "line 1 is not valid JSON"),
        ("[" * 100_000, "line 1 is not valid JSON"),
        ("[]", "is not a query"),
        ("null", "is not a query"),
        ('{"query": "x"}', "is not a query"),
        ('{"query": "x", "relevant": []}', "is not a query"),
        ('{"query": "x", "relevant": "a.jpg"}', "is not a query"),
        ('{"query": "x", "relevant": [1]}', "is not a query"),
        ('{"query": "", "relevant": ["a.jpg"]}', "is not a query"),
        ('{"query": "x", "query_image": "y", "relevant": ["a.jpg"]}', "is not a query"),
        ('{"query": "x", "relevant": ["a.jpg"], "kind": 3}', "is not a query"),
        ('{"query": "x", "relevant": ["/"]}', "none of the pictures"),
        ('{"query": "x", "relevant": [".."]}', "none of the pictures"),
        ('{"query": "x", "relevant": ["\\u0000"]}', "none of the pictures"),
        ('{"query": "x", "relevant": ["\\ud800"]}', "none of the pictures"),
        ('{"query_image": "no.jpg", "relevant": ["koala.jpg"]}', "there is no such file"),
        ('{"query_image": "koala.jpg", "relevant": ["koala.jpg"]}', "its own only answer"),
    ],
)
def test_invalid_query_files_are_refused(demo: Place, tmp_path, text, words):
    file = tmp_path / "q.jsonl"
    file.write_text(text, encoding="utf-8")
    outcome = demo.call("eval", file)
    assert (outcome.status, outcome.out) == (1, b"")
    assert words in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"imgsearch_run": 2}', "\0"])
def test_invalid_runs_are_refused(demo: Place, tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    outcome = demo.call("eval", tmp_path / "run.json")
    assert outcome.status == 1
    assert "is not a run saved by 'imgsearch eval --save'" in outcome.err
    assert demo.call("eval", DEMO, "--save", tmp_path / "x.jpg").status == 1
    assert demo.call("eval", tmp_path / "missing.json").status == 1
    assert demo.call("eval", tmp_path / "missing.jsonl").status == 1
    assert not (tmp_path / "x.jpg").exists()
