"""The same with the catalog on PostgreSQL, where the server may be killed as well.

IMGSEARCH_KILLS is the number of kills of each, 20 by default.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import needs_server
from tests.crash.process import drive
from tests.crash.test_kills import Story
from tests.postgres_server import PostgresServer

KILLS = int(os.environ.get("IMGSEARCH_KILLS") or 20)
SEED = int(os.environ.get("IMGSEARCH_KILL_SEED") or random.randrange(10**6))

pytestmark = [
    pytest.mark.slow,
    needs_server,
    pytest.mark.timeout(60 + 30 * KILLS),
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL"),
]


@pytest.fixture(scope="module")
def database_kind() -> str:
    return "postgresql"


@pytest.fixture
def story(tmp_path: Path, new_url: Callable[[], str]) -> Story:
    print(f"IMGSEARCH_KILL_SEED={SEED} IMGSEARCH_KILLS={KILLS}")
    return Story(tmp_path, SEED, "auto", new_url())


def test_no_kill_of_the_indexer_loses_or_confuses_a_picture(story: Story) -> None:
    killed = 0
    while killed < KILLS:
        killed += story.round()
    story.end()
    print(dict(story.tally))


def test_no_kill_of_the_server_loses_or_confuses_a_picture(
    story: Story, postgres: PostgresServer
) -> None:
    """The run ends with the address of the server, and the next one goes on."""
    left = 0
    for _ in range(KILLS):
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
    print(f"the server left {left} of {KILLS} runs")
    assert left
