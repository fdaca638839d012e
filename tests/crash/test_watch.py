"""After any history of changes and kills, `imgsearch watch` ends in the catalog of `index`."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from imgsearch.catalog import open_catalog
from imgsearch.errors import ImgSearchError
from tests.conftest import full_only
from tests.crash.album import Album, Pictures, inspect, open_index
from tests.crash.process import start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="SIGKILL"),
]
TIMEOUT_SECONDS = 60.0
COMMAND = ("watch", "--model", "cheap", "--workers", "1", "--settle", "0.2")


def watch(library: str, album: Album) -> subprocess.Popen[str]:
    return start("--library", library, *COMMAND, *album.roots)


def await_pictures(library: str, album: Album) -> None:
    """Wait until the catalog has exactly the pictures on disk, and check it."""
    until = time.monotonic() + TIMEOUT_SECONDS
    while (found := found_in(library, album)) != album.pictures():
        assert time.monotonic() < until, f"the catalog differs from the folders: {found}"
        time.sleep(0.3)


def found_in(library: str, album: Album) -> Pictures | None:
    """The pictures that a search finds; None before the first run."""
    try:
        catalog = open_catalog(library)
    except ImgSearchError:
        return None
    try:
        index = open_index(catalog)
        return inspect(catalog, index, album) if len(catalog.roots()) == 2 else None
    finally:
        catalog.close()


@full_only
def test_a_watch_ends_in_the_catalog_of_an_index(tmp_path: Path) -> None:
    album, library = Album(tmp_path, 5), str(tmp_path / "library")
    for _ in range(3):
        album.add()
    process = watch(library, album)
    try:
        await_pictures(library, album)
        for round in range(3):
            for _ in range(6):
                album.change(2)
                time.sleep(album.random.random() * 0.4)
            if round == 1:  # in the midst of a run, as likely as not
                process.kill()
                process.communicate(timeout=TIMEOUT_SECONDS)
                album.change(3)
                process = watch(library, album)
            before = album.fingerprint()
            await_pictures(library, album)
            assert album.fingerprint() == before
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    assert "Traceback" not in err and "Indexed" in out
