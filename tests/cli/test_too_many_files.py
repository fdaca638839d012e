"""A process that can open no more files says so, and how to raise the limit."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import PHOTOS, full_only
from tests.crash.process import environment, imgsearch

LIMITED = """
import os, resource, sys
import imgsearch.cli.boundary, imgsearch.cli.status, imgsearch.cli.search, imgsearch.cli.index
from imgsearch.cli import main
import sqlalchemy.dialects.sqlite, numpy, imgsearch.library, imgsearch.indexing.indexer
import multiprocessing.popen_spawn_posix, imgsearch.sources.decoder_pool
import imgsearch.searching.history
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for descriptor in taken[:int(sys.argv.pop(1))]:
    os.close(descriptor)
main()
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="RLIMIT_NOFILE")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("limited")
    (place / "pictures").mkdir()
    (place / "pictures" / "a.jpg").write_bytes((PHOTOS / "crab.jpg").read_bytes())
    library = str(place / "library")
    made = imgsearch("--library", library, "index", "--model", "cheap", str(place / "pictures"))
    assert made.returncode == 0, made.stderr
    return library


@full_only
@pytest.mark.parametrize(
    "command, free", [("status", 0), ("status", 1), ("search", 1), ("search", 3), ("index", 2)]
)
def test_it_is_named(library: str, command: str, free: int) -> None:
    arguments = ["search", "--all", "x"] if command == "search" else [command]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(free), "--library", library, *arguments],
        env=environment(), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode:
        assert "too many open files" in done.stderr.lower(), done.stderr
        assert "ulimit -n" in done.stderr, done.stderr
    assert done.returncode or free, "no file could be opened"
