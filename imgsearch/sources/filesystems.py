"""Types of file systems: which are on a network, and which identify files reliably (ADR 23)."""

from __future__ import annotations

import os
from typing import NamedTuple

import psutil

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "9p", "fuse.sshfs", "ceph",
     "glusterfs", "fuse.glusterfs", "fuse.rclone", "davfs", "webdav"}
)  # fmt: skip

# fmt: off
_STORE_BOTH = frozenset(
    (
        "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs",
        "jfs", "reiserfs", "nilfs2", "ubifs", "tmpfs", "ramfs", "apfs", "hfs",
        "hfsplus", "ufs", "ffs", "ntfs", "ntfs3", "nfs", "nfs3", "nfs4",
        "ceph", "lustre", "gpfs", "ocfs2", "gfs2", "udf", "iso9660", "squashfs",
        "erofs",
    )
)
_STORE_CTIME = frozenset(
    (
        "overlay", "virtiofs", "9p", "cifs", "smb2", "smb3", "smbfs", "fuseblk",
        "fuse.mergerfs", "fuse.gocryptfs", "fuse.encfs", "fuse.bindfs", "fuse.cryfs", "ecryptfs",
    )
)
# fmt: on


class Identity(NamedTuple):
    """Attributes of a file that stay the same after the file system is mounted again."""

    ctime: bool
    inode: bool


UNIDENTIFIED = Identity(ctime=False, inode=False)


def identity_of(kind: str) -> Identity:
    """The attributes that identify a file on a file system of this type.

    FAT and exFAT number files as they are read, and have no ctime of their own; most FUSE and
    network file systems number them in the order of their use, and some make times up. An unknown
    type is not trusted with either: then size and mtime decide.
    """
    return Identity(kind in _STORE_BOTH or kind in _STORE_CTIME, kind in _STORE_BOTH)


def filesystem(path: str) -> str:
    """The type of the file system that holds `path`, such as "ext4"; "" if unknown."""
    real = os.path.realpath(path)
    best, kind = "", ""
    for part in psutil.disk_partitions(all=True):
        inside = real == part.mountpoint or real.startswith(part.mountpoint.rstrip("/") + "/")
        if inside and len(part.mountpoint) >= len(best):
            best, kind = part.mountpoint, part.fstype.lower()
    return kind


def network_warning(folder: str) -> tuple[str, str] | None:
    """A warning and a hint if `folder` is on a network file system, else None."""
    kind = filesystem(folder)
    if kind not in NETWORK:
        return None
    return (
        f"the library folder {folder} is on a network file system ({kind}), where SQLite "
        "cannot keep several programs apart",
        "Keep the library on a disk of this machine (--library DIR or IMGSEARCH_LIBRARY); "
        "the pictures may be anywhere.",
    )
