"""The public Python API: one list, importable, documented, and as docs/PYTHON.md shows it."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
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


def functions():
    """Names and functions of the API: those of the list, and the methods of its classes."""
    for name in NAMES:
        value = getattr(imgsearch, name)
        if not inspect.isclass(value):
            yield name, value
        elif not issubclass(value, Exception):
            for member, function in vars(value).items():
                if inspect.isfunction(function) and not member.startswith("_"):
                    yield f"{name}.{member}", function


def sections(value) -> dict[str, str]:
    """The sections of a docstring in numpydoc form, by heading."""
    parts = re.split(r"^(\w[\w ]+)\n-{3,}\n", inspect.getdoc(value) or "", flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def names_in(section: str) -> set[str]:
    """The names that a section describes: "ids, scores : ndarray", "**options"."""
    heads = re.findall(r"^(\S[^:\n]*?)(?: :.*)?$", section, flags=re.MULTILINE)
    return {name.strip("* ") for head in heads for name in head.split(",")}


@pytest.mark.parametrize(
    ("name", "function"), [pytest.param(*each, id=each[0]) for each in functions()]
)
def test_parameters_and_results_are_documented(name, function):
    found, signature = sections(function), inspect.signature(function)
    parameters = set(signature.parameters) - {"self"}
    assert names_in(found.get("Parameters", "")) == parameters
    if signature.return_annotation not in ("None", "Self"):
        assert {"Returns", "Yields"} & set(found)


@pytest.mark.parametrize("name", [name for name in NAMES if is_dataclass(getattr(imgsearch, name))])
def test_each_field_is_documented(name):
    value = getattr(imgsearch, name)
    expected = {field.name for field in fields(value)}
    assert expected <= names_in(sections(value)["Attributes"])


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
