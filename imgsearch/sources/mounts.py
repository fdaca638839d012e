"""Mount points of a root: how a scan notices that a disk is not there.

An unmounted disk leaves an empty folder, or older files, in its place. If the catalog took those
for the truth, it would forget every picture of the disk. So a scan remembers where file systems
began, and the next one compares. Device numbers are no part of that: they change on reboot.
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
    """True if another file system begins here: a mount point, or a link that leads to one."""
    try:
        if os.path.islink(path):
            return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except OSError:
        return False
    return ismount(path)


def root_moved(root: str, remembered: str, ismount: IsMount) -> str | None:
    """Why the root does not lie where it lay in an earlier scan; None if it does."""
    now = mount_point_of(root, ismount)
    if now == remembered:
        return None
    if ismount(remembered):
        return f"lies on another disk than before: on {now}, not on {remembered}"
    return f"looks unmounted: before, a disk was mounted at {remembered}"


def unmounted(root: str, points: Iterable[str], ismount: IsMount) -> Iterator[Unvisited]:
    """Those of the remembered mount points below the root that are none now."""
    for point in points:
        if not is_boundary(os.path.join(root, *point.split("/")), ismount):
            yield Unvisited(point, "looks unmounted: before, a disk was mounted here")


def concerns(point: str, scope: str) -> bool:
    """True if a mount point lies above, at or below the part of the tree that is scanned."""
    return not scope or below(point, scope) or below(scope, point)


def below(path: str, folder: str) -> bool:
    """True if a relative path is `folder` or lies below it."""
    return path == folder or path.startswith(folder + "/") or not folder
