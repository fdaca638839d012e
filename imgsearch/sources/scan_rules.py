"""The rules of a scan: the names it ignores, and the places that the user excludes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from imgsearch.default_excludes import enters, left_out
from imgsearch.records import RootRecord
from imgsearch.sources.excludes import Excludes, ForeignExcludes, folders_above

_RESOURCE_FORK_PREFIX = "._"  # macOS puts such a file beside each file on foreign disks


class ScanRules:
    """Names and places that a scan of a folder leaves out.

    Parameters
    ----------
    root : str
        Absolute path of the folder.
    scope : str
        Folder below the root to scan, with "/" between its parts; "" scans everything.
    exclude : sequence of str
        Patterns in .gitignore syntax, matched against the path below the root.
    hidden : bool
        Include names that start with a dot.
    roots : sequence of RootRecord
        The folders of the library. A link here does not lead to places that another one excludes.
    ismount : callable
        Returns whether a folder is a mount point.

    Raises
    ------
    SourceError
        A pattern in `exclude` is invalid.
    """

    def __init__(
        self,
        root: str,
        scope: str,
        exclude: Sequence[str],
        hidden: bool,
        roots: Sequence[RootRecord],
        ismount: Callable[[str], bool],
    ) -> None:
        self.root, self.scope, self.ismount = root, scope, ismount
        self.real_root = os.path.realpath(root)
        self._exclude = Excludes(exclude)
        self._foreign = ForeignExcludes(root, roots)
        self._has_patterns = bool(exclude)
        self._name = os.path.basename(root)
        self._hidden = hidden

    def leaves_out(self, name: str, prefix: str, folder: bool) -> bool:
        """True for a name to ignore; `prefix` is its folder below the root with a trailing "/"."""
        if self._has_patterns and self.excludes(name, prefix, folder):  # first: it notes matches
            return True
        if name.startswith(".") and (not self._hidden or name.startswith(_RESOURCE_FORK_PREFIX)):
            return True
        if not folder:  # most names, of which a re-scan asks for every one
            return False
        return left_out(name, prefix[:-1].rpartition("/")[2] if prefix else self._name)

    def below(self, real: str) -> str | None:
        """The path below the root, with "/" between its parts, of a place without links; None if it
        lies elsewhere."""
        top = self.real_root.rstrip(os.sep) + os.sep
        if real == self.real_root:
            return ""
        return real[len(top) :].replace(os.sep, "/") if real.startswith(top) else None

    def behind_link(self, real: str) -> Callable[[str, str, bool], bool]:
        """The rule, like `leaves_out`, for the names in a folder that was reached by a link: what
        the user excludes where it lies is excluded behind the link, too.

        Parameters
        ----------
        real : str
            The folder's absolute path without links.
        """
        inside = self.below(real)
        own = f"{inside}/" if inside else ""

        def leaves_out(name: str, prefix: str, folder: bool) -> bool:
            if self.leaves_out(name, prefix, folder):
                return True
            if inside is not None and self.excludes(name, own, folder):
                return True
            elsewhere = self.has_foreign_excludes
            return elsewhere and self.excludes_elsewhere(os.path.join(real, name), folder)

        return leaves_out

    def excludes(self, name: str, prefix: str, folder: bool) -> bool:
        """True for a name that the user excludes."""
        return self._exclude.match(f"{prefix}{name}/" if folder else prefix + name)

    @property
    def has_foreign_excludes(self) -> bool:
        """True if another folder of the library excludes something."""
        return bool(self._foreign)

    def excludes_elsewhere(self, place: str, folder: bool) -> bool:
        """True for a place (absolute, links resolved) that another folder of the library
        excludes."""
        return self._foreign.match(place, folder)

    def unmatched(self, patterns: Sequence[str]) -> list[str]:
        """The patterns that have not matched anything in the scan.

        A pattern below a folder that the scan leaves out anyway is not one of them.
        """
        return [
            each
            for each in self._exclude.unmatched()
            if each in patterns and enters(folders_above(each), self._name, self._hidden)
        ]
