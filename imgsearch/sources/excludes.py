"""Exclude patterns of users: parses or refuses them, and matches them against paths.

The syntax is that of a .gitignore file. Pictures are often excluded because they are private, so a
pattern that could match nothing is never accepted in silence: `#name` is a name and not a comment,
an absolute path below the folder is rewritten, and everything else is refused with a reason.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from imgsearch.errors import SourceError
from imgsearch.records import RootRecord

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_HINT = "Write patterns as in a .gitignore file, for example: --exclude 'drafts/'"
_SPACES = " \t\r\n"
_LITERAL_ESCAPE = re.compile(r"\\(?![\\*?\[\]!# ])")
_GLOB = re.compile(r"([\\*?\[\]])")
_ESCAPED = re.compile(r"\\(.)")


class Excludes:
    """The patterns of a folder; later ones win over earlier ones.

    Accents count as equal however they are stored: macOS takes letters and accents apart.

    Raises
    ------
    SourceError
        A pattern is invalid.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        self._spec = _compiled([_composed(_named(p)) for p in patterns]) if patterns else None
        self._matched: set[int] = set()

    def match(self, path: str) -> bool:
        """True for a path to leave out; that of a folder ends with "/"."""
        if self._spec is None:
            return False
        result = self._spec.check_file(_composed(path))
        if result.index is not None:
            self._matched.add(result.index)
        return bool(result.include)

    def unmatched(self) -> list[str]:
        """The patterns that have not decided about any path so far.

        A scan never sees what lies below an excluded folder, so a pattern for that is not listed.
        """
        waiting = [each for at, each in enumerate(self._patterns) if at not in self._matched]
        return [each for each in waiting if not self._is_below_another(each)]

    def _is_below_another(self, pattern: str) -> bool:
        above = folders_above(pattern)
        return self._spec is not None and any(
            self._spec.check_file(_composed(place)).include for place in _places(above)
        )


class ForeignExcludes:
    """Places that other folders of a library exclude: a link in this one must not lead there.

    Parameters
    ----------
    root : str
        The folder with the links.
    roots : sequence of RootRecord
        The folders of the library.
    """

    def __init__(self, root: str, roots: Sequence[RootRecord]) -> None:
        self._own = _closed(os.path.realpath(root))
        self._roots = [each for each in roots if each.exclude and each.path != root]

    def __bool__(self) -> bool:
        return bool(self._roots)

    @cached_property
    def _excludes(self) -> list[tuple[str, Excludes]]:
        """Resolved folder and patterns of each; most folders have no link that asks."""
        return [
            (_closed(os.path.realpath(each.path)), Excludes(each.exclude)) for each in self._roots
        ]

    def match(self, place: str, folder: bool) -> bool:
        """True for a place (absolute, links resolved) that another folder excludes."""
        return any(
            is_excluded(excludes, place[len(top) :].replace(os.sep, "/"), folder)
            for top, excludes in self._excludes
            if place.startswith(top) and not self._decides(place, top)
        )

    def _decides(self, place: str, top: str) -> bool:
        """True for a place in a folder whose own patterns hold, inside another one."""
        return self._own.startswith(top) and place.startswith(self._own)


def _closed(folder: str) -> str:
    return folder.rstrip(os.sep) + os.sep


def is_excluded(excludes: Excludes, path: str, folder: bool = False) -> bool:
    """True if a path, or a folder above it, matches: a scan does not look into such a folder."""
    *above, _ = path.split("/")
    place = f"{path}/" if folder else path
    return any(map(excludes.match, _places(above))) or excludes.match(place)


def _places(names: Sequence[str]) -> Iterator[str]:
    """The folders on the way down these names: "a/", "a/b/"."""
    return ("/".join(names[:depth]) + "/" for depth in range(1, len(names) + 1))


def folders_above(pattern: str) -> list[str]:
    """Names of the folders that a pattern is bound to, from the top; an exception has none."""
    if pattern.startswith("!"):
        return []
    return [_ESCAPED.sub(r"\1", part) for part in pattern.strip("/").split("/")[:-1]]


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _compiled(patterns: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise SourceError(f"an exclude pattern is not valid: {error}", _HINT) from error


def _named(pattern: str) -> str:
    """A pattern in which "#" is a character, not the start of a comment."""
    return f"\\{pattern}" if pattern.startswith("#") else pattern


def added(earlier: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """The earlier patterns followed by the new ones; a repeated one moves to the end."""
    return (*(each for each in earlier if each not in patterns), *dict.fromkeys(patterns))


def understood(patterns: Sequence[str], roots: Sequence[str]) -> dict[str, list[str]]:
    """The patterns for each folder, in the form in which they are kept.

    An absolute path belongs to the folder that holds it; other patterns belong to all folders.

    Raises
    ------
    SourceError
        A pattern could match nothing in any folder.
    """
    by_root: dict[str, list[str]] = {root: [] for root in roots}
    for pattern in patterns:
        here = {root: _below(pattern, root) for root in roots}
        if not any(here.values()):
            raise SourceError(
                f"the exclude pattern {pattern!r} is an absolute path outside {', '.join(roots)}",
                "Give a path in the folder, or begin with './' for a path below it.",
            )
        for root, core in here.items():
            by_root[root] += [core] if core else []
    return by_root


def _below(pattern: str, root: str) -> str | None:
    """The pattern in its kept form; None for an absolute path that does not lie in the folder."""
    text = _stripped(pattern)
    sign, core = ("!", _stripped(text[1:])) if text.startswith("!") else ("", text)
    _require_sensible(pattern, core)
    if core == "~" or core.startswith("~/"):
        core = os.path.expanduser(core)
    if core.startswith("/"):
        inside = _inside(core, root)
        if inside is None and _is_elsewhere(core, root):
            return None
        core = core if inside is None else inside
    normal = sign + _normal(pattern, core)
    _compiled([_named(normal)])
    return normal


def _stripped(text: str) -> str:
    """The text without spaces around it, except an escaped one at the end."""
    bare = text.strip(_SPACES)
    backslashes = len(bare) - len(bare.rstrip("\\"))
    return f"{bare} " if backslashes % 2 and text.rstrip("\t\r\n") != bare else bare


def _require_sensible(pattern: str, core: str) -> None:
    if not core:
        raise SourceError(f"the exclude pattern {pattern!r} is empty", _HINT)
    if "\0" in core or "\n" in core:
        raise SourceError(f"the exclude pattern {pattern!r} is not a valid name", _HINT)
    if _LITERAL_ESCAPE.search(core):
        raise SourceError(
            f"the exclude pattern {pattern!r} has a backslash, which is not a separator",
            "Write / between folders. A backslash makes the next of * ? [ ] ! # literal.",
        )


def _inside(path: str, root: str) -> str | None:
    """An absolute path as an anchored pattern of the folder; None if it lies elsewhere."""
    real = os.path.realpath(root)
    end = "/" if path.endswith("/") else ""
    for place, top in ((path, root), (path, real), (os.path.realpath(path) + end, real)):
        if f"{place.rstrip('/')}/".startswith(f"{top.rstrip('/')}/"):
            rest = place[len(top.rstrip("/")) :]
            return _GLOB.sub(r"\\\1", rest) if os.path.lexists(place) else rest
    return None


def _is_elsewhere(path: str, root: str) -> bool:
    """True if a pattern that begins with "/" names a place on this machine, not in the folder."""
    first = f"/{path.lstrip('/').split('/')[0]}"
    return os.path.lexists(first) and not os.path.lexists(root + first)


def _normal(pattern: str, core: str) -> str:
    """The pattern without ".", ".." and empty parts; "./x" is anchored like "/x"."""
    anchor = "/" if core.startswith(("/", "./", "../")) else ""
    parts: list[str] = []
    for part in core.split("/"):
        if part == ".." and not parts:
            raise SourceError(
                f"the exclude pattern {pattern!r} leads out of the folder",
                "Give a path below the folder.",
            )
        if part == "..":
            parts.pop()
            anchor = "/"
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        raise SourceError(
            f"the exclude pattern {pattern!r} names the whole folder",
            "To take a folder out of the library: imgsearch roots --forget PATH",
        )
    end = "/" if core.endswith(("/", "/.", "/..")) else ""
    return anchor + "/".join(parts) + end
