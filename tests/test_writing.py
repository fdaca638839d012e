"""Files are written completely or not at all."""

from __future__ import annotations

import errno
import os
from typing import IO

import pytest

from imgsearch.writing import discard, replace_file, write_part


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


@pytest.mark.parametrize(("durable", "count"), [(True, 1), (False, 0)])
def test_a_durable_file_is_on_the_disk_before_it_is_renamed(tmp_path, monkeypatch, durable, count):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.path.exists(tmp_path / "f")))
    replace_file(str(tmp_path / "f"), b"data", durable=durable)
    assert synced == [False] * count
