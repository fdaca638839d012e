"""Copies hits into a folder, or links them. Existing files are never overwritten."""

from __future__ import annotations

import errno
import filecmp
import itertools
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from imgsearch.cli.group import Context
from imgsearch.cli.terminal import complain, count_of, plain
from imgsearch.errors import ImgSearchError
from imgsearch.writing import discard, write_part

if TYPE_CHECKING:
    from imgsearch.library import Library
    from imgsearch.searching.hits import Hit

_MAX_NAME_BYTES = 255  # on nearly every file system
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # all further files would fail, too
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Collection(Protocol):
    """A way to put pictures into `folder`."""

    @property
    def folder(self) -> str: ...
    @property
    def verb(self) -> str: ...

    def found_in(self, root: str, originals: Sequence[str]) -> bool:
        """True if a scan of the root would index these files in a folder below it."""

    def put(self, original: str, targets: Iterator[str]) -> tuple[str, bool]:
        """Create the first free one of `targets`, unless one already is this picture.

        Returns the path, and whether it was created. Raises OSError if the original cannot be read
        or the target cannot be written.
        """


@dataclass(frozen=True, slots=True)
class Links:
    """Symbolic links to the originals."""

    folder: str
    verb: str = "Linked"

    def found_in(self, root: str, originals: Sequence[str]) -> bool:
        """A scan ignores links to files in the same root."""
        return any(not _inside(os.path.realpath(each), root) for each in originals)

    def put(self, original: str, targets: Iterator[str]) -> tuple[str, bool]:
        os.stat(original)  # fail instead of creating a dangling link
        for target in targets:
            if os.path.islink(target) and os.readlink(target) == original:
                return target, False
            with suppress(FileExistsError):
                os.symlink(original, target)
                return target, True
        raise AssertionError("targets never end")


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies with the times of the originals; each is created atomically."""

    folder: str
    verb: str = "Copied"

    def found_in(self, root: str, originals: Sequence[str]) -> bool:
        """Copies are always indexed."""
        return bool(originals)

    def put(self, original: str, targets: Iterator[str]) -> tuple[str, bool]:
        if not stat.S_ISREG(os.stat(original).st_mode):  # reading a pipe would block for ever
            raise OSError(errno.EINVAL, "not a regular file")
        copy = ""
        try:
            for target in targets:
                if _same_bytes(original, target):
                    return target, False
                copy = copy or self._unfinished(original)
                with suppress(FileExistsError):
                    _rename_to_free(copy, target)
                    return target, True
        finally:
            discard(copy)
        raise AssertionError("targets never end")

    def _unfinished(self, original: str) -> str:
        with open(original, "rb") as source:
            name = write_part(self.folder, lambda file: shutil.copyfileobj(source, file, 1 << 20))
        with suppress(OSError):  # some file systems store neither times nor permissions
            shutil.copystat(original, name)
        return name


def _same_bytes(original: str, target: str) -> bool:
    with suppress(OSError):  # an unreadable file counts as different
        return os.path.isfile(target) and filecmp.cmp(original, target, shallow=False)
    return False


def _rename_to_free(source: str, target: str) -> None:
    """Rename; raise `FileExistsError` if the name is taken."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # FAT and some network file systems: reserve the name with an empty file, then replace it.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.replace(source, target)


def collect(ctx: Context, lib: Library, hits: Sequence[Hit], into: Collection) -> int:
    """Put the pictures of the hits into a folder and report each; returns 1 if any failed.

    A name taken by another picture gets a number: "beach.jpg", "beach-2.jpg".
    """
    originals = [hit.image.file.absolute for hit in hits]
    _prepare(ctx, lib, into, originals)
    failed = 0
    for original in originals:
        try:
            target, new = into.put(original, _names(into.folder, os.path.basename(original)))
            verb = into.verb if new else "Already there:"
            ctx.say(f"{verb} {plain(original)} -> {plain(target)}")
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise
            failed += 1
            complain(f"skipped {original}: {(error.strerror or str(error)).lower()}")
    done = count_of(len(hits) - failed, "picture")
    ctx.say(f"{done} of this search in {into.folder}{f', {failed} skipped' if failed else ''}.")
    return int(failed > 0)


def _names(folder: str, name: str) -> Iterator[str]:
    """The name in the folder, then with 2, 3, ..., shortened if it becomes too long."""
    stem, extension = os.path.splitext(name)
    yield os.path.join(folder, name)
    for number in itertools.count(2):
        tail = f"-{number}{extension}"
        room = _MAX_NAME_BYTES - len(os.fsencode(tail))
        while len(os.fsencode(stem)) > room:
            stem = stem[:-1]
        yield os.path.join(folder, stem + tail)


def _prepare(ctx: Context, lib: Library, into: Collection, originals: Sequence[str]) -> None:
    """Create the folder; warn if its contents will be indexed."""
    folder = into.folder
    real = os.path.realpath(folder)
    if _inside(real, os.path.realpath(lib.settings.library)):
        raise ImgSearchError(
            f"{folder} is inside the library folder, which only imgsearch may use",
            "Choose another folder.",
        )
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise ImgSearchError(
            f"cannot create the folder {folder}: {error.strerror}", "Choose another folder."
        ) from error
    for root in lib.catalog.roots():
        top = os.path.realpath(root.path)
        if _inside(real, top) and into.found_in(top, originals):
            ctx.say(
                f"Warning: {folder} is inside {root.path}, which is indexed: 'imgsearch index' "
                "will find these pictures there, too. Use --exclude to prevent that."
            )
            return


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))
