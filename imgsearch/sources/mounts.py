"""Mount points below a root, which show a scan that a disk is missing.

An unmounted disk leaves an empty folder, or older files, in its place. If the catalog believed
them, it would forget every image on the disk. So a scan remembers where file systems start, and the
next one compares. Device numbers are not used, because they change on reboot.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from imgsearch.records import Unvisited

IsMount = Callable[[str], bool]


def mount_point_of(path: str, ismount: IsMount) -> str:
    """The mount point of the file system that holds `path`."""
    place = os.path.realpath(path)
    while not ismount(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    return place


def is_boundary(path: str, ismount: IsMount) -> bool:
    """True if another file system starts here: at a mount point, or a link to another device."""
    try:
        if os.path.islink(path):
            return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except OSError:
        return False
    return ismount(path)


def root_moved(root: str, remembered: str, ismount: IsMount) -> str | None:
    """The reason why the root is no longer on the disk of an earlier scan, or None."""
    current = mount_point_of(root, ismount)
    if current == remembered:
        return None
    if ismount(remembered):
        return f"is on another disk than before: on {current}, not on {remembered}"
    return f"looks unmounted: before, a disk was mounted at {remembered}"


def unmounted(root: str, points: Iterable[str], ismount: IsMount) -> Iterator[Unvisited]:
    """The remembered mount points below the root that are no longer mount points."""
    for point in points:
        if not is_boundary(os.path.join(root, *point.split("/")), ismount):
            yield Unvisited(point, "looks unmounted: before, a disk was mounted here")


def concerns(point: str, scope: str) -> bool:
    """True if a mount point lies above, at or below the part of the tree that is scanned."""
    return not scope or below(point, scope) or below(scope, point)


def below(path: str, folder: str) -> bool:
    """True if a relative path is `folder` or lies below it."""
    return path == folder or path.startswith(folder + "/") or not folder
