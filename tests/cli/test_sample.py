"""imgsearch sample, on the demo photos."""

from __future__ import annotations

import os

import pytest

from tests.cli.calls import NO_TORCH, Place, call, process
from tests.conftest import PHOTOS, full_only

COUNT = len(list(PHOTOS.iterdir()))


def paths(demo: Place, *arguments: object) -> list[str]:
    outcome = demo.call("sample", *arguments, "--format", "json")
    assert (outcome.status, outcome.err) == (0, "")
    return outcome.paths


@pytest.mark.parametrize("kind", [(), ("--diverse",), ("--typical",), ("--outliers",)])
def test_a_sample_is_of_the_library_and_stays_the_same(demo, kind):
    found = paths(demo, 10, *kind)
    assert len(set(found)) == 10 and {os.path.dirname(each) for each in found} == {str(PHOTOS)}
    assert paths(demo, 10, *kind) == found
    assert len(set(paths(demo, 1000, *kind))) == COUNT


def test_filters_say_which_pictures_there_are(demo):
    for kind in ((), ("--diverse",), ("--typical",), ("--outliers",)):
        found = paths(demo, 3, *kind, "--type", "png", "--type", "webp")
        assert {os.path.basename(each) for each in found} == {"baseball.png", "kingfisher.webp"}
    none = demo.call("sample", 3, "--type", "gif")
    assert (none.status, none.text) == (0, "") and "No picture passes the filter." in none.err
    wrong = demo.call("sample", 3, "--type", "word")
    assert wrong.status == 1 and "picture format" in wrong.err


def test_formats_and_folders(demo, tmp_path):
    listed = demo.call("sample", 4, "--typical", "--format", "paths").text.splitlines()
    outcome = demo.call("sample", 4, "--typical", "--link-to", tmp_path / "links")
    assert outcome.status == 0, outcome.err
    links = {os.path.realpath(tmp_path / "links" / name) for name in os.listdir(tmp_path / "links")}
    assert links == {os.path.realpath(path) for path in listed}


@full_only
def test_no_model_is_loaded(demo):
    outcome = process("--library", demo.library, "sample", 3, "--diverse", prelude=NO_TORCH)
    assert outcome.status == 0 and outcome.err.splitlines()[-1] == "loaded []"


def test_a_library_without_pictures_is_a_sentence(tmp_path):
    outcome = call("--library", tmp_path / "none", "sample", 3)
    assert outcome.status == 1 and "Traceback" not in outcome.err and "library" in outcome.err
    assert call("--library", tmp_path, "sample", 0).status == 2
