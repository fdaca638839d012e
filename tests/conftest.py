"""What all tests share: no network, no user's settings, and a way to find ../shared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from imgsearch.catalog import SqlCatalog

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
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    """An empty catalog in a folder of its own."""
    from imgsearch.catalog import open_catalog

    catalog = open_catalog(str(tmp_path / "library"), create=True)
    yield catalog
    catalog.close()
