"""Fixtures of the command-line tests: a shared model and small libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

import imgsearch.sources.decoder_pool
import imgsearch.sources.worker_process
from imgsearch.sources.decoder_pool import InlineDecoder
from tests.cli.calls import Place, picture


@pytest.fixture(scope="session", autouse=True)
def _one_model(one_model: None) -> None:
    """All calls in this process share a model."""


@pytest.fixture(autouse=True)
def _no_decoder_processes(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Decode in this process. Tests that need real decoder processes run a separate process, or use
    the session's fixtures."""
    if "decoder_processes" not in request.fixturenames:
        monkeypatch.setattr(
            imgsearch.sources.decoder_pool,
            "ProcessDecoder",
            lambda settings, **_: InlineDecoder(settings),
        )
        monkeypatch.setattr(
            imgsearch.sources.worker_process.SpareProcesses, "start", lambda self, count: None
        )


@pytest.fixture
def decoder_processes() -> None:
    """For tests that need real decoder processes."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Four pictures that are not yet indexed."""
    for seed, name in enumerate(["a.jpg", "b.jpg", "sub/c.png", "sub/deep/d.jpg"]):
        picture(tmp_path / "photos" / name, seed)
    return Place(tmp_path / "photos", tmp_path / "library")


@pytest.fixture
def indexed(place: Place) -> Place:
    """The same pictures, indexed."""
    assert place.index()["added"] == 4
    return place
