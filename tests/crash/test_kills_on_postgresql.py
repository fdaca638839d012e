"""The same with the catalog on PostgreSQL, where the server may be killed as well."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import needs_server
from tests.crash import SEED, SLOW_KILLS
from tests.crash.process import drive
from tests.crash.test_kills import Story
from tests.postgres_server import PostgresServer

pytestmark = [
    pytest.mark.slow,
    needs_server,
    pytest.mark.timeout(60 + 30 * SLOW_KILLS),
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL"),
]


@pytest.fixture(scope="module")
def database_kind() -> str:
    return "postgresql"


@pytest.fixture
def story(tmp_path: Path, new_url: Callable[[], str]) -> Story:
    print(f"IMGSEARCH_KILL_SEED={SEED} {SLOW_KILLS} kills")
    return Story(tmp_path, SEED, "auto", new_url())


def test_no_kill_of_the_indexer_loses_or_confuses_a_picture(story: Story) -> None:
    killed = 0
    while killed < SLOW_KILLS:
        killed += story.round()
    story.end()
    print(dict(story.tally))


def test_no_kill_of_the_server_loses_or_confuses_a_picture(
    story: Story, postgres: PostgresServer
) -> None:
    """The run ends with the address of the server, and the next one goes on."""
    left = 0
    for _ in range(SLOW_KILLS):
        story.album.change(story.random.randrange(1, 10))
        timer = threading.Timer(story.random.uniform(0.8, 2.5), postgres.kill)
        command = ["index", "--library", story.library, "--model", "cheap", "--batch-size", "1"]
        timer.start()
        exit = drive([*command, *story.album.roots], DRIVER_FLUSH="1", **story._environment())
        timer.join()
        postgres.start()
        assert exit.status in (0, 1) and "Traceback" not in exit.stdout, exit.stdout
        if exit.status == 1:
            assert "postgresql://owner@127.0.0.1" in exit.stdout, exit.stdout
            left += 1
        story._check(exit)
    story.end()
    print(f"the server left {left} of {SLOW_KILLS} runs")
    assert left or SLOW_KILLS < 20
