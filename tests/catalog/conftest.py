"""Tests of the catalog run with each of the databases that may hold one."""

from __future__ import annotations

import pytest

from tests.conftest import DATABASES


@pytest.fixture(params=DATABASES, scope="module")
def database_kind(request: pytest.FixtureRequest) -> str:
    """What holds the catalogs of a test."""
    return str(request.param)
