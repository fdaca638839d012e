"""A server that can open no more files says so, and recovers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.calls import Place
from tests.conftest import full_only
from tests.web.server_process import API, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit and /proc"),
]


@contextmanager
def free_descriptors(pid: int, count: int) -> Iterator[None]:
    """Let another process open only `count` more files."""
    import resource

    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = [number for number in range(max(taken) + 20) if number not in taken]
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[count], hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


@full_only
def test_it_is_named_and_passes(demo: Place) -> None:
    with serving(demo.library, "--rate", 100_000) as server:
        hit = server.get("/search", q="a crab")["hits"][0]  # loads the model
        paths = (f"{API}/original/{hit['id']}", hit["thumb"], f"{API}/search?q=a+crab")
        statuses = set()
        # The connection takes one. With no other, it may not even be accepted until there is room.
        for count in (2, 3, 4):
            for path in paths:
                with free_descriptors(server.process.pid, count):
                    reply = server.ask(path)
                statuses.add((path, reply.status))
                if reply.status != 200:
                    assert reply.status == 503, reply.body
                    assert reply.json["detail"] == "too many open files"
                    assert "ulimit -n" in reply.json["hint"]
        assert (paths[0], 503) in statuses
        for path in paths:
            assert server.ask(path).status == 200, path
