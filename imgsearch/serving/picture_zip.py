"""The files of pictures as one ZIP file, made piece by piece while it is sent.

Pictures are compressed already, so they are stored as they are.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Generator, Sequence
from datetime import datetime
from typing import IO, cast

from imgsearch.errors import ImgSearchError
from imgsearch.serving.gallery import Located, open_original

_PIECE_BYTES = 1 << 20
LEFT_OUT = "not included.txt"
"""Name of the list of pictures whose files could not be read."""
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""ZIP files know no earlier times."""


class _Sink:
    """What `zipfile` writes, until it is taken; it cannot be sought."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def take(self) -> bytes:
        """The bytes written since the last call."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def picture_zip(images: Sequence[Located]) -> Generator[bytes, None, None]:
    """The pieces of a ZIP file with the files of pictures. One that cannot be read is left out or
    cut off, and named with the reason in a text file at the end."""
    sink, left_out = _Sink(), []
    names = _Names()
    file_like = cast(IO[bytes], sink)  # all that `zipfile` needs for writing in one go
    with zipfile.ZipFile(file_like, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for image in images:
            try:
                descriptor = open_original(image).descriptor
            except ImgSearchError as error:
                left_out.append(f"{_plain(image.record.file.absolute)}: {error}")
                continue
            with os.fdopen(descriptor, "rb") as file:
                status = os.fstat(file.fileno())
                info = zipfile.ZipInfo(names.of(image), _date_time(status.st_mtime))
                info.file_size = status.st_size
                info.external_attr = 0o644 << 16
                with archive.open(info, "w", force_zip64=status.st_size >= 1 << 31) as entry:
                    left = status.st_size
                    while left and (piece := _piece(file, left)):
                        left -= len(piece)
                        entry.write(piece)
                        yield sink.take()
                if left:
                    name = _plain(image.record.file.absolute)
                    left_out.append(f"{name}: its last {left:,} bytes could not be read")
        if left_out:
            archive.writestr(LEFT_OUT, "\n".join([*left_out, ""]))
    yield sink.take()


def _piece(file: IO[bytes], left: int) -> bytes:
    """The next bytes; none if the disk fails, because a part of the answer has been sent."""
    try:
        return file.read(min(_PIECE_BYTES, left))
    except OSError:
        return b""


class _Names:
    """Names in the ZIP file: those of the files, with numbers where they are equal."""

    def __init__(self) -> None:
        self._used = {LEFT_OUT}

    def of(self, image: Located) -> str:
        stem, ending = os.path.splitext(_plain(os.path.basename(image.record.file.path)))
        name, number = stem + ending, 1
        while name.casefold() in self._used:
            number += 1
            name = f"{stem} ({number}){ending}"
        self._used.add(name.casefold())
        return name


def _plain(text: str) -> str:
    """A name that every system can unpack: UTF-8, without separators and control characters."""
    text = os.fsencode(text).decode("utf-8", "replace")
    return "".join("_" if char in '\\:*?"<>|' or not char.isprintable() else char for char in text)


def _date_time(seconds: float) -> tuple[int, int, int, int, int, int]:
    try:
        when = datetime.fromtimestamp(seconds)
    except (OverflowError, ValueError, OSError):
        return _EARLIEST
    return max(_EARLIEST, (when.year, when.month, when.day, when.hour, when.minute, when.second))
