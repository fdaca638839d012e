"""The drawing in docs/ARCHITECTURE.md is that of the code."""

from __future__ import annotations

import importlib.util

import pytest

from tests.conftest import CHECKOUT

SCRIPT = CHECKOUT / "tools" / "architecture.py"
PAGE = CHECKOUT / "docs" / "ARCHITECTURE.md"


@pytest.fixture(scope="module")
def architecture():
    if not SCRIPT.exists():
        pytest.skip("only in a checkout: tools/architecture.py is not here")
    spec = importlib.util.spec_from_file_location("architecture", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_code_as_it_is(architecture):
    page = PAGE.read_text(encoding="utf-8")
    assert page == architecture.updated(page), "out of date: run 'make docs'"


@pytest.fixture
def small(tmp_path):
    """Three rooms: cli -> catalog -> errors, cli -> errors, and errors -> catalog upwards."""
    files = {
        "__init__.py": '"""The package."""\n',
        "cli/__init__.py": '"""Commands | exits."""\nfrom imgsearch import errors\n',
        "cli/search.py": "def command():\n    from imgsearch.catalog.store import Store\n",
        "catalog/__init__.py": '"""The truth."""\nfrom imgsearch.errors import Fault\n',
        "errors.py": (
            '"""Faults."""\nfrom typing import TYPE_CHECKING\n'
            "if TYPE_CHECKING:\n    from imgsearch.cli import group\n"
            "import imgsearch.catalog.tables\n"
        ),
    }
    for name, text in files.items():
        path = tmp_path / "imgsearch" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_arrows_are_imports(architecture, small):
    assert architecture.imports(small) == {
        "cli": {"catalog": {"catalog.store"}, "errors": {"errors"}},
        "catalog": {"errors": {"errors"}},
        "errors": {"catalog": {"catalog.tables"}},
    }


def test_an_arrow_that_follows_from_others_is_left_out_and_one_upwards_is_dotted(
    architecture, small
):
    text = architecture.drawing(small)
    assert "  cli --> catalog\n" in text
    assert "  catalog --> errors\n" in text
    assert "cli --> errors" not in text
    assert '  errors -.->|"catalog.tables"| catalog\n' in text


def test_the_table_names_each_room_with_its_summary(architecture, small):
    text = architecture.drawing(small)
    assert "| `cli/` | Commands \\| exits | `catalog`, `errors` |\n" in text
    assert "| `errors.py` | Faults | `catalog` |\n" in text


def test_a_page_without_marks_is_refused(architecture):
    with pytest.raises(ValueError, match="needs the lines"):
        architecture.updated("# Architecture\n")
