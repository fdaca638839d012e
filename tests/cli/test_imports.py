"""The imports of commands. They determine the start-up time, whose measurements are unreliable."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from imgsearch import __version__
from tests.cli.calls import Outcome, Place, picture, process
from tests.conftest import PHOTOS, full_only

REPORT_MODULES = """
def at_end():
    import json
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
NUMBERS = {"numpy", "torch", "faiss", "scipy", "sklearn", "pandas", "datasets"}
DATABASES = {"sqlalchemy", "alembic"}
PICTURES = {"PIL", "pillow_heif", "rawpy"}
MODELS = {"transformers", "sentence_transformers", "tokenizers", "safetensors", "huggingface_hub"}
COMPILERS = {"torch._dynamo", "torch._inductor", "sympy", "triton"}


def imported(*arguments: object, **options: Any) -> tuple[Outcome, set[str]]:
    """Run a call in a separate process; returns the outcome and all imported modules."""
    outcome = process(*arguments, prelude=REPORT_MODULES, **options)
    modules = set(json.loads(outcome.err.splitlines()[-1]))
    assert "imgsearch.cli.boundary" in modules
    return outcome, modules


@pytest.mark.parametrize("command", ["--version", "--help", "search --help", "index --help"])
def test_help_imports_nothing_slow(command: str):
    outcome, modules = imported(*command.split())
    assert outcome.status == 0
    assert not modules & (NUMBERS | DATABASES | PICTURES | MODELS | {"sqlite3", "asyncio"})
    assert command != "--version" or outcome.text == f"imgsearch, version {__version__}\n"


@pytest.mark.parametrize("command", ["status", "roots", "skipped"])
def test_inspecting_a_library_needs_only_sqlite(demo: Place, command: str):
    outcome, modules = imported("--library", demo.library, command)
    assert outcome.status == 0
    assert "sqlite3" in modules
    assert not modules & (NUMBERS | DATABASES | PICTURES | MODELS)


def test_words_load_only_the_text_network(demo: Place):
    outcome, modules = imported("--library", demo.library, "search", "a", "koala", "-n", "1")
    assert outcome.status == 0 and b"koala.jpg" in outcome.out
    assert "imgsearch.encoders.builtin.text_tower" in modules
    assert "imgsearch.encoders.builtin.image_tower" not in modules
    assert not modules & ({"transformers", "sentence_transformers", "scipy", "sklearn"} | COMPILERS)


@full_only
def test_a_picture_loads_only_the_image_network(demo: Place, tmp_path):
    file = picture(tmp_path / "new.jpg", 7)
    outcome, modules = imported("--library", demo.library, "similar", file, "--all")
    assert outcome.status == 0
    assert "imgsearch.encoders.builtin.image_tower" in modules
    assert "imgsearch.encoders.builtin.text_tower" not in modules
    assert not modules & (MODELS | COMPILERS)


@full_only
def test_an_indexed_picture_needs_no_model(demo: Place):
    outcome, modules = imported("--library", demo.library, "similar", PHOTOS / "koala.jpg")
    assert outcome.status == 0
    assert not modules & (MODELS | {"torch"})
    assert "sqlalchemy.dialects.postgresql" not in modules, "the catalog is in SQLite"


@full_only
def test_duplicates_need_neither_a_model_nor_pictures_and_the_demo_photos_have_none(demo: Place):
    outcome, modules = imported("--library", demo.library, "dupes", "--level", "shots")
    assert (outcome.status, outcome.out) == (0, b"")
    assert not modules & (MODELS | {"torch", "PIL"})


@full_only
def test_indexing_with_the_built_in_model_imports_no_library_of_models(place: Place):
    outcome, modules = imported("--library", place.library, "index", place.photos, "-q")
    assert outcome.status == 0
    assert "torch" in modules
    assert not modules & ({"transformers", "sentence_transformers"} | COMPILERS)


def test_vectors_are_numpy_arrays():
    """Records are defined without NumPy, but contain its arrays."""
    from imgsearch.vectors import combine, normalize

    rows = normalize(np.array([[3.0, 4.0]]))
    assert rows.dtype == np.float32 and combine(list(rows), [1.0]).shape == (1, 2)
