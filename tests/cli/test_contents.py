"""What holds for all commands about the contents of a library: they change no search, and libraries
with little in them are described or refused with a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from imgsearch.catalog import open_catalog
from tests.cli.calls import Outcome, Place, eight_pictures
from tests.conftest import full_only
from tests.exchange.libraries import without_vectors

SEARCHES: tuple[tuple[object, ...], ...] = (
    ("search", "a", "bird", "--all"),
    ("search", "an", "animal", "--unique", "--mode", "hybrid"),
    ("search", "--type", "jpeg", "--sort", "name"),
    ("search", "a", "building", "--where", "width > 800"),
)


@full_only
@pytest.mark.slow
def test_no_command_changes_a_search(copy_demo: Callable[[], Place], tmp_path: Path) -> None:
    demo = copy_demo()

    def results() -> list[object]:
        every = [demo.call(*each, "-n", 100, "--format", "json") for each in SEARCHES]
        assert [each.status for each in every] == [0] * len(SEARCHES)
        return [each.json for each in every]

    before = results()
    made = (
        ("clusters", "-q"),
        ("clusters", "--refit"),
        ("map", "--json"),
        *(("sample", 5, *kind) for kind in ((), ("--diverse",), ("--typical",), ("--outliers",))),
        ("dupes", "--level", "shots"),
        ("export", tmp_path / "out"),
        ("import", tmp_path / "out"),
        ("backup", tmp_path / "pictures.imgsearch"),
        ("saved", "add", "Birds", "a bird"),
    )
    for commands in (made, [("clusters", "--forget")]):
        for arguments in commands:
            outcome = demo.call(*arguments)
            assert outcome.status == 0, outcome.err
        assert results() == before


COMMANDS: dict[str, tuple[object, ...]] = {
    "clusters": ("clusters", "--format", "json"),
    "map": ("map", "--json"),
    "sample": ("sample", 3, "--format", "paths"),
    "diverse": ("sample", 3, "--diverse", "--format", "paths"),
    "typical": ("sample", 3, "--typical", "--format", "paths"),
    "outliers": ("sample", 3, "--outliers", "--format", "paths"),
    "dupes": ("dupes", "--format", "json"),
    "export": ("export", "OUT"),
}


Run = Callable[[Place], dict[str, Outcome]]


@pytest.fixture
def outcomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs each command on a library of the model "cheap"."""
    monkeypatch.setenv("IMGSEARCH_MODEL", "cheap")

    def run(place: Place) -> dict[str, Outcome]:
        with closing(open_catalog(str(place.library))) as catalog:
            before = catalog.all_ids().tolist()
        found = {}
        for name, arguments in COMMANDS.items():
            found[name] = place.call(*(tmp_path / "out" if a == "OUT" else a for a in arguments))
            assert "Traceback" not in found[name].err, name
            assert found[name].status == 0 or found[name].err.startswith("imgsearch: "), name
        with closing(open_catalog(str(place.library))) as catalog:
            assert catalog.all_ids().tolist() == before and catalog.check() == []
        return found

    return run


@pytest.fixture
def eight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Eight pictures that are not indexed yet."""
    return eight_pictures(tmp_path, monkeypatch)


def failed(found: dict[str, Outcome]) -> set[str]:
    return {name for name, outcome in found.items() if outcome.status}


def test_a_library_without_pictures(eight: Place, outcomes: Run) -> None:
    open_catalog(str(eight.library), create=True).close()
    found = outcomes(eight)
    assert failed(found) == set(COMMANDS)
    assert not (eight.library.parent / "out").exists()


def test_a_library_of_one_picture(eight: Place, outcomes: Run) -> None:
    for path in sorted(eight.photos.iterdir())[1:]:
        path.unlink()
    eight.index(eight.photos, "--model", "cheap")
    found = outcomes(eight)
    assert failed(found) == {"clusters", "map"}
    assert found["diverse"].text == found["typical"].text == f"{eight.photos / 'a.jpg'}\n"


def test_pictures_that_are_all_equal(eight: Place, outcomes: Run) -> None:
    first, *others = sorted(eight.photos.iterdir())
    for path in others:
        shutil.copy(first, path)
    eight.index(eight.photos, "--model", "cheap")
    found = outcomes(eight)
    assert failed(found) == set()
    assert [each["count"] for each in found["clusters"].json["clusters"]] == [8]
    assert {(each["x"], each["y"]) for each in found["map"].json["points"]} == {(0, 0)}
    assert [len(each["duplicates"]) for each in found["dupes"].json] == [7]
    for kind in ("sample", "diverse", "typical", "outliers"):
        assert len(set(found[kind].text.splitlines())) == 3


def test_a_space_that_is_not_complete(eight: Place, outcomes: Run) -> None:
    eight.index(eight.photos, "--model", "cheap")
    without_vectors(eight.library, after=5)
    shutil.rmtree(eight.library / "index")
    found = outcomes(eight)
    assert failed(found) == set()
    assert found["clusters"].json["pictures"] == len(found["map"].json["points"]) == 5
    for name in ("clusters", "map", "dupes", "export"):
        assert "3 pictures" in found[name].err, name
