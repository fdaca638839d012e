"""Results collected in a folder, as copies or as links. Nothing that is there is overwritten."""

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

_LONGEST_NAME = 255  # bytes, on nearly every file system
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # the next one would fare no better
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Collection(Protocol):
    """A way to put pictures into `folder`."""

    @property
    def folder(self) -> str: ...
    @property
    def verb(self) -> str: ...

    def found_in(self, root: str, originals: Sequence[str]) -> bool:
        """True if a scan of the root would find anything of it in a folder there."""

    def put(self, original: str, targets: Iterator[str]) -> tuple[str, bool]:
        """Make the first of `targets` that is free, or find it there already: its path, made.

        Raises OSError where the original cannot be read, or nothing can be written.
        """


@dataclass(frozen=True, slots=True)
class Links:
    """Symbolic links to the originals."""

    folder: str
    verb: str = "Linked"

    def found_in(self, root: str, originals: Sequence[str]) -> bool:
        """A scan leaves out links to what lies in the same root."""
        return any(not _inside(os.path.realpath(each), root) for each in originals)

    def put(self, original: str, targets: Iterator[str]) -> tuple[str, bool]:
        os.stat(original)  # a link to nothing is of no use
        for target in targets:
            if os.path.islink(target) and os.readlink(target) == original:
                return target, False
            with suppress(FileExistsError):
                os.symlink(original, target)
                return target, True
        raise AssertionError("targets never end")


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies with the times of the originals; each appears whole or not at all."""

    folder: str
    verb: str = "Copied"

    def found_in(self, root: str, originals: Sequence[str]) -> bool:
        """A copy is a picture like any other."""
        return bool(originals)

    def put(self, original: str, targets: Iterator[str]) -> tuple[str, bool]:
        if not stat.S_ISREG(os.stat(original).st_mode):  # a pipe would keep us waiting for ever
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
        with suppress(OSError):  # some disks hold neither times nor permissions
            shutil.copystat(original, name)
        return name


def _same_bytes(original: str, target: str) -> bool:
    with suppress(OSError):  # what cannot be read is another picture
        return os.path.isfile(target) and filecmp.cmp(original, target, shallow=False)
    return False


def _rename_to_free(source: str, target: str) -> None:
    """Rename, but raise `FileExistsError` where something has the name already."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # FAT and some network disks: take the name first, then replace what we have put there.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.replace(source, target)


def collect(ctx: Context, lib: Library, hits: Sequence[Hit], into: Collection) -> int:
    """Put the pictures of the hits into a folder, and tell of each; 1 if one failed.

    A name that another picture has gets a number: "beach.jpg", "beach-2.jpg".
    """
    originals = [hit.image.file.absolute for hit in hits]
    _prepare(ctx, lib, into, originals)
    failed = 0
    for original in originals:
        try:
            target, made = into.put(original, _names(into.folder, os.path.basename(original)))
            done = into.verb if made else "Has already"
            ctx.say(f"{done} {plain(original)} -> {plain(target)}")
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise
            failed += 1
            complain(f"{original} was left out: {(error.strerror or str(error)).lower()}")
    whole = count_of(len(hits) - failed, "picture")
    ctx.say(f"{whole} of this search in {into.folder}{f', {failed} left out' if failed else ''}.")
    return int(failed > 0)


def _names(folder: str, name: str) -> Iterator[str]:
    """The name in the folder, then the name with 2, 3, ... and, if that is too long, shortened."""
    stem, extension = os.path.splitext(name)
    yield os.path.join(folder, name)
    for number in itertools.count(2):
        tail = f"-{number}{extension}"
        room = _LONGEST_NAME - len(os.fsencode(tail))
        while len(os.fsencode(stem)) > room:
            stem = stem[:-1]
        yield os.path.join(folder, stem + tail)


def _prepare(ctx: Context, lib: Library, into: Collection, originals: Sequence[str]) -> None:
    """Make the folder; tell if what lies there will be taken for pictures of the library."""
    folder = into.folder
    real = os.path.realpath(folder)
    if _inside(real, os.path.realpath(lib.settings.library)):
        raise ImgSearchError(
            f"{folder} lies in the folder of the library, which is for imgsearch alone",
            "Name another folder.",
        )
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise ImgSearchError(
            f"the folder {folder} cannot be made: {error.strerror}", "Name another folder."
        ) from error
    for root in lib.catalog.roots():
        top = os.path.realpath(root.path)
        if _inside(real, top) and into.found_in(top, originals):
            ctx.say(
                f"Beware: {folder} lies in {root.path}, which is indexed: 'imgsearch index' will "
                "find these pictures there, too, unless an --exclude names the folder."
            )
            return


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))
