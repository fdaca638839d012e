"""What a command imports: start-up time is guarded by its cause, because clocks of tests lie."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from imgsearch import __version__
from tests.cli.calls import Outcome, Place, picture, process
from tests.conftest import PHOTOS

TELL = """
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
    """A call in a process of its own, and all modules that it imported."""
    outcome = process(*arguments, prelude=TELL, **options)
    modules = set(json.loads(outcome.err.splitlines()[-1]))
    assert "imgsearch.cli.boundary" in modules
    return outcome, modules


@pytest.mark.parametrize("command", ["--version", "--help", "search --help", "index --help"])
def test_help_imports_nothing_that_takes_long(command: str):
    outcome, modules = imported(*command.split())
    assert outcome.status == 0
    assert not modules & (NUMBERS | DATABASES | PICTURES | MODELS | {"sqlite3", "asyncio"})
    assert command != "--version" or outcome.text == f"imgsearch, version {__version__}\n"


@pytest.mark.parametrize("command", ["status", "roots", "skipped"])
def test_looking_into_a_library_takes_sqlite_alone(demo: Place, command: str):
    outcome, modules = imported("--library", demo.library, command)
    assert outcome.status == 0
    assert "sqlite3" in modules
    assert not modules & (NUMBERS | DATABASES | PICTURES | MODELS)


def test_words_load_the_network_for_texts_and_no_more(demo: Place):
    outcome, modules = imported("--library", demo.library, "search", "a", "koala", "-n", "1")
    assert outcome.status == 0 and b"koala.jpg" in outcome.out
    assert "imgsearch.encoders.builtin.text_tower" in modules
    assert "imgsearch.encoders.builtin.image_tower" not in modules
    assert not modules & ({"transformers", "sentence_transformers", "scipy", "sklearn"} | COMPILERS)


def test_a_picture_loads_the_network_for_pictures_and_no_more(demo: Place, tmp_path):
    file = picture(tmp_path / "new.jpg", 7)
    outcome, modules = imported("--library", demo.library, "similar", file, "--all")
    assert outcome.status == 0
    assert "imgsearch.encoders.builtin.image_tower" in modules
    assert "imgsearch.encoders.builtin.text_tower" not in modules
    assert not modules & (MODELS | COMPILERS)


def test_an_indexed_picture_needs_no_model(demo: Place):
    outcome, modules = imported("--library", demo.library, "similar", PHOTOS / "koala.jpg")
    assert outcome.status == 0
    assert not modules & (MODELS | {"torch"})


def test_indexing_with_the_built_in_model_imports_no_library_of_models(place: Place):
    outcome, modules = imported("--library", place.library, "index", place.photos, "-q")
    assert outcome.status == 0
    assert "torch" in modules
    assert not modules & ({"transformers", "sentence_transformers"} | COMPILERS)


def test_numpy_was_not_lost_on_the_way():
    """Vectors still are what they were: records are made without NumPy, and hold its arrays."""
    from imgsearch.vectors import combine, normalize

    rows = normalize(np.array([[3.0, 4.0]]))
    assert rows.dtype == np.float32 and combine(list(rows), [1.0]).shape == (1, 2)
