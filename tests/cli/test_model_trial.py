"""imgsearch models try"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from imgsearch.cli.model_trial import _duration
from tests import tiny_models
from tests.cli.calls import Place, picture
from tests.conftest import full_only


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_siglip(tmp_path_factory.mktemp("models") / "siglip")


def contents(folder: Path) -> dict[str, str]:
    """All files below a folder, by the hash of their bytes."""
    return {
        os.path.relpath(path, folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@full_only
def test_both_models_are_shown_and_nothing_changes(indexed: Place, siglip, tmp_path):
    name = "<b>quoted & 100%.jpg"
    picture(indexed.photos / name, 9)
    indexed.index()
    before = contents(indexed.library), contents(indexed.photos)
    page = tmp_path / "try.html"
    words = ("a dog", "<script>alert(1)</script>")
    done = indexed.call("models", "try", siglip, *words, "--html", page)
    assert done.status == 0, done.err
    assert (contents(indexed.library), contents(indexed.photos)) == before
    lines = done.text.splitlines()
    assert lines[0] == "5 pictures of 5 in the library"
    assert "per picture  whole library  vectors on disk" in lines[2]
    assert [line.split()[0] for line in lines[3:5]] == ["builtin", str(siglip)]
    assert "'a dog'" in lines and done.text.count("sub/deep/d.jpg") == 4
    assert f"models switch {siglip}" in done.err
    html = page.read_text()
    assert html.count("<section>") == 4 and html.count("<li>") == 20
    assert html.count("data:image/jpeg;base64,") == 20
    assert "<script" not in html and "<b>quoted" not in html and "&lt;b&gt;quoted" in html
    assert "default-src 'none'" in html


def test_the_size_of_the_sample(indexed: Place, siglip):
    done = indexed.call("models", "try", siglip, "a dog", "--pictures", 2)
    assert done.text.startswith("2 pictures of 4 in the library\n")


def test_pictures_that_are_gone_are_left_out(indexed: Place, siglip):
    (indexed.photos / "a.jpg").unlink()
    done = indexed.call("models", "try", siglip, "a dog")
    assert done.status == 0 and "a.jpg" not in done.text and "b.jpg" in done.text
    shutil.rmtree(indexed.photos)
    refused = indexed.call("models", "try", siglip, "a dog")
    assert refused.status == 1 and "none of the pictures of the sample could be read" in refused.err


def test_what_is_refused(indexed: Place, siglip, tmp_path):
    unknown = indexed.call("models", "try", "siglip2-bse")
    assert unknown.status == 1 and "Did you mean siglip2-base?" in unknown.err
    same = indexed.call("models", "try", "builtin")
    assert same.status == 1 and "imgsearch models" in same.err
    mine = tmp_path / "mine.html"
    mine.write_text("mine")
    kept = indexed.call("models", "try", siglip, "--html", mine)
    assert kept.status == 1 and mine.read_text() == "mine"
    empty = indexed.call("models", "try", siglip, " ")
    assert empty.status == 1 and "Traceback" not in empty.err


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (101, "2 min"), (12_600, "3.5 h")]
)
def test_durations(seconds, words):
    assert _duration(seconds) == words
