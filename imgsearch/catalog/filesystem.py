"""Checks where a library lies: SQLite's write-ahead log needs a local disk."""

from __future__ import annotations

import os

import psutil

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "9p", "fuse.sshfs", "ceph",
     "glusterfs", "fuse.glusterfs", "fuse.rclone", "davfs", "webdav"}
)  # fmt: skip


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
