"""What all tests share: no network, no user's settings, and a way to find ../shared."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog
    from imgsearch.library import Library
    from tests.cli.calls import Place

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ROOT / "data" / "photos"


@pytest.fixture(autouse=True)
def _own_world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the settings or the library of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("IMGSEARCH_")]:
        if name != "IMGSEARCH_REQUIRE_SHARED":
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of further test data beside the checkout; tests that need it skip without."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        if os.environ.get("IMGSEARCH_REQUIRE_SHARED"):
            pytest.fail(f"{folder} has to be there")
        pytest.skip("the further test data in ../shared is not there")
    return folder / "data"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """An empty catalog in a folder of its own."""
    from imgsearch.catalog import open_catalog

    catalog = open_catalog(str(tmp_path / "library"), create=True)
    yield catalog
    catalog.close()


@pytest.fixture(scope="session")
def one_model() -> Iterator[None]:
    """Load the built-in model once for all libraries and calls in this process."""
    from imgsearch.encoders import builtin

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtin, "load", functools.cache(builtin.load))
        yield


@pytest.fixture(scope="session")
def demo_library(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Place:
    """The demo photos, indexed by a process of its own with real decoder processes.

    Indexed once for all workers of a run; each has a copy, because a search writes there, too.
    """
    from tests.cli.calls import Place, process

    mine = tmp_path_factory.mktemp("demo")
    common = (mine if worker_id == "master" else mine.parents[1]) / "demo-library"
    with FileLock(f"{common}.lock"):
        if not common.exists():
            made = common.with_name("demo-library.part")
            index = ("index", PHOTOS, "--workers", 2, "--json", "-q")
            report = process("--library", made, *index)
            assert report.status == 0, report.err
            assert report.json["added"] == len(list(PHOTOS.iterdir()))
            made.rename(common)
    shutil.copytree(common, mine / "library")
    return Place(PHOTOS, mine / "library")


@pytest.fixture(scope="session")
def demo(demo_library: Place) -> Place:
    """The library of the demo photos."""
    return demo_library


Opener = Callable[[Path], "Callable[[], Library]"]


@pytest.fixture
def opener() -> Opener:
    """A function that takes a folder and returns a function that opens the library in it."""
    from imgsearch.library import Library
    from imgsearch.settings import Settings

    settings = Settings(device="cpu", precision="fp32", threads=1)  # whatever the batch
    return lambda folder: lambda: Library(replace(settings, library=str(folder)))
