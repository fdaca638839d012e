"""Files are written completely or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import IO

import pytest

from imgsearch.records import ImageFile, Thumbnail
from imgsearch.serving.thumbnail_cache import ThumbnailCache
from imgsearch.web.tokens import new_token
from imgsearch.writing import close_to_others, discard, private_folder, replace_file, write_part
from tests.cli.calls import Outcome, process
from tests.conftest import PHOTOS, full_only
from tests.crash.process import environment


def mode(path) -> int:
    return os.stat(path).st_mode & 0o777


def test_an_existing_file_is_replaced_atomically(tmp_path):
    target = tmp_path / "page.html"
    target.write_text("before")
    os.chmod(target, 0o600)
    with open(target, "rb") as before:
        replace_file(str(target), b"after")
        assert before.read() == b"before", "an open reader keeps the old content"
    assert target.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["page.html"]
    plain = tmp_path / "plain"
    plain.touch()
    assert mode(target) == mode(plain), "the umask applies"
    replace_file(str(target), b"secret", private=True, durable=False)
    assert mode(target) == 0o600


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "file")
    replace_file(str(link), b"data")
    assert link.is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"data"
    assert os.listdir(tmp_path / "there") == ["file"]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    target = tmp_path / "file"
    target.write_text("before")

    def full(file: IO[bytes]) -> None:
        file.write(b"da")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_part(str(tmp_path), full)
    monkeypatch.setattr(os, "replace", lambda *_: full(open(os.devnull, "wb")))  # noqa: SIM115
    with pytest.raises(OSError, match="No space"):
        replace_file(str(target), b"after")
    assert os.listdir(tmp_path) == ["file"] and target.read_text() == "before"
    with pytest.raises(OSError, match="No such file"):
        replace_file(str(tmp_path / "nowhere" / "file"), b"data")


def test_a_part_file_is_hidden_and_private(tmp_path):
    name = write_part(str(tmp_path), lambda file: file.write(b"data"))
    assert os.path.dirname(name) == str(tmp_path)
    assert os.path.basename(name).startswith(".imgsearch-") and name.endswith(".part")
    assert mode(name) == 0o600
    discard(name)
    discard(name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("durable", "count"), [(True, 2), (False, 0)])
def test_a_durable_file_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch, durable, count):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.path.exists(tmp_path / "f")))
    replace_file(str(tmp_path / "f"), b"data", durable=durable)
    assert synced == [False, True][:count], "the content before the new name, the name after it"


# Files of a library


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def rights(folder: Path) -> dict[str, int]:
    """The rights of a folder and everything in it."""
    paths = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder)): mode(path) for path in paths}


def index(library: Path, photos: Path, umask: int) -> Outcome:
    """Index with the encoder that starts at once, and search."""
    prelude = f"import os; os.umask({umask})"
    call = ("--library", library, "index", photos, "--model", "cheap")
    report = process(*call, env=environment(), prelude=prelude)
    assert report.status == 0, report.err
    found = process("--library", library, "search", "crab", env=environment(), prelude=prelude)
    assert found.status == 0, found.err
    return report


@full_only
@pytest.mark.parametrize("existing", [None, 0o755])
def test_a_library_is_its_owners_alone_whatever_the_umask(tmp_path, existing):
    photos, library = tmp_path / "photos", tmp_path / "library"
    photos.mkdir()
    shutil.copy(PHOTOS / "crab.jpg", photos)
    if existing is not None:
        library.mkdir()
        library.chmod(existing)
    report = index(library, photos, 0o000)
    assert ("now only you can" in report.err) is (existing is not None)
    assert {"catalog.sqlite", "index", "last-search.json", "writer.lock"} <= set(rights(library))
    assert {name: oct(each) for name, each in rights(library).items() if each & 0o077} == {}
    assert mode(photos / "crab.jpg") & 0o077, "pictures stay as they are"


def test_an_open_library_is_closed_and_a_shared_one_stays_shared(tmp_path, open_umask):
    library = tmp_path / "library"
    (library / "index").mkdir(parents=True)
    (library / "catalog.sqlite").touch()
    os.symlink("/etc/hostname", library / "link")
    before = mode(Path("/etc/hostname"))
    assert "now only you can" in close_to_others(str(library))
    assert set(rights(library).values()) <= {0o600, 0o700, 0o777 & before, before}
    assert [mode(library / name) for name in ("", "index", "catalog.sqlite")] == [
        0o700, 0o700, 0o600,
    ]  # fmt: skip
    assert mode(Path("/etc/hostname")) == before
    assert close_to_others(str(library)) == "", "the note comes once"
    library.chmod(0o2775)
    assert close_to_others(str(library)) != "", "others than the group are kept out"
    assert os.stat(library).st_mode & 0o7777 == 0o2770
    private_folder(str(library / "thumbnails" / "ab"))
    replace_file(str(library / "thumbnails" / "ab" / "x"), b"x", private=True)
    assert os.stat(library / "thumbnails" / "ab").st_mode & 0o7777 == 0o2770
    assert mode(library / "thumbnails" / "ab" / "x") == 0o660
    assert close_to_others(str(library)) == ""


def test_thumbnails_and_the_token_are_the_owners_alone(tmp_path, open_umask):
    library = tmp_path / "data" / "library"
    new_token(str(library))
    thumbnail = Thumbnail(ImageFile("/photos", "a.jpg", 1, 1), 1, 1, b"x", "aa11")
    ThumbnailCache(str(library), 1000).put(thumbnail, 256, "WEBP")
    found = rights(tmp_path / "data")
    assert len(found) == 6
    assert set(found.values()) == {0o600, 0o700}
