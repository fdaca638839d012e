"""The files that a scan lists, and its reports on those that it cannot examine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import xxhash

from imgsearch.errors import SourceError
from imgsearch.records import ImageFile, Known, Skipped, Unvisited
from imgsearch.sources.folder_source import FilesystemSource
from tests.conftest import full_only
from tests.hostile_files import IGNORE, make


def put(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def scan(root, *args, **kwargs):
    """Paths of files, {path: reason} of skipped files, {path: reason} of unvisited folders."""
    items = list(FilesystemSource(str(root), *args, **kwargs).scan())
    files = [f.path for f in items if isinstance(f, ImageFile)]
    assert len(set(files)) == len(files)
    skipped = {s.file.path: s.reason for s in items if isinstance(s, Skipped)}
    return sorted(files), skipped, {u.path: u.reason for u in items if isinstance(u, Unvisited)}


def test_pictures_are_found_at_any_depth_with_size_and_time(tmp_path):
    put(tmp_path, "a.jpg", "b/c.HEIC", "b/d/e.Cr2")
    os.utime(tmp_path / "a.jpg", ns=(1, 1_600_000_000_123_456_789))
    items = {f.path: f for f in FilesystemSource(str(tmp_path)).scan()}
    assert sorted(items) == ["a.jpg", "b/c.HEIC", "b/d/e.Cr2"]
    stated, status = items["a.jpg"], (tmp_path / "a.jpg").stat()
    assert stated == ImageFile(
        str(tmp_path), "a.jpg", 1, 1_600_000_000_123_456_789, stated.ctime_ns, stated.inode
    )
    assert (stated.ctime_ns, stated.inode) in [(status.st_ctime_ns, status.st_ino), (0, 0)]
    assert os.path.exists(items["b/d/e.Cr2"].absolute)


def test_other_files_are_silently_ignored(tmp_path):
    put(tmp_path, "a.pdf", "b.mp4", "c.xmp", "no_extension", "Thumbs.db", "jpg", ".jpg")
    assert scan(tmp_path) == ([], {}, {})


def test_unsupported_formats_are_reported(tmp_path):
    put(tmp_path, "a.svg", "b.jxl")
    _, skipped, _ = scan(tmp_path)
    assert "SVG" in skipped["a.svg"] and "JPEG XL" in skipped["b.jxl"]


def test_hidden_names_and_system_folders_are_ignored(tmp_path):
    put(
        tmp_path,
        ".h.jpg",
        ".d/a.jpg",
        "._a.jpg",
        ".git/a.jpg",
        "@eaDir/a.jpg",
        "node_modules/a.jpg",
        "#recycle/a.jpg",
        "$Recycle.Bin/a.jpg",
        "System Volume Information/a.jpg",
        "lost+found/a.jpg",
    )
    assert scan(tmp_path) == ([], {}, {})
    assert scan(tmp_path, hidden=True)[0] == [".d/a.jpg", ".h.jpg"]


def test_exclude_patterns_follow_gitignore(tmp_path):
    put(tmp_path, "a.jpg", "raw/b.jpg", "x/raw/c.jpg", "x/keep/d.png", "x/e.png", "raw.jpg")
    assert scan(tmp_path, exclude=["raw/"])[0] == ["a.jpg", "raw.jpg", "x/e.png", "x/keep/d.png"]
    assert scan(tmp_path, exclude=["/raw/"])[0][2:] == ["x/e.png", "x/keep/d.png", "x/raw/c.jpg"]
    assert scan(tmp_path, exclude=["*.png", "!d.png"])[0][-2:] == ["x/keep/d.png", "x/raw/c.jpg"]
    assert scan(tmp_path, exclude=["x/**", "raw"])[0] == ["a.jpg", "raw.jpg"]


def test_an_invalid_exclude_pattern_is_an_error(tmp_path):
    with pytest.raises(SourceError) as caught:
        FilesystemSource(str(tmp_path), exclude=["!"])
    assert caught.value.hint


def test_only_the_scope_is_scanned_and_paths_stay_relative_to_the_root(tmp_path):
    put(tmp_path, "a.jpg", "b/c.jpg", "b/d/e.jpg", "bb/f.jpg")
    assert scan(tmp_path, "b")[0] == ["b/c.jpg", "b/d/e.jpg"]
    assert scan(tmp_path, "b/d/")[0] == ["b/d/e.jpg"]
    assert scan(tmp_path, "gone") == ([], {}, {"gone": "is not there any more"})


@pytest.fixture
def nested(tmp_path):
    """Create nested folders of one name; removed at the end, because pytest cannot do it."""

    def make(name: str, depth: int) -> None:
        here = os.open(tmp_path, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir(name, dir_fd=here)
            inner = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(os.open("a.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)

    yield make
    subprocess.run(["rm", "-r", *tmp_path.iterdir()], check=True)


@full_only
def test_a_tree_of_1500_nested_folders(tmp_path, nested):
    nested("d", 1500)
    assert scan(tmp_path)[0] == ["d/" * 1500 + "a.jpg"]


def test_a_path_too_long_for_the_system_is_reported(tmp_path, nested):
    nested("d" * 200, 30)
    _, _, unvisited = scan(tmp_path)
    assert list(unvisited.values()) == ["the path is too long for the operating system"]


def test_pipes_and_sockets_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe_link.jpg").symlink_to(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(tmp_path)
        listener.bind("s.jpg")
        os.chdir(here)
    files, skipped, _ = scan(tmp_path)
    assert not files and set(skipped) == {"pipe.jpg", "s.jpg"}
    assert all("not a regular file" in reason for reason in skipped.values())


def test_links_inside_are_not_followed_and_loops_end(tmp_path):
    put(tmp_path, "a/b.jpg")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "c.jpg").symlink_to("a/b.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    files, skipped, unvisited = scan(tmp_path)
    assert files == ["a/b.jpg"] and not unvisited
    assert set(skipped) <= {"self.jpg"}


def test_links_to_outside_are_followed_once(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(root, "a.jpg")
    put(outside, "b.jpg", "deep/c.jpg")
    (root / "x").symlink_to(outside)
    (root / "y").symlink_to(outside / "deep")
    (root / "z.jpg").symlink_to(outside / "b.jpg")
    (root / "all").symlink_to(tmp_path)  # holds the root itself
    (outside / "back").symlink_to(root)
    files, skipped, unvisited = scan(root)
    assert files == ["a.jpg", "all/outside/b.jpg", "all/outside/deep/c.jpg", "z.jpg"]
    assert not skipped and not unvisited
    assert scan(root, exclude=["all"])[0] == ["a.jpg", "x/b.jpg", "x/deep/c.jpg", "z.jpg"]


def test_a_root_that_is_a_link(tmp_path):
    put(tmp_path, "real/a.jpg", "real/b/c.jpg")
    (tmp_path / "real" / "b" / "up").symlink_to("..")
    (tmp_path / "link").symlink_to("real")
    assert scan(tmp_path / "link") == (["a.jpg", "b/c.jpg"], {}, {})


def test_dangling_links_are_reported(tmp_path):
    (tmp_path / "a.jpg").symlink_to("/nowhere/a.jpg")
    (tmp_path / "b.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "disk").symlink_to("/nowhere/disk")
    items = list(FilesystemSource(str(tmp_path)).scan())
    skipped = [s for s in items if isinstance(s, Skipped)]
    assert sorted(s.file.path for s in skipped) == ["a.jpg", "b.jpg"]
    assert all(s.transient and s.reason == "a link that leads nowhere" for s in skipped)
    assert [u.path for u in items if isinstance(u, Unvisited)] == ["disk"]


def test_a_dangling_link_with_an_ignored_name_is_not_reported(tmp_path):
    put(tmp_path, "a.jpg")
    (tmp_path / "node_modules").symlink_to("/nowhere/node_modules")
    assert scan(tmp_path) == (["a.jpg"], {}, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_locked_folder_is_reported_as_unvisited(tmp_path):
    put(tmp_path, "a.jpg", "locked/b.jpg")
    (tmp_path / "locked").chmod(0)
    files, _, unvisited = scan(tmp_path)
    (tmp_path / "locked").chmod(0o700)
    assert files == ["a.jpg"] and unvisited == {"locked": "permission denied"}


def test_a_root_that_cannot_be_scanned_declares_nothing_absent(tmp_path):
    empty, file = tmp_path / "empty", tmp_path / "a.jpg"
    empty.mkdir()
    file.write_bytes(b"x")
    assert scan(tmp_path / "gone") == ([], {}, {"": "is not there: is the disk mounted?"})
    assert scan(empty) == ([], {}, {"": "is empty: is the disk mounted?"})
    assert scan(file) == ([], {}, {"": "is a file, not a folder"})
    assert scan(empty, prune=True) == ([], {}, {})


def test_a_folder_that_vanishes_during_the_scan_is_unvisited(tmp_path):
    put(tmp_path, "a.jpg", "sub/b.jpg")
    scanning = FilesystemSource(str(tmp_path)).scan()
    items = [next(scanning)]
    (tmp_path / "sub" / "b.jpg").unlink()
    (tmp_path / "sub").rmdir()
    items += list(scanning)
    assert Unvisited("sub", "is not there any more") in items


@full_only
def test_odd_files(tmp_path):
    expected = make(tmp_path / "odd")
    files, skipped, unvisited = scan(tmp_path / "odd")
    reported = set(files) | set(skipped)
    assert reported == {path for path, verdict in expected.items() if verdict != IGNORE}
    assert not unvisited


def test_scanning_changes_nothing_and_opens_no_file(tmp_path):
    put(tmp_path, "a.jpg")
    before = (tmp_path / "a.jpg").stat()
    os.utime(tmp_path / "a.jpg", ns=(1, before.st_mtime_ns))
    scan(tmp_path)
    assert (tmp_path / "a.jpg").stat().st_atime_ns == 1


def test_digest_describes_the_file_that_it_read(tmp_path):
    data = os.urandom(3_000_001)
    (tmp_path / "a.jpg").write_bytes(data)
    source = FilesystemSource(str(tmp_path))
    known = source.digest(ImageFile(str(tmp_path), "a.jpg", 0, 0))
    mtime = (tmp_path / "a.jpg").stat().st_mtime_ns
    file = ImageFile(str(tmp_path), "a.jpg", len(data), mtime)
    assert known == Known(file, xxhash.xxh3_128_hexdigest(data))


def test_digest_of_an_unreadable_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    source = FilesystemSource(str(tmp_path))
    gone = source.digest(ImageFile(str(tmp_path), "gone.jpg", 0, 0))
    pipe = source.digest(ImageFile(str(tmp_path), "pipe.jpg", 0, 0))
    assert isinstance(gone, Skipped) and gone.transient
    assert isinstance(pipe, Skipped) and "not a regular file" in pipe.reason


class TestMountGuard:
    """Disks come and go; `mounted` lists the current mount points."""

    @pytest.fixture
    def disk(self, tmp_path):
        put(tmp_path, "root/a.jpg", "root/usb/b.jpg", "root/other/c.jpg")
        return tmp_path / "root"

    def scan(self, root, mounts, mounted, **kwargs):
        points = {os.path.realpath(point) for point in mounted} | {"/"}
        source = FilesystemSource(
            str(root), mounts=mounts, ismount=lambda path: path in points, **kwargs
        )
        items = list(source.scan())
        files = sorted(f.path for f in items if isinstance(f, ImageFile))
        return files, {u.path: u.reason for u in items if isinstance(u, Unvisited)}, source.mounts

    def test_the_first_scan_records_the_mount_point_of_the_root(self, disk):
        files, unvisited, mounts = self.scan(disk, [], [disk])
        assert len(files) == 3 and not unvisited and mounts == [str(disk)]
        assert self.scan(disk, [], [])[2] == ["/"]

    def test_a_root_whose_disk_is_missing_declares_nothing_absent(self, disk):
        files, unvisited, mounts = self.scan(disk, [str(disk)], [])
        assert len(files) == 3  # files in its place are listed anyway
        assert "looks unmounted" in unvisited[""]
        assert mounts == [str(disk)]  # the mount point is still remembered

    def test_a_missing_disk_below_the_root(self, disk):
        remembered = ["/", "usb"]
        files, unvisited, mounts = self.scan(disk, remembered, [])
        assert files == ["a.jpg", "other/c.jpg", "usb/b.jpg"]
        assert list(unvisited) == ["usb"] and "looks unmounted" in unvisited["usb"]
        assert mounts == remembered
        assert self.scan(disk, remembered, [disk / "usb"])[1] == {}

    def test_a_mount_point_whose_folder_is_gone(self, disk):
        assert list(self.scan(disk, ["/", "usb/card"], [])[1]) == ["usb/card"]

    def test_prune_accepts_and_forgets(self, disk):
        files, unvisited, mounts = self.scan(disk, [str(disk), "usb"], [], prune=True)
        assert len(files) == 3 and not unvisited and mounts == ["/"]

    def test_a_root_on_another_disk_than_before(self, disk):
        _, unvisited, _ = self.scan(disk, [str(disk.parent)], [disk.parent, disk])
        assert "another disk" in unvisited[""]

    def test_a_scope_checks_only_its_own_disks(self, disk):
        remembered = ["/", "usb"]
        assert self.scan(disk, remembered, [], scope="other")[1:] == ({}, remembered)
        assert list(self.scan(disk, remembered, [], scope="usb")[1]) == ["usb"]
        (disk / "usb" / "in").mkdir()
        assert list(self.scan(disk, remembered, [], scope="usb/in")[1]) == ["usb"]


@pytest.fixture
def mount():
    """Mount a tmpfs on a folder until the end of the test."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount")
    folders = []

    def mount_tmpfs(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder],
            check=False,
            capture_output=True,
        )
        if result.returncode:
            pytest.skip("this system does not let us mount")
        folders.append(folder)

    yield mount_tmpfs
    for folder in reversed(folders):
        subprocess.run(["umount", "-l", folder], check=False, capture_output=True)


def test_a_real_disk_below_the_root(tmp_path, mount):
    put(tmp_path, "a.jpg")
    mount(tmp_path / "usb")
    put(tmp_path, "usb/b.jpg")
    source = FilesystemSource(str(tmp_path))
    assert len(list(source.scan())) == 2
    assert source.mounts[1:] == ["usb"]
    subprocess.run(["umount", tmp_path / "usb"], check=True)
    again = FilesystemSource(str(tmp_path), mounts=source.mounts)
    assert Unvisited("usb", "looks unmounted: before, a disk was mounted here") in again.scan()
    assert again.mounts == source.mounts


def test_a_real_disk_behind_a_link(tmp_path, mount):
    put(tmp_path, "root/a.jpg")
    mount(tmp_path / "disk")
    put(tmp_path, "disk/b.jpg")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "disk")
    source = FilesystemSource(str(tmp_path / "root"))
    assert sorted(f.path for f in source.scan()) == ["a.jpg", "link/b.jpg"]
    assert source.mounts[1:] == ["link"]
    subprocess.run(["umount", tmp_path / "disk"], check=True)
    again = FilesystemSource(str(tmp_path / "root"), mounts=source.mounts)
    assert [u.path for u in again.scan() if isinstance(u, Unvisited)] == ["link"]


def test_a_real_disk_that_is_the_root(tmp_path, mount):
    mount(tmp_path / "root")
    put(tmp_path, "root/a.jpg")
    source = FilesystemSource(str(tmp_path / "root"))
    assert len(list(source.scan())) == 1 and source.mounts == [str(tmp_path / "root")]
    subprocess.run(["umount", tmp_path / "root"], check=True)
    put(tmp_path, "root/leftover.jpg")
    again = FilesystemSource(str(tmp_path / "root"), mounts=source.mounts)
    items = list(again.scan())
    assert isinstance(items[0], Unvisited) and "looks unmounted" in items[0].reason
    assert isinstance(items[1], ImageFile)


def test_a_disk_that_is_pulled_out_during_the_scan(tmp_path, mount):
    put(tmp_path, "a.jpg")
    mount(tmp_path / "usb")
    put(tmp_path, "usb/b.jpg")
    mounts = ["/", "usb"]
    source = FilesystemSource(str(tmp_path), mounts=mounts)
    scanning = source.scan()
    items = [next(scanning)]
    subprocess.run(["umount", tmp_path / "usb"], check=True)
    assert "usb" in [u.path for u in [*items, *scanning] if isinstance(u, Unvisited)]
