"""What all tests share: no network, no user's settings, and a way to find ../shared."""

from __future__ import annotations

import functools
import gc
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.milvus_server import MilvusServer  # reads the environment that tests do not see

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog
    from imgsearch.library import Library
    from tests.cli.calls import Place
    from tests.postgres_server import PostgresServer

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROOT = Path(__file__).resolve().parents[1]
"""The checkout; in the full form a copy of it, in which imgsearch is not importable."""
CHECKOUT = Path(os.environ.get("IMGSEARCH_CHECKOUT", ROOT))
"""The checkout with the sources of imgsearch."""
PHOTOS = ROOT / "data" / "photos"
FULL = os.environ.get("IMGSEARCH_TEST_FULL") == "1"
"""True for `make test FULL=1`: more repetitions of the same tests."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background jobs inherit this
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: a busy machine is slow now and then.
settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("full", max_examples=50, deadline=None)
settings.load_profile("full" if FULL else "quick")


def examples(relative: int) -> int:
    """The number of Hypothesis examples for a test that has `relative` where others have 100."""
    return relative * settings.default.max_examples // 100


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers start with the slow files, so that none is left with one while the others idle."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Spare the garbage collector the modules that the tests have imported."""
    gc.collect()
    gc.freeze()


def find_shared() -> Path | None:
    """The data folder of the further test data, or None where there is none.

    It is in IMGSEARCH_SHARED, or else in ../shared beside the checkout. IMGSEARCH_REQUIRE_SHARED
    makes it an error that it is missing.
    """
    folder = Path(os.environ.get("IMGSEARCH_SHARED") or ROOT.parent / "shared") / "data"
    if folder.is_dir():
        return folder
    if os.environ.get("IMGSEARCH_REQUIRE_SHARED"):
        raise FileNotFoundError(f"IMGSEARCH_REQUIRE_SHARED is set, but {folder} is missing")
    return None


full_only = pytest.mark.skipif(not FULL, reason="only in the full form: make test FULL=1")
needs_server = pytest.mark.skipif(
    not (FULL or os.environ.get("IMGSEARCH_TEST_SERVERS")),
    reason="starts a server: make test FULL=1, or IMGSEARCH_TEST_SERVERS=1",
)
SHARED = find_shared()
needs_shared = pytest.mark.skipif(SHARED is None, reason="needs the further test data in ../shared")


@pytest.fixture(autouse=True)
def _own_world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the settings or the library of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("IMGSEARCH_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", *(f"XDG_{kind}_HOME" for kind in ("DATA", "CONFIG", "CACHE", "STATE"))):
        monkeypatch.setenv(name, str(home))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the further test data; tests that need it are skipped where there is none."""
    if SHARED is None:
        pytest.skip("needs the further test data in ../shared")
    return SHARED


DATABASES = ["sqlite", pytest.param("postgresql", marks=needs_server)]
"""The databases that can hold a catalog."""
on_both = pytest.mark.parametrize("database_kind", DATABASES, indirect=True)
"""Run a test with a catalog in each of `DATABASES`."""
sqlite_only = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
"""For a test that looks into SQLite's file, in a package whose tests run on both."""


@pytest.fixture(scope="module")
def database_kind(request: pytest.FixtureRequest) -> str:
    """What holds the catalogs of a test: one of `DATABASES`."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="module")
def new_url(request: pytest.FixtureRequest, database_kind: str) -> Iterator[Callable[[], str]]:
    """A function that returns a place for a new catalog: "" for a file, or a new database's URL."""
    if database_kind == "sqlite":
        yield str
        return
    server = request.getfixturevalue("postgres")
    names: list[str] = []

    def make() -> str:
        names.append(f"catalog_{secrets.token_hex(6)}")
        return str(server.database(names[-1]))

    yield make
    server.sql(*(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)' for name in names))


@pytest.fixture
def catalog_url(new_url: Callable[[], str]) -> str:
    """The place for the catalog of a test."""
    return new_url()


@pytest.fixture
def catalog(tmp_path: Path, catalog_url: str) -> Iterator[Catalog]:
    """An empty catalog in a folder, or a database, of its own."""
    from imgsearch.catalog import open_catalog

    catalog = open_catalog(str(tmp_path / "library"), create=True, url=catalog_url)
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
def copy_demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[], Place]:
    """A function that returns a library of the demo photos of its own.

    They are indexed once for all workers of a run, by a process with real decoder processes, and
    copied: a search writes to a library, and a server that has it open answers other searches.
    """
    from tests.cli.calls import Place, process

    folder = tmp_path_factory.mktemp("demo")
    common = (folder if worker_id == "master" else folder.parents[1]) / "demo-library"
    with FileLock(f"{common}.lock"):
        if not common.exists():
            part = common.with_name("demo-library.part")
            index = ("index", PHOTOS, "--workers", 2, "--json", "-q")
            report = process("--library", part, *index)
            assert report.status == 0, report.err
            assert report.json["added"] == len(list(PHOTOS.iterdir()))
            part.rename(common)

    def copy() -> Place:
        library = tmp_path_factory.mktemp("demo") / "library"
        shutil.copytree(common, library)
        return Place(PHOTOS, library)

    return copy


@pytest.fixture(scope="session")
def demo(copy_demo: Callable[[], Place]) -> Place:
    """The library of the demo photos, which no server has open."""
    return copy_demo()


@pytest.fixture(scope="session")
def light_library(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Four demo photos, indexed with an encoder that starts at once."""
    from tests.cli.calls import Place, process
    from tests.crash.process import environment

    folder = tmp_path_factory.mktemp("light")
    place = Place(folder / "photos", folder / "library")
    place.photos.mkdir()
    for name in ("crab.jpg", "owl.jpg", "moose.jpg", "koala.jpg"):
        shutil.copy(PHOTOS / name, place.photos)
    index = ("--library", place.library, "index", place.photos, "--model", "cheap", "-q")
    report = process(*index, env=environment())
    assert report.status == 0, report.err
    return place


@pytest.fixture
def light(light_library: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A copy of the light library, for processes in whose answers the model plays no part."""
    from tests.crash.process import environment

    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    shutil.copytree(light_library.library, tmp_path / "light")
    return replace(light_library, library=tmp_path / "light")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL with pgvector for the tests of this process."""
    from tests.postgres_server import PostgresServer

    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def milvus() -> Iterator[MilvusServer]:
    """A Milvus for the tests of this process."""
    server = MilvusServer()
    yield server
    server.close()


Opener = Callable[[Path], "Callable[[], Library]"]


@pytest.fixture
def opener() -> Opener:
    """A function that takes a folder and returns a function that opens the library in it."""
    from imgsearch.library import Library
    from imgsearch.settings import Settings

    settings = Settings(device="cpu", precision="fp32", threads=1)  # whatever the batch
    return lambda folder: lambda: Library(replace(settings, library=str(folder)))
