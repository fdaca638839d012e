"""Folders that a scan leaves out unless the user names them: trash, snapshots and copies.

Programs keep smaller or older copies of pictures beside the originals. Both would be found for each
query. Originals are kept: in `Family.photoslibrary`, a scan visits `originals` and nothing else.
Names are compared in lower case. docs/FOLDERS.md has the same list for users.
"""

from __future__ import annotations

from collections.abc import Iterable

SYSTEM = frozenset(
    (
        ".git",
        "system volume information",
        "lost+found",
        "node_modules",
        ".spotlight-v100",
        ".documentrevisions-v100",
    )
)
TRASH = frozenset(
    (
        "$recycle.bin",
        "recycler",
        "recycled",
        "#recycle",
        "@recycle",
        ".recycle",
        ".recycle.bin",
        "trashbox",
        ".dtrash",
        "files_trashbin",
    )
)
"""Windows, network disks, digiKam, Nextcloud. `.Trash*` is in `PREFIXES`."""
SNAPSHOTS = frozenset(
    (
        "#snapshot",
        "~snapshot",
        ".snapshot",
        ".snapshots",
        "@snapshot",
        "@recently-snapshot",
        "@sharesnap",
        ".zfs",
        ".ckpt",
        ".stversions",
        "files_versions",
    )
)
"""Network disks, ZFS, btrfs, Syncthing, Nextcloud."""
THUMBNAILS = frozenset(("@eadir", ".thumbnails", ".@__thumb", ".wdmc"))
"""Small copies that network disks, telephones and desktops keep."""
NAMES = SYSTEM | TRASH | SNAPSHOTS | THUMBNAILS
PREFIXES = (".trash",)
SUFFIXES = (".lrdata", ".lrcat-data")
"""Previews and data of Lightroom catalogs."""

ORIGINALS = frozenset(("originals", "masters"))
PACKAGES = (".photoslibrary", ".photolibrary", ".migratedphotolibrary")
"""Libraries of Photos and iPhoto, in which only `ORIGINALS` are visited."""
COPIES_INSIDE = {
    ".aplibrary": frozenset(("thumbnails", "previews", "database", "masks")),
    ".cocatalog": frozenset(("cache",)),
}
"""Aperture and Capture One: suffix of a folder's name -> folders in it to leave out."""


def left_out(name: str, parent: str) -> bool:
    """True for a folder that a scan does not enter.

    Parameters
    ----------
    parent : str
        Name of the folder that holds it.
    """
    name = name.lower()
    if name in NAMES or name.startswith(PREFIXES) or name.endswith(SUFFIXES):
        return True
    return _is_copy(name, parent.lower())


def _is_copy(name: str, parent: str) -> bool:
    """True for a folder with copies in the folder of a program."""
    if parent.endswith(PACKAGES) or parent == "iphoto library":
        return name not in ORIGINALS
    if parent == "captureone":
        return name == "cache"
    if parent.startswith("appdata_"):  # Nextcloud
        return name == "preview"
    return any(name in COPIES_INSIDE[end] for end in COPIES_INSIDE if parent.endswith(end))


def enters(parts: Iterable[str], parent: str, hidden: bool) -> bool:
    """True if a scan enters all of these folders, each in the one before.

    Parameters
    ----------
    parent : str
        Name of the folder that holds the first one.
    hidden : bool
        The scan includes hidden folders.
    """
    for name in parts:
        if left_out(name, parent) or (name.startswith(".") and not hidden):
            return False
        parent = name
    return True
