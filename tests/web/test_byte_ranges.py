"""Entity tags of files."""

from __future__ import annotations

import os
from pathlib import Path

from imgsearch.web.byte_ranges import tag_of


def test_a_written_or_replaced_file_has_a_new_tag(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"first")
    first = os.stat(path)
    assert tag_of(first) == tag_of(os.stat(path))
    other = tmp_path / "b.jpg"
    other.write_bytes(b"other")
    os.utime(other, ns=(first.st_atime_ns, first.st_mtime_ns))
    assert tag_of(os.stat(other)) != tag_of(first)  # same size and time
    os.utime(path, ns=(0, first.st_mtime_ns + 1))
    assert tag_of(os.stat(path)) != tag_of(first)
