"""Folders that a client may list and add."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgsearch.errors import QueryError
from imgsearch.serving import places
from imgsearch.serving.places import Places


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    for name in ("Pictures/2019", "Pictures/ärger", "Documents", ".ssh"):
        (home / name).mkdir(parents=True)
    for name in ("a.jpg", "b.HEIC", "notes.txt", ".hidden.jpg"):
        (home / "Pictures" / name).touch()
    (tmp_path / "secret" / "deep").mkdir(parents=True)
    (home / "Pictures" / "out").symlink_to(tmp_path / "secret")
    (home / "Pictures" / "up").symlink_to("..")
    os.mkfifo(home / "Pictures" / "pipe.jpg")
    return home


def test_a_place_is_listed_down_and_up_without_links_and_hidden_folders(home: Path) -> None:
    here = Places(str(home))
    top = here.listing("")
    assert (top.path, top.parent, top.folders) == (str(home), None, ["Documents", "Pictures"])
    pictures = here.listing(f"{home}/Pictures/")
    assert (pictures.path, pictures.parent) == (f"{home}/Pictures", str(home))
    assert pictures.folders == ["2019", "ärger"]
    assert pictures.pictures == 3 and pictures.complete
    assert here.require(f"{home}/Documents/../Pictures") == f"{home}/Pictures"


def test_nothing_outside_is_listed_or_added(home: Path) -> None:
    here = Places(str(home))
    outside = (
        "/", "/etc", str(home.parent), f"{home}/..", f"{home}x", "Pictures", "~", f"{home}/\0",
        f"{home}/.ssh", f"{home}/Pictures/out", f"{home}/Pictures/out/deep", f"{home}/Pictures/up",
        f"{home}/Pictures/a.jpg", f"{home}/Pictures/pipe.jpg", f"{home}/missing", "/" + "x/" * 3000,
    )  # fmt: skip
    for path in outside:
        for ask in (here.listing, here.require):
            with pytest.raises(QueryError) as error:
                ask(path)
            assert error.value.hint
            assert "deep" not in str(error.value).replace(path, "")


def test_several_places_are_listed_first_and_none_is_refused(home: Path) -> None:
    both = Places(f"{home / 'Pictures'}{os.pathsep}{home / 'Documents'}")
    top = both.listing("")
    assert (top.path, list(top.folders)) == ("", [f"{home}/Pictures", f"{home}/Documents"])
    assert both.listing(f"{home}/Documents").parent == ""
    with pytest.raises(QueryError, match="cannot be added here"):
        Places("none").listing("")
    with pytest.raises(QueryError, match="cannot be added here"):
        Places("").require("/")


def test_large_folders_are_cut_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_FOLDERS", 1)
    cut = Places(str(home)).listing("")
    assert (cut.folders, cut.complete) == (["Documents"], False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_explained(home: Path) -> None:
    (home / "Documents").chmod(0)
    with pytest.raises(QueryError, match="permission denied"):
        Places(str(home)).listing(f"{home}/Documents")
