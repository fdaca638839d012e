"""imgsearch dupes on real files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import imgsearch.sources.decoder_pool
from imgsearch.catalog import open_catalog
from imgsearch.sources.decoder_pool import InlineDecoder
from tests.cli.calls import Place, picture
from tests.conftest import PHOTOS

ODD = "-rf $(touch pwned) 'quote' \"x\" `id`\n\n"


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A cat, the same saved again, and two exact copies with odd names; tests put all back."""
    folder = tmp_path_factory.mktemp("copies")
    place = Place(folder / "photos", folder / "library")
    (place.photos / "sub").mkdir(parents=True)
    cat = Image.open(PHOTOS / "tabby_cat_face.jpg")
    cat.thumbnail((400, 400))
    cat.save(place.photos / "cat.jpg", quality=95)
    cat.save(place.photos / "saved again.jpg", quality=60)
    shutil.copy(place.photos / "cat.jpg", place.photos / "sub" / f"{ODD}.jpg")
    shutil.copy(place.photos / "cat.jpg", place.photos / os.fsdecode(b"sub/\xff\n.jpg"))
    picture(place.photos / "other.png", seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            imgsearch.sources.decoder_pool,
            "ProcessDecoder",
            lambda settings, **_: InlineDecoder(settings),
        )
        assert place.call("index", place.photos).status == 0
    return place


@contextlib.contextmanager
def moved_aside(path: Path) -> Iterator[None]:
    """Without this file, or with another in its place; it comes back."""
    aside = path.rename(path.parents[1] / "aside")
    try:
        yield
    finally:
        aside.replace(path)


def run_script(script: bytes, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh"], check=False, input=script, cwd=folder, capture_output=True)


def kinds(outcome) -> list[list[tuple[str, str]]]:
    assert outcome.status == 0, outcome.err
    return [
        [("keep", Path(group["keep"]["path"]).name)]
        + [(each["match"], Path(each["path"]).name) for each in group["duplicates"]]
        for group in outcome.json
    ]


def files_below(folder: Path) -> set[bytes]:
    top = os.fsencode(folder)
    return {
        os.path.relpath(os.path.join(base, name), top)
        for base, _, names in os.walk(top)
        for name in names
    }


def test_levels_as_json(copies: Place):
    (exact,) = kinds(copies.call("dupes", "--level", "exact", "--format", "json"))
    assert exact == [
        ("keep", "cat.jpg"), ("exact", "\udcff\n.jpg"), ("exact", f"{ODD}.jpg")
    ]  # fmt: skip
    (near,) = kinds(copies.call("dupes", "--format", "json"))
    assert sorted(near) == sorted([*exact, ("copy", "saved again.jpg")])


def test_the_same_pictures_as_a_search_folds(copies: Place):
    (group,) = kinds(copies.call("dupes", "--level", "shots", "--format", "json"))
    found = copies.call("search", "cat", "--all", "--unique", "--format", "json").json
    folded = [
        {Path(hit["path"]).name, *(Path(each).name for each in hit["duplicates"])}
        for hit in found
        if hit["duplicates"]
    ]
    assert folded == [{name for _, name in group}]


def test_filters_and_preferences(copies: Place):
    (group,) = kinds(copies.call("dupes", "--prefer", "*/sub/-rf*", "--format", "json"))
    assert group[0] == ("keep", f"{ODD}.jpg")
    (group,) = kinds(copies.call("dupes", "--in", copies.photos / "sub", "--format", "json"))
    assert {name for _, name in group} == {f"{ODD}.jpg", "\udcff\n.jpg"}
    assert copies.call("dupes", "--type", "gif", "--format", "json").json == []


def test_a_table_and_paths(copies: Place):
    outcome = copies.call("dupes")
    lines = outcome.text.splitlines()
    assert len(lines) == 4, "a name with newlines is one line"
    assert lines[0].startswith("   1  keep ")
    assert "1 group, 3 duplicates, " in outcome.err
    paths = copies.call("dupes", "--format", "paths0").out.split(b"\0")
    assert sorted(paths[:-1]) == sorted(
        os.path.join(os.fsencode(copies.photos), each)
        for each in (b"saved again.jpg", b"sub/\xff\n.jpg", os.fsencode(f"sub/{ODD}.jpg"))
    )


def test_a_page_and_collections(copies: Place, tmp_path):
    page, links = tmp_path / "page.html", tmp_path / "links"
    outcome = copies.call("dupes", "--html", page, "--link-to", links)
    assert outcome.status == 0, outcome.err
    text = page.read_text()
    assert text.count('<li class="first">') == 1
    assert text.count("keep: ") == 1
    assert text.count("exact: ") == 2
    assert len(os.listdir(links)) == 3


def test_the_script_moves_all_but_the_best(copies: Place, tmp_path):
    script, trash = tmp_path / "move.sh", tmp_path / "-trash"
    before = files_below(copies.photos)
    script.write_bytes(copies.call("dupes", "--format", "sh", "--trash", trash).out)
    assert files_below(copies.photos) == before, "printed, not run"
    subprocess.run(["sh", script], check=True, cwd=tmp_path)
    assert files_below(copies.photos) == {b"cat.jpg", b"other.png"}
    top = os.path.relpath(os.fsencode(copies.photos), b"/")
    moved = {os.path.relpath(each, top) for each in files_below(trash)}
    assert moved == before - {b"cat.jpg", b"other.png"}
    assert sorted(os.listdir(tmp_path)) == ["-trash", "move.sh"], "no name was run as a command"
    again = subprocess.run(
        ["sh", script, "elsewhere"], check=False, cwd=tmp_path, capture_output=True
    )
    assert again.returncode == 1
    assert again.stderr.count(b"has changed or is gone") == 3
    assert not (tmp_path / "elsewhere").exists()
    for each in files_below(trash):
        os.rename(os.path.join(os.fsencode(trash), each), b"/" + each)


def test_the_script_leaves_what_has_changed(copies: Place, tmp_path):
    script = copies.call(
        "dupes", "--in", copies.photos / "cat.jpg", "--in", copies.photos / "saved again.jpg",
        "--format", "sh", "--trash", tmp_path / "trash",
    ).out  # fmt: skip
    changed = copies.photos / "saved again.jpg"
    with moved_aside(changed):
        changed.write_bytes(b"another picture")
        assert run_script(script, tmp_path).returncode == 1
        assert changed.read_bytes() == b"another picture"
    with moved_aside(copies.photos / "cat.jpg"):
        outcome = run_script(script, tmp_path)
    assert b"the picture to keep is gone" in outcome.stderr
    assert not (tmp_path / "trash").exists()


def test_pictures_that_are_gone_are_left_out(copies: Place):
    with moved_aside(copies.photos / "cat.jpg"):
        outcome = copies.call("dupes", "--format", "json")
    (group,) = kinds(outcome)
    assert len(group) == 3
    assert "1 picture that is no longer on disk is left out." in outcome.err


def test_nothing_to_compare(place: Place):
    assert place.call("dupes").status == 1
    with contextlib.closing(open_catalog(str(place.library), create=True)):
        outcome = place.call("dupes", "--level", "exact")
    assert outcome.status == 1
    assert "the library has no pictures yet" in outcome.err
    shutil.rmtree(place.photos)
    picture(place.photos / "one.jpg", seed=1)
    assert place.call("index", place.photos).status == 0
    outcome = place.call("dupes", "--format", "json")
    assert json.loads(outcome.out) == []
    assert "0 groups, 0 duplicates" in outcome.err
