"""imgsearch saved, and search --saved."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.cli.calls import Place
from tests.cli.test_completion import completed
from tests.cli.test_imports import DATABASES, MODELS, NUMBERS, PICTURES, imported
from tests.conftest import PHOTOS


@pytest.fixture
def own(demo: Place, tmp_path) -> Place:
    """The demo library with saved searches of its own."""
    shutil.copytree(demo.library, tmp_path / "own")
    return Place(demo.photos, tmp_path / "own")


def names(outcome) -> list[str]:
    assert outcome.status == 0, outcome.err
    return [os.path.basename(path) for path in outcome.paths]


def test_a_saved_search_finds_what_the_search_finds(own: Place):
    terms = ("a koala", "--not", "people", "--type", "jpeg", "-n", 4, "--all")
    kept = own.call("saved", "add", "Koalas", *terms)
    assert (kept.status, kept.out) == (0, b""), kept.err
    assert kept.err == "Saved 'Koalas': a koala, without people, format = \"JPEG\"\n"
    expected = names(own.call("search", *terms, "--format", "json"))
    assert len(expected) == 4
    assert names(own.call("search", "--saved", "koalas", "--format", "json")) == expected
    assert names(own.call("saved", "show", "KOALAS", "--format", "json")) == expected


def test_further_terms_and_options_combine(own: Place):
    own.call("saved", "add", "animals", "an animal", "--all", "-n", 3, "--sort", "name")
    found = names(own.call("saved", "show", "animals", "--name", "o*", "--format", "json"))
    assert found == sorted(found)
    assert found and all(name.startswith("o") for name in found)
    more = names(own.call("search", "--saved", "animals", "-n", 5, "--format", "json"))
    assert len(more) == 5
    assert "owl.jpg" not in names(own.call("saved", "show", "animals", "--format", "json"))
    both = own.call("search", "an owl", "--saved", "animals", "--sort", "score", "--format", "json")
    assert "owl.jpg" in names(both)


def test_an_example_picture_is_kept_and_its_loss_is_told(own: Place, tmp_path):
    outside = tmp_path / "mine.jpg"
    shutil.copy(PHOTOS / "owl.jpg", outside)
    own.call("saved", "add", "like mine", "--like", outside)
    assert names(own.call("saved", "show", "like mine", "-n", 1, "--format", "json")) == ["owl.jpg"]
    own.call("search", "a koala", "-n", 1)
    own.call("saved", "add", "like that", "--like", "#1")
    own.call("search", "a crab", "-n", 1)
    found = names(own.call("saved", "show", "like that", "-n", 1, "--format", "json"))
    assert found == ["koala.jpg"], "not a result of the search that came last"
    outside.unlink()
    shown = own.call("saved", "show", "like mine")
    assert shown.status == 1 and shown.out == b""
    assert f"example picture that is gone: {outside}" in shown.err
    listed = own.call("saved", "list")
    assert f"(picture gone: {outside})" in listed.text.splitlines()[0]
    assert "gone" not in listed.text.splitlines()[1]


def test_listing_renaming_and_removing(own: Place):
    assert own.call("saved", "list").out == b""
    own.call("saved", "add", "b", "sunset", "--after", 2020)
    own.call("saved", "add", "a", "--in", PHOTOS)
    lines = own.call("saved", "list").text.splitlines()
    assert [line.split()[0] for line in lines] == ["a", "b"]
    assert lines[1].endswith("  sunset, taken >= 2020-01-01")
    assert own.call("saved", "rename", "b", "Sunsets since 2020").status == 0
    assert own.call("saved", "remove", "a").status == 0
    (entry,) = own.call("saved", "list", "--json").json
    assert (entry["name"], entry["missing"]) == ("Sunsets since 2020", [])
    assert entry["request"] == {
        "terms": [{"text": "sunset"}], "where": "taken >= 2020-01-01"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (("add", "x"), 1, "the query is empty"),
        (("add", "taken", "sunset"), 1, "there is a saved search 'taken' already"),
        (("add", "x", "-"), 1, "stdin cannot be read"),
        (("add", "x", "--like", "/nowhere.jpg"), 1, "/nowhere.jpg is not a file"),
        (("add", "x", "--more", "1"), 1, "results alone refine the last search"),
        (("add", " ", "sunset"), 1, "the name of a saved search is empty"),
        (("add", "x", "sunset", "--format", "json"), 2, "No such option"),
        (("show", "y"), 1, "there is no saved search 'y'"),
        (("rename", "y", "z"), 1, "there is no saved search 'y'"),
        (("remove", "y"), 1, "there is no saved search 'y'"),
    ],
)
def test_mistakes_are_explained(own: Place, words, status, complaint):
    own.call("saved", "add", "taken", "a dog")
    outcome = own.call("saved", *words)
    assert (outcome.status, outcome.out) == (status, b"")
    assert complaint in outcome.err and "Traceback" not in outcome.err


def test_without_a_library(tmp_path):
    place = Place(PHOTOS, tmp_path / "none")
    for words in (("list",), ("add", "x", "dog"), ("show", "x"), ("remove", "x")):
        outcome = place.call("saved", *words)
        assert outcome.status == 1 and "there is no library" in outcome.err
    assert not place.library.exists()


def test_names_are_completed(own: Place, monkeypatch):
    for name in ("dogs", "cats", "two words"):
        own.call("saved", "add", name, "dog")
    for words in (["search", "--saved", ""], ["saved", "show", ""], ["saved", "remove", ""]):
        found = completed(monkeypatch, "--library", str(own.library), *words)
        assert found == [("plain", "cats"), ("plain", "dogs")]


def test_listing_needs_only_sqlite(own: Place):
    own.call("saved", "add", "koalas", "a koala")
    outcome, modules = imported("--library", own.library, "saved", "list")
    assert outcome.status == 0 and outcome.text.startswith("koalas")
    assert not modules & (NUMBERS | DATABASES | PICTURES | MODELS)
