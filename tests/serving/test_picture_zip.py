"""Several pictures as one ZIP file."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from imgsearch.records import ImageFile, ImageMetadata, ImageRecord
from imgsearch.serving.gallery import Located
from imgsearch.serving.picture_zip import LEFT_OUT, picture_zip


def located(root: Path, *names: str) -> list[Located]:
    metadata = ImageMetadata(1, 1, "JPEG")
    files = [ImageFile(str(root), name, 1, 1) for name in names]
    records = [ImageRecord(key, file, "0" * 32, metadata) for key, file in enumerate(files, 1)]
    return [Located(record, (str(root),)) for record in records]


def unpacked(images: list[Located]) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(b"".join(picture_zip(images))))
    assert archive.testzip() is None
    return archive


def test_files_are_packed_as_they_are_under_names_of_their_own(tmp_path: Path) -> None:
    names = ("a/x.jpg", "b/X.jpg", "b/ä\n:1.jpg", os.fsdecode(b"b/\xff.jpg"), "b/not included.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode("utf-8", "surrogateescape") * 1000)
    os.utime(tmp_path / "a/x.jpg", (0, 0))
    with unpacked(located(tmp_path, *names)) as archive:
        assert archive.namelist() == [
            "x.jpg", "X (2).jpg", "ä__1.jpg", "\ufffd.jpg", "not included (2).txt"
        ]  # fmt: skip
        for entry, name in zip(archive.infolist(), names, strict=True):
            assert archive.read(entry) == (tmp_path / name).read_bytes()
            assert entry.compress_type == zipfile.ZIP_STORED
        assert archive.getinfo("x.jpg").date_time == (1980, 1, 1, 0, 0, 0)


def test_what_cannot_be_read_or_lies_outside_is_left_out_and_named(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (inside / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (inside / "good.jpg").write_bytes(b"good")
    with unpacked(located(inside, "gone.jpg", "link.jpg", "good.jpg")) as archive:
        assert archive.namelist() == ["good.jpg", LEFT_OUT]
        lines = archive.read(LEFT_OUT).decode().splitlines()
        assert len(lines) == 2 and all("cannot be shown" in line for line in lines)


def test_a_file_that_ends_early_is_cut_off_and_named(tmp_path: Path) -> None:
    """By then, its first part has been sent."""
    (tmp_path / "big.jpg").write_bytes(b"x" * (3 << 20))
    (tmp_path / "good.jpg").write_bytes(b"good")
    pieces = picture_zip(located(tmp_path, "big.jpg", "good.jpg"))
    data = next(pieces)
    os.truncate(tmp_path / "big.jpg", 1 << 20)
    with zipfile.ZipFile(io.BytesIO(data + b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert archive.getinfo("big.jpg").file_size == 1 << 20
        assert archive.read("good.jpg") == b"good"
        (line,) = archive.read(LEFT_OUT).decode().splitlines()
        assert line == f"{tmp_path}/big.jpg: its last 2,097,152 bytes could not be read"


def test_a_download_that_is_given_up_closes_its_files(tmp_path: Path) -> None:
    (tmp_path / "big.jpg").write_bytes(b"x" * (3 << 20))
    before = len(os.listdir("/proc/self/fd"))
    pieces = picture_zip(located(tmp_path, "big.jpg"))
    next(pieces)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    pieces.close()
    assert len(os.listdir("/proc/self/fd")) == before
