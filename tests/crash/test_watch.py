"""After any history of changes and kills, `imgsearch watch` ends in the catalog of `index`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from imgsearch.catalog import open_catalog
from imgsearch.errors import ImgSearchError
from tests.cli.calls import picture
from tests.conftest import examples, full_only
from tests.crash.album import Album, Pictures, inspect, open_index
from tests.crash.plugin.cheap_encoder import SPACE
from tests.crash.process import imgsearch, start
from tests.fakes import held

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


FILES = ["a.jpg", "b.png", "in/a.jpg", "in/deep/c.jpg", "out/a.jpg"]
FOLDERS = ["in", "in/deep", "out", "new"]
files, folders = st.sampled_from(FILES), st.sampled_from(FOLDERS)
EVENTS = st.one_of(
    st.tuples(st.just("write"), files, st.integers(0, 9)),
    st.tuples(st.just("break"), files),
    st.tuples(st.sampled_from(["move", "copy", "swap"]), files, files),
    st.tuples(st.sampled_from(["delete", "touch"]), files),
    st.tuples(st.just("move"), folders, folders),
    st.tuples(st.just("delete"), folders),
    st.tuples(st.just("pause"), st.sampled_from([0.1, 0.4])),
)


def happen(root: Path, name: str, *what: str | float) -> None:
    """One event; those that the file system refuses do not happen."""
    if name == "pause":
        time.sleep(float(what[0]))
        return
    path = root / str(what[0])
    with suppress(OSError):
        if name == "write":
            picture(path, int(what[1]))
        elif name == "break":
            path.write_bytes(b"broken")
        elif name == "touch":
            os.utime(path)
        elif name == "delete":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        else:
            other = root / str(what[1])
            if name == "copy":
                shutil.copy2(path, other)
            elif name == "move":
                os.replace(path, other)
            elif other.is_file():
                os.replace(path, root / "swapped")
                os.replace(other, path)
                os.replace(root / "swapped", other)


def contents(library: Path) -> tuple[dict[str, bytes], dict[str, str]] | None:
    """Vectors of the pictures that can be searched, and reasons of the skipped files, by path; None
    before the first run."""
    try:
        catalog = open_catalog(str(library))
    except ImgSearchError:
        return None
    with closing(catalog):
        vectors = {path: each.tobytes() for path, each in held(catalog, SPACE).items()}
        return vectors, {each.file.absolute: each.reason for each in catalog.skipped()}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a picture that stays, beside "library", which a running watch keeps."""
    place = tmp_path_factory.mktemp("watched")
    picture(place / "photos" / "stays.jpg", 100)
    process = start("--library", str(place / "library"), *COMMAND, str(place / "photos"))
    try:
        yield place
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0 and "Traceback" not in err, err


@full_only
@settings(
    max_examples=examples(5),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # another run begins with other files
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(EVENTS, min_size=3, max_size=15))
def test_a_watch_and_an_index_end_in_the_same_catalog(watched: Path, history: list) -> None:
    """After any history, which begins where the one before has ended."""
    for event in history:
        happen(watched / "photos", *event)
    command = ("index", "--model", "cheap", "--workers", "1", "-q", str(watched / "photos"))
    done = imgsearch("--library", str(watched / "indexed"), *command)
    assert done.returncode in (0, 1), done.stderr
    expected = contents(watched / "indexed")
    until = time.monotonic() + TIMEOUT_SECONDS
    while (found := contents(watched / "library")) != expected and time.monotonic() < until:
        time.sleep(0.2)
    assert found == expected
