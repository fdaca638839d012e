"""Pictures as tables, data frames and arrays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imgsearch.catalog import Catalog
from imgsearch.exchange.columns import data_frame, table
from imgsearch.exchange.vector_map import vector_map
from imgsearch.vectors import normalize
from tests.conftest import ROOT
from tests.exchange.libraries import add, library, picture, stored
from tests.fakes import DIMENSION, OTHER, SPACE


@pytest.fixture
def three(tmp_path: Path):
    """Two pictures with a vector, and between them one that has none in their space."""
    with library(tmp_path / "library", picture("a.jpg", "a", keywords=("x",))) as catalog:
        add(catalog, picture("b.jpg", "b"), space=OTHER)
        add(catalog, picture("c.jpg", "c"))
        yield catalog


def unit(catalog: Catalog) -> np.ndarray:
    rows = [np.frombuffer(vector, "<f2") for _, _, vector in stored(catalog.folder)]
    return normalize(np.array(rows))


def test_a_picture_without_a_vector_has_a_null(three: Catalog) -> None:
    whole = table(three, three.all_ids(), SPACE)
    assert whole["path"].to_pylist() == ["/photos/a.jpg", "/photos/b.jpg", "/photos/c.jpg"]
    first, none, last = whole["vector"].to_pylist()
    assert none is None
    assert np.array_equal(np.array([first, last], np.float32), unit(three))
    frame = data_frame(whole)
    assert list(frame["keywords"][0]) == ["x"] and frame["vector"].isna().tolist() == [0, 1, 0]


def test_the_columns_without_vectors_and_of_nothing(three: Catalog) -> None:
    assert "vector" not in table(three, three.all_ids(), None).column_names
    nothing = table(three, np.empty(0, np.int64), SPACE)
    assert len(nothing) == 0 and nothing.schema == table(three, three.all_ids(), SPACE).schema


def test_vectors_are_mapped_and_read_only(three: Catalog) -> None:
    ids, vectors = vector_map(three, SPACE, three.all_ids())
    assert ids.tolist() == [1, 3] and isinstance(vectors, np.memmap)
    assert np.array_equal(vectors, unit(three))
    with pytest.raises(ValueError, match="read-only"):
        vectors[0] = 0
    assert not [name for name in os.listdir(three.folder) if name.startswith("tmp")]
    none, empty = vector_map(three, SPACE, np.array([2]))
    assert (len(none), empty.shape) == (0, (0, DIMENSION))


FULL = """
import resource, signal, sys
from imgsearch.catalog import open_catalog
from imgsearch.exchange.vector_map import vector_map
from imgsearch.errors import ExchangeError
from tests.fakes import SPACE
catalog = open_catalog(sys.argv[1])
ids = catalog.all_ids()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40, resource.RLIM_INFINITY))
try:
    vector_map(catalog, SPACE, ids)
except ExchangeError as error:
    print(error)
"""


def test_a_full_disk_is_a_sentence(three: Catalog) -> None:
    command = [sys.executable, "-c", FULL, three.folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "temporary file: File too large" in done.stdout
