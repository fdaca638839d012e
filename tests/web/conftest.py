"""Shared fixtures: a server of the demo photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cli.calls import Place
from tests.web.server_process import Served, serving


@pytest.fixture(scope="session", autouse=True)
def _one_model(one_model: None) -> None:
    """All libraries in this process share a model."""


@pytest.fixture(scope="session")
def demo(copy_demo: Callable[[], Place]) -> Place:
    """The library of the demo photos that `server` has open."""
    return copy_demo()


@pytest.fixture(scope="session")
def server(demo: Place) -> Iterator[Served]:
    """A server of the demo photos with a high rate limit."""
    with serving(demo.library, "--rate", 100_000) as served:
        yield served
