"""Folders of uploads are removed with their owners, and by the next one where that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from imgsearch.serving.upload_folder import PREFIX, UploadFolder, remove_forgotten

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")

_OWNER = """
import sys
from imgsearch.serving.upload_folder import UploadFolder
folder = UploadFolder()
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_of_a_killed_process_is_removed_and_no_other(temporary: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", _OWNER], env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with other:
        assert other.stdin is not None and other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        assert theirs.parent == temporary
        (theirs / "upload.jpg").write_bytes(b"half of a pict")
        own = UploadFolder()
        assert remove_forgotten() == 0
        assert theirs.exists() and Path(own.path).exists()
        other.send_signal(signal.SIGKILL)
        other.wait(60)
        assert theirs.exists()
        assert remove_forgotten() == 1
        assert not theirs.exists() and Path(own.path).exists()
        own.close()
    assert list(temporary.iterdir()) == []


def test_links_files_and_folders_of_others_stay(temporary: Path) -> None:
    kept = temporary / "kept"
    kept.mkdir()
    (kept / "a.jpg").write_bytes(b"a picture")
    (temporary / f"{PREFIX}link").symlink_to(kept)
    (temporary / f"{PREFIX}file").write_bytes(b"")
    (temporary / "imgsearch-other").mkdir()
    before = sorted(temporary.rglob("*"))
    assert remove_forgotten() == 0
    assert sorted(temporary.rglob("*")) == before
    if os.geteuid() == 0:
        strange = temporary / f"{PREFIX}strange"
        strange.mkdir()
        os.chown(strange, 12345, 12345)
        assert remove_forgotten() == 0
        assert strange.exists()
