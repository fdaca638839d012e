"""A file of the same size and time with other content is found; one with the same content is not
encoded again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import xxhash
from PIL import Image
from PIL.ExifTags import IFD, Base
from sqlalchemy import text

from imgsearch.catalog import Catalog
from imgsearch.sources import filesystems, tree_walk
from tests.crash.plugin.cheap_encoder import CheapEncoder
from tests.fakes import rehearsed
from tests.indexing.real_files import CountingSource, Photos, picture

TIME = 1_577_836_800


@pytest.fixture
def photos(catalog: Catalog, tmp_path: Path) -> Photos:
    """Three pictures of one size and time."""
    photos = Photos(catalog, tmp_path / "photos")
    for seed, name in enumerate(("1.bmp", "2.bmp", "sub/3.bmp")):
        path = picture(photos.roots[0] / name, seed)
        os.utime(path, (TIME, TIME))
    assert photos.index().added == 3
    return photos


def assert_true_to_the_files(photos: Photos) -> None:
    """Hash, size, time, ctime and inode of each row are those of its file; nothing is left."""
    [root] = photos.roots
    for path in root.rglob("*.bmp"):
        record, status = photos.record(path), path.stat()
        assert record.content_hash == xxhash.xxh3_128_hexdigest(path.read_bytes())
        assert (record.file.size, record.file.mtime_ns) == (status.st_size, status.st_mtime_ns)
        assert stored(photos, path) == (status.st_ctime_ns, status.st_ino)
    report = photos.index()
    assert report.unchanged == report.scanned and not photos.hashed


def stored(photos: Photos, path: Path) -> tuple[int, int]:
    query = text("SELECT ctime_ns, inode FROM images WHERE path = :path AND status = 'present'")
    with photos.catalog._read() as connection:
        below = path.relative_to(photos.roots[0]).as_posix()
        return tuple(connection.execute(query, {"path": below}).one())


def test_two_pictures_that_swap_their_names(photos: Photos) -> None:
    root, before = photos.roots[0], photos.vectors()
    (root / "1.bmp").rename(root / "t")
    (root / "2.bmp").rename(root / "1.bmp")
    (root / "t").rename(root / "2.bmp")
    report = photos.index()
    assert (report.updated, report.unchanged, report.differed) == (2, 1, 2)
    after = photos.vectors()
    one, two = str(root / "1.bmp"), str(root / "2.bmp")
    assert (after[one], after[two]) == (before[two], before[one])
    assert_true_to_the_files(photos)


def test_a_file_replaced_by_one_of_its_size_and_time(photos: Photos) -> None:
    """As `exiftool -P` and many editors do: a new file, renamed over the old one."""
    path = photos.roots[0] / "1.bmp"
    new = picture(path.with_name("new.part.bmp"), seed=9)
    os.utime(new, (TIME, TIME))
    new.rename(path)
    report = photos.index()
    assert (report.updated, photos.encoded) == (1, ["1.bmp"])
    assert_true_to_the_files(photos)


def test_a_file_written_in_place_with_its_time_put_back(photos: Photos) -> None:
    path = photos.roots[0] / "1.bmp"
    data = bytearray(path.read_bytes())
    data[-1] ^= 255
    path.write_bytes(data)
    os.utime(path, (TIME, TIME))
    assert photos.index().updated == 1
    assert_true_to_the_files(photos)


def test_a_date_shift_that_keeps_size_and_time(photos: Photos) -> None:
    """As `exiftool -P -DateTimeOriginal+=...` leaves it."""
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "2019:05:04 12:00:00"
    path = picture(photos.roots[0] / "dated.jpg", 5, exif=exif)
    os.utime(path, (TIME, TIME))
    photos.index()
    new = path.with_suffix(".part")
    new.write_bytes(path.read_bytes().replace(b"2019:05:04", b"2019:05:05"))
    os.utime(new, (TIME, TIME))
    new.rename(path)
    photos.index()
    assert f"{photos.metadata(path).taken_at}" == "2019-05-05 12:00:00"


@pytest.mark.parametrize("change", ["chmod", "hard link", "restore", "copy"])
def test_the_same_content_is_hashed_once_and_not_encoded(photos: Photos, change: str) -> None:
    path, vectors = photos.roots[0] / "1.bmp", photos.vectors()
    revision = photos.catalog.head()
    if change == "chmod":
        path.chmod(0o600)
    elif change == "hard link":
        os.link(path, photos.roots[0].parent / "elsewhere.bmp")
    else:
        command = ["cp", "-p"] if change == "copy" else ["rsync", "-a"]
        if shutil.which(command[0]) is None:
            pytest.skip(f"needs {command[0]}")
        other = photos.roots[0].parent / "other.bmp"
        subprocess.run([*command, path, other], check=True)
        path.unlink()
        subprocess.run([*command, other, path], check=True)
    report = photos.index()
    assert (report.unchanged, report.updated, report.added) == (3, 0, 0)
    assert (photos.hashed, photos.encoded) == (["1.bmp"], [])
    assert photos.vectors() == vectors and photos.catalog.head() == revision
    assert_true_to_the_files(photos)


def test_a_move_within_the_root_keeps_the_vector(photos: Photos) -> None:
    root = photos.roots[0]
    (root / "1.bmp").rename(root / "sub" / "moved.bmp")
    report = photos.index()
    assert (report.moved, report.removed, photos.encoded) == (1, 0, [])
    assert_true_to_the_files(photos)


def test_a_move_to_another_root_keeps_the_vector(catalog: Catalog, tmp_path: Path) -> None:
    photos = Photos(catalog, tmp_path / "one", tmp_path / "two")
    path = picture(tmp_path / "one" / "a.bmp", 1)
    picture(tmp_path / "two" / "b.bmp", 2)
    picture(tmp_path / "one" / "c.bmp", 3)
    photos.index()
    path.rename(tmp_path / "two" / "a.bmp")
    report = photos.index()
    assert (report.moved, report.removed, photos.encoded) == (1, 0, [])
    assert photos.index().unchanged == 3 and not photos.hashed


def test_a_library_from_before_takes_over_what_it_did_not_know(photos: Photos) -> None:
    with photos.catalog._engine.begin() as connection:
        connection.execute(text("UPDATE images SET ctime_ns = 0, inode = 0"))
    assert dry_run(photos) == (3, 0)
    report = photos.index()
    assert (report.unchanged, photos.hashed, photos.encoded) == (3, [], [])
    assert_true_to_the_files(photos)


def dry_run(photos: Photos) -> tuple[int, int]:
    source = CountingSource(str(photos.roots[0]))
    report = rehearsed(photos.catalog, source, space=CheapEncoder.space)
    return report.unchanged, report.updated


@pytest.mark.parametrize("kind", ["vfat", "exfat", "fuse.sshfs", "something new", ""])
def test_a_disk_that_numbers_its_files_anew_is_not_hashed_again(
    photos: Photos, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where ctime and inode mean nothing, they are not stored, and size and time decide."""
    monkeypatch.setattr(tree_walk, "filesystem", lambda path: kind)
    assert photos.index().unchanged == 3 and not photos.hashed
    assert stored(photos, photos.roots[0] / "1.bmp") == (0, 0)
    for path in photos.roots[0].rglob("*.bmp"):  # another inode and ctime
        shutil.copy2(path, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
    assert photos.index().unchanged == 3 and not photos.hashed
    monkeypatch.undo()
    assert photos.index().unchanged == 3 and not photos.hashed
    assert_true_to_the_files(photos)


def test_a_skipped_file_replaced_by_a_picture_of_its_size_and_time(photos: Photos) -> None:
    path = picture(photos.roots[0] / "4.bmp", 4)
    good = path.read_bytes()
    path.write_bytes(bytes(len(good)))
    os.utime(path, (TIME, TIME))
    assert photos.index().skipped == 1
    assert (photos.index().skipped, photos.encoded) == (1, [])
    path.chmod(0o640)
    assert photos.index().skipped == 1
    assert (photos.index().skipped, photos.encoded) == (1, [])
    path.write_bytes(good)
    os.utime(path, (TIME, TIME))
    assert photos.index().added == 1
    assert_true_to_the_files(photos)


def test_a_picture_that_breaks_without_a_new_size_or_time_is_not_shown(photos: Photos) -> None:
    path = photos.roots[0] / "1.bmp"
    good = path.read_bytes()
    path.write_bytes(bytes(len(good)))
    os.utime(path, (TIME, TIME))
    assert photos.index().skipped == 1
    assert photos.catalog.locate(str(path)) is None
    path.write_bytes(good)
    os.utime(path, (TIME, TIME))
    assert (photos.index().added, photos.encoded) == (1, [])
    assert_true_to_the_files(photos)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_picture_without_permission_keeps_its_place(photos: Photos) -> None:
    path = photos.roots[0] / "1.bmp"
    path.chmod(0)
    assert photos.index().skipped == 1
    assert photos.catalog.locate(str(path)) is not None
    path.chmod(0o600)
    assert photos.index().unchanged == 3
    assert_true_to_the_files(photos)


def test_the_target_of_a_link_is_what_counts(catalog: Catalog, tmp_path: Path) -> None:
    photos = Photos(catalog, tmp_path / "photos")
    target = picture(tmp_path / "elsewhere" / "a.bmp", 1)
    os.utime(target, (TIME, TIME))
    (photos.roots[0] / "link.bmp").symlink_to(target)
    assert photos.index().added == 1
    assert photos.index().unchanged == 1 and not photos.hashed
    picture(target, 2)
    os.utime(target, (TIME, TIME))
    assert photos.index().updated == 1


def test_every_type_that_stores_inodes_stores_ctimes() -> None:
    assert filesystems.identity_of("ext4") == (True, True)
    assert filesystems.identity_of("cifs") == (True, False)
    assert filesystems.identity_of("vfat") == filesystems.identity_of("") == (False, False)
