"""The public Python API: one list, importable, documented, and as docs/PYTHON.md shows it."""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import imgsearch
from tests.conftest import PHOTOS, ROOT

NAMES = [
    "Hit",
    "ImageRecord",
    "ImgSearchError",
    "IndexRequest",
    "IngestReport",
    "Library",
    "LibraryMissing",
    "QueryError",
    "SearchRequest",
    "SearchResult",
    "Term",
    "hit_to_plain",
    "open_library",
    "parse_filter",
]


def test_the_list_is_this_one():
    assert imgsearch.__all__ == NAMES, "a change here is one for users: CHANGELOG, docs/PYTHON.md"


@pytest.mark.parametrize("name", NAMES)
def test_each_name_can_be_imported_and_is_documented(name):
    value = getattr(imgsearch, name)
    assert inspect.getdoc(value)
    assert f"`{name}" in (ROOT / "docs" / "PYTHON.md").read_text(encoding="utf-8")
    module = importlib.import_module(value.__module__)
    assert module.__name__.startswith("imgsearch.")


def test_there_is_no_other_name():
    with pytest.raises(AttributeError, match="no attribute 'Searcher'"):
        _ = imgsearch.Searcher


def test_importing_the_package_loads_nothing():
    code = "import sys, imgsearch; print([m for m in sys.modules if m.startswith('imgsearch.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_tour_gives_what_it_says(one_model, tmp_path, monkeypatch):
    """docs/PYTHON.md, typed into Python from the folder of a checkout."""
    work = tmp_path / "checkout"
    (work / "data").mkdir(parents=True)
    (work / "data" / "photos").symlink_to(PHOTOS)
    monkeypatch.chdir(work)
    page = ROOT / "docs" / "PYTHON.md"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testfile(str(Path(page)), module_relative=False, optionflags=flags)
    assert tried > 10 and not failed


def test_the_reference_is_made_from_the_docstrings():
    from tools.python_reference import updated

    page = (ROOT / "docs" / "PYTHON.md").read_text(encoding="utf-8")
    assert updated(page) == page, "run: make docs"
