"""Suggestions for the search box, and its text read with the folders of a library."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from imgsearch.library import Library
from imgsearch.searching.request import SearchRequest
from imgsearch.searching.terms import text_term
from imgsearch.serving import suggestions as module
from imgsearch.serving.suggestions import Suggestion, Suggestions
from imgsearch.settings import load_settings
from tests.cli.calls import Place, picture
from tests.conftest import PHOTOS, full_only

SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag><rdf:li>New York "trip"</rdf:li>
 <rdf:li>owl</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("suggests")
    place = Place(folder / "photos", folder / "library")
    for number, name in enumerate(("2019/rome/a.jpg", "2020/rome/b.jpg", "2020/rome/old/c.jpg")):
        picture(place.photos / name, number)
    shutil.copy(PHOTOS / "jaguars.jpg", place.photos)
    (place.photos / "2019/rome/a.xmp").write_text(SIDECAR)
    place.index()
    with Library(load_settings({"library": str(place.library)})) as library:
        library.saved.add("Rome at night", SearchRequest([text_term("rome")]), False)
    return place


@pytest.fixture(scope="module")
def suggestions(place: Place) -> Iterator[Suggestions]:
    made = Suggestions(load_settings({"library": str(place.library)}))
    yield made
    made.close()


def values(found: list[Suggestion]) -> list[tuple[str, str]]:
    return [(each.kind, each.value) for each in found]


def test_values_of_all_kinds_complete_the_last_words(suggestions: Suggestions) -> None:
    (camera,) = suggestions.suggest("a bird canon e", 8)
    assert (camera.kind, camera.value, camera.count) == ("camera", "Canon EOS 7D", 1)
    assert camera.text == 'a bird camera:"Canon EOS 7D" '
    (keyword,) = suggestions.suggest("new yo", 8)
    assert keyword.text == 'keyword:"New York \\"trip\\"" '
    assert suggestions.query(keyword.text).filters == (("keyword", 'New York "trip"'),)
    assert values(suggestions.suggest("jagu", 8)) == [("name", "jaguars.jpg")]
    found = suggestions.suggest("x night", 8)
    assert [(each.kind, each.value, each.text) for each in found] == [
        ("saved", "Rome at night", "x ")
    ]
    assert ("filter", "camera") in values(suggestions.suggest("cam", 8))


def test_a_filter_that_is_typed_gets_its_values_only(
    suggestions: Suggestions, place: Place
) -> None:
    assert values(suggestions.suggest("x -camera:", 8)) == [("camera", "Canon EOS 7D")]
    assert suggestions.suggest("x -camera:", 8)[0].text == 'x -camera:"Canon EOS 7D" '
    assert values(suggestions.suggest("type:p", 8)) == [("type", "png")]
    folders = values(suggestions.suggest("in:rom", 8))
    assert folders == [("in", f"{place.photos}/{year}/rome") for year in (2019, 2020)]
    assert suggestions.suggest("nothing:ca", 8) == []
    assert suggestions.suggest("keyword:zzz", 8) == []


def test_one_letter_a_finished_word_and_nothing_have_no_suggestions(
    suggestions: Suggestions,
) -> None:
    for text in ("", "a", "canon ", "-", '"ow', "   "):
        assert suggestions.suggest(text, 8) == [], text


def test_folders_are_named_by_the_end_of_their_path(suggestions: Suggestions, place: Place) -> None:
    def named(text: str) -> list[str]:
        found = suggestions.query(text)
        assert not found.faults, found.faults
        return [value for _, value in found.filters]

    rome = [f"{place.photos}/2019/rome", f"{place.photos}/2020/rome"]
    assert named("in:Rome") == rome
    assert named("in:2019/rome") == rome[:1]
    assert named(f'in:"{rome[1]}"') == rome[1:]
    assert named("in:old") == [f"{rome[1]}/old"]
    assert suggestions.query("in:ome").faults[0].error == "the library has no folder 'ome'"


def test_new_values_are_suggested_and_a_library_may_be_missing(
    place: Place, suggestions: Suggestions, tmp_path: Path
) -> None:
    assert suggestions.suggest("dog", 8) == []
    with Library(load_settings({"library": str(place.library)})) as library:
        library.saved.add("Dogs", SearchRequest([text_term("dog")]), False)
    suggestions.renew()
    assert values(suggestions.suggest("dog", 8)) == [("saved", "Dogs")]
    none = Suggestions(load_settings({"library": str(tmp_path / "none")}))
    assert values(none.suggest("cam", 8)) == [("filter", "camera")]
    assert none.query("in:rome x").words == "x"
    none.close()


@full_only
def test_clusters_that_are_made_meanwhile_are_suggested(
    copy_demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They change no revision of the catalog."""
    place = copy_demo()
    monkeypatch.setattr(module, "MAX_AGE_SECONDS", 0.0)
    with closing(Suggestions(load_settings({"library": str(place.library)}))) as made:
        assert "cluster" not in [each.kind for each in made.suggest("kitchen", 8)]
        assert place.call("clusters", "-q").status == 0
        assert ("cluster", "kitchenware") in values(made.suggest("kitchen", 8))
