"""What the tests of the server share: the demo photos, indexed once in a process of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgsearch.encoders import builtin
from imgsearch.library import Library
from imgsearch.settings import Settings
from tests.cli.calls import Place, process
from tests.conftest import PHOTOS
from tests.web.served import Served, serving


@pytest.fixture(scope="session", autouse=True)
def _one_model() -> Iterator[None]:
    """Load the built-in model once for all libraries in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtin, "load", functools.cache(builtin.load))
        yield


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The demo photos, indexed with the built-in model. Only to be read."""
    place = Place(PHOTOS, tmp_path_factory.mktemp("served") / "library")
    found = process("--library", place.library, "index", PHOTOS, "--workers", 2, "-q")
    assert found.status == 0, found.err
    return place


Opener = Callable[[Path], Callable[[], Library]]


@pytest.fixture
def opener() -> Opener:
    """Gives a function that opens the library in a folder."""
    return lambda folder: lambda: Library(Settings(library=str(folder), device="cpu", threads=1))


@pytest.fixture(scope="session")
def server(demo: Place) -> Iterator[Served]:
    """A server of the demo photos, which asks for little patience of its clients."""
    with serving(demo.library, "--rate", 100_000) as served:
        yield served
