"""Finds the metadata files of an image beside it: XMP sidecars, and JSON of Google Takeout.

Names of XMP files are `x.jpg.xmp` and `x.xmp`; the latter belongs to every `x.*`. Takeout's follow
public reports: the name of the image, then in newer exports ".supplemental-metadata", the whole cut
to 46 characters, then the number of a copy, then ".json".
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator

import xxhash

from imgsearch.records import signed
from imgsearch.sources.formats import extension

EXTENSIONS = frozenset(("xmp", "json"))

_MAX_STEM_CHARACTERS = 46
"""Takeout cuts what comes before the number and ".json"."""
_MIN_CUT_CHARACTERS = 40
"""A name shorter than this was not cut; characters are counted differently in other scripts."""
_SUFFIX = "supplemental-metadata"
_NUMBER = re.compile(r"(.*)\((\d{1,4})\)")
_EDITED = tuple(
    f"-{word}"
    for word in (
        "edited", "effects", "smile", "mix", "bearbeitet", "modifié", "modifie", "modificato",
        "modificata", "editado", "editada", "ha editado", "editat", "bewerkt", "edytowane",
        "redigerad", "redigeret", "redigert", "muokattu", "upraveno", "upravené", "szerkesztve",
        "editată", "düzenlendi", "изменено", "отредактировано", "відредаговано", "編集済み",
        "已修改", "已编辑", "已編輯", "수정됨", "แก้ไขแล้ว", "đã chỉnh sửa",
    )
)  # fmt: skip
"""Suffixes that Google Photos adds to an edited copy, which has no JSON file of its own."""
_ORIGINAL_EXTENSIONS = ("heic", "jpg", "jpeg", "png", "dng")
"""An edited copy may be a JPEG though the original is not."""

_Key = tuple[str, str]
"""The folded name of an image, as much of it as a JSON file has, and the number of the copy."""


class FolderSidecars:
    """The metadata files of one folder.

    Parameters
    ----------
    folder : str
        Absolute path of the folder.
    names : iterable of str
        Names in it with one of the `EXTENSIONS`.
    stores_ctime : bool
        The file system stores the time of the last change of a file.
    """

    def __init__(self, folder: str, names: Iterable[str], stores_ctime: bool) -> None:
        self._folder, self._stores_ctime = folder, stores_ctime
        self._xmp: dict[str, str] = {}
        self._whole: dict[_Key, str] = {}
        self._cut: dict[_Key, str] = {}
        self._states: dict[str, tuple[object, ...]] = {}
        for name in sorted(names):
            self._add(name)

    def _add(self, name: str) -> None:
        folded = folded_name(name)
        if extension(name) == "xmp":
            self._xmp.setdefault(folded, name)
            return
        stem, number = _numbered(folded[: -len(".json")])
        for written in _written(stem):
            self._whole.setdefault((written, number), name)
            if len(stem) + len(number) >= _MIN_CUT_CHARACTERS:
                self._cut.setdefault((written, number), name)
        if number:  # a picture may be called "x(1).jpg" itself
            for written in _written(folded[: -len(".json")]):
                self._whole.setdefault((written, ""), name)

    def of(self, image: str) -> tuple[str, ...]:
        """The metadata files of the image with this name, in order of precedence."""
        folded = folded_name(image)
        stem = folded.rpartition(".")[0]
        xmp = (self._xmp.get(f"{folded}.xmp"), self._xmp.get(f"{stem}.xmp"))
        found = [name for name in (*xmp, self._takeout(folded)) if name]
        return tuple(dict.fromkeys(found))

    def _takeout(self, folded: str) -> str | None:
        if not self._whole:
            return None
        return next(filter(None, (self._json(*key) for key in _originals(folded))), None)

    def _json(self, image: str, number: str) -> str | None:
        """The JSON file of an image and a number; the one that has most of the name."""
        stem = len(image.rpartition(".")[0])
        for length in range(len(image), stem - 1, -1):
            if name := self._whole.get((image[:length], number)):
                return name
        if self._cut:
            for length in range(stem - 1, _MIN_CUT_CHARACTERS - 4, -1):
                if name := self._cut.get((image[:length], number)):
                    return name
        return None

    def stamp(self, names: tuple[str, ...]) -> int:
        """A number that changes when one of these files does, signed 64-bit; 0 without any."""
        if not names:
            return 0
        states = repr([self._state(name) for name in names])
        return signed(xxhash.xxh3_64_intdigest(states.encode("utf-8", "surrogateescape"))) or 1

    def _state(self, name: str) -> tuple[object, ...]:
        if name not in self._states:
            try:
                status = os.stat(os.path.join(self._folder, name))
            except OSError:
                self._states[name] = (name,)
            else:
                ctime = status.st_ctime_ns if self._stores_ctime else 0
                self._states[name] = name, status.st_size, status.st_mtime_ns, ctime
        return self._states[name]


def folded_name(name: str) -> str:
    """A name in the form for comparison: archives of other systems change case and normal form."""
    return unicodedata.normalize("NFC", name).casefold()


def _numbered(stem: str) -> _Key:
    """A name without the number of a copy at its end, and that number or ""."""
    match = _NUMBER.fullmatch(stem)
    return (match[1], match[2]) if match and match[1] else (stem, "")


def _written(stem: str) -> Iterator[str]:
    """The name of the image in the name of a JSON file, possibly cut."""
    yield stem
    name, dot, end = stem.rpartition(".")
    if dot and _SUFFIX.startswith(end):
        yield name


def _originals(folded: str) -> Iterator[_Key]:
    """The image itself, and the images that it may be a numbered or edited copy of, best first."""
    yield folded, ""
    stem, _, end = folded.rpartition(".")
    plain, number = _numbered(stem)
    if number:
        yield f"{plain}.{end}", number
    original = _unedited(plain)
    if not original:
        return
    base, inner = _numbered(original)
    for extension_ in dict.fromkeys((end, *_ORIGINAL_EXTENSIONS)):
        yield f"{original}.{extension_}", number
        if inner:
            yield f"{base}.{extension_}", inner


def _unedited(stem: str) -> str:
    """The name of the original of an edited copy; "" if it is not one.

    In a name that was cut, only the beginning of the ending may be left.
    """
    for ending in _EDITED:
        if stem.endswith(ending):
            return stem[: -len(ending)]
    head, dash, rest = stem.rpartition("-")
    cut = len(stem) >= _MAX_STEM_CHARACTERS and any(e.startswith(dash + rest) for e in _EDITED)
    return head if cut else ""
