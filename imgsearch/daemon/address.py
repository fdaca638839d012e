"""The address of a library's socket, and whether two processes would answer alike.

The library folder holds a folder that only its owner can open, with a socket that only its owner
can use. A path too long for the address of a socket is replaced by one below /tmp.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from imgsearch import __version__
from imgsearch.errors import ImgSearchError

PROTOCOL = 2
FOLDER, SOCKET = "daemon", "socket"
MAX_ADDRESS_BYTES = 100
"""The limit is 104 on macOS and 108 on Linux, with the NUL."""
IRRELEVANT_SETTINGS = frozenset(
    {"library", "instruction", "daemon", "workers", "decode_seconds", "keep_days"}
    | {"thumbnail_bytes", "refresh", "trust_proxy", "folder_places"}
)
"""Settings in which two processes may differ and still answer alike: the instruction travels with
the request, and the others do not affect a search."""


class NoSockets(ImgSearchError):
    """This system, or this Python, has no Unix-domain sockets."""

    def __init__(self) -> None:
        super().__init__(
            "there are no Unix-domain sockets on this system, which a daemon needs",
            "Searches work without it; each loads the model.",
        )


def have_sockets() -> bool:
    """True where a daemon can run; false on Windows."""
    return hasattr(socket, "AF_UNIX") and hasattr(os, "geteuid")


def socket_path(library: str) -> str:
    """The address for the library in a folder; the same for every process of its owner."""
    real = os.path.realpath(library)
    path = os.path.join(real, FOLDER, SOCKET)
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        return path
    short = hashlib.sha256(os.fsencode(real)).hexdigest()[:24]
    return os.path.join("/tmp", f"imgsearch-{os.geteuid()}", short)  # noqa: S108 - see is_private


def is_private(path: str) -> bool:
    """True if the folder of `path` is a real folder, is ours, and is closed to everybody else."""
    try:
        status = os.lstat(os.path.dirname(path))
    except OSError:
        return False
    ours = status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return stat.S_ISDIR(status.st_mode) and ours


def is_own(connection: socket.socket) -> bool:
    """True if the process at the other end has the same user, as far as the system says.

    On systems that do not report it (macOS, the BSDs), the modes of folder and socket keep others
    out.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, size))
    return bool(user == os.geteuid())


def greeting(settings: Any) -> dict[str, Any]:
    """Protocol, version and settings, which client and daemon compare before a request."""
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    if os.path.isdir(values["model"]):
        values["model"] = os.path.realpath(values["model"])
    return {
        "protocol": PROTOCOL,
        "version": __version__,
        "settings": {
            name: [list(each) for each in value] if isinstance(value, tuple) else value
            for name, value in values.items()
            if name not in IRRELEVANT_SETTINGS
        },
    }


def difference(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Differences between two greetings: ["version"], or names of settings."""
    if any(mine[name] != theirs.get(name) for name in ("protocol", "version")):
        return ["version"]
    own, other = mine["settings"], theirs.get("settings")
    other = other if isinstance(other, dict) else {}
    return sorted(n for n in own.keys() | other.keys() if own.get(n) != other.get(n))
