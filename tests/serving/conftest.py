"""What the tests of a library that stays open share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _one_model(one_model: None) -> None:
    """All libraries in this process share a model."""
