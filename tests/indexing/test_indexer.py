"""A first run starts the decoders before the model, and ends those that it did not need."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.settings import Settings
from tests.crash.album import Album
from tests.crash.process import PLUGIN


def decoding() -> int:
    """Number of child processes that were spawned."""
    children = psutil.Process().children()
    return sum("spawn_main" in " ".join(each.cmdline()) for each in children)


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Album:
    monkeypatch.syspath_prepend(str(PLUGIN))
    return Album(tmp_path, 5)


def test_the_decoders_of_a_new_library_start_before_its_model(
    tmp_path: Path, album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cheap_encoder

    before, during, load = decoding(), [], cheap_encoder.load

    def watched(name, options):
        wait = time.monotonic() + 20
        while decoding() < before + 2 and time.monotonic() < wait:
            time.sleep(0.02)
        during.append(decoding() - before)
        return load(name, options)

    monkeypatch.setattr(cheap_encoder, "load", watched)
    library = Library(Settings(library=str(tmp_path / "lib"), model="cheap", workers=2))
    report = library.index(IndexRequest(tuple(album.roots)))
    assert report.added == 2 and during[0] == 2
    assert decoding() == before
    library.index(IndexRequest(tuple(album.roots)))
    assert decoding() == before
    library.close()


def test_a_run_that_fails_before_the_scan_leaves_no_process(
    tmp_path: Path, album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cheap_encoder

    def broken(name, options):
        raise RuntimeError("no weights")

    monkeypatch.setattr(cheap_encoder, "load", broken)
    before = decoding()
    library = Library(Settings(library=str(tmp_path / "lib"), model="cheap", workers=2))
    with pytest.raises(Exception, match="no weights"):
        library.index(IndexRequest(tuple(album.roots)))
    library.close()
    assert decoding() == before
