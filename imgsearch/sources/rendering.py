"""Pictures as a browser shows them: small ones, and whole ones in a format that it knows.

Runs in the same guarded processes as decoding for the index. A file is opened only where it lies
below a folder of the library at that very moment, wherever links lead by now.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from PIL import Image

from imgsearch.model_card import InputSize
from imgsearch.records import Decoded, ImageFile, Skipped, Thumbnail
from imgsearch.sources.decode import decode_bytes
from imgsearch.sources.decoder_pool import ProcessDecoder
from imgsearch.sources.decoder_process import DecodeOne
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.guarded_files import Unusable, content_hash, read_below
from imgsearch.vectors import Pixels

WEBP, JPEG = "WEBP", "JPEG"
_QUALITY = {WEBP: 80, JPEG: 88}


@dataclass(frozen=True, slots=True)
class Wanted(ImageFile):
    """A file to be rendered.

    Attributes
    ----------
    roots : tuple of str
        Folders below one of which the file has to lie.
    side : int
        Pixels of the longer side at most.
    form : str
        WEBP or JPEG.
    """

    roots: tuple[str, ...] = ()
    side: int = 256
    form: str = WEBP


def wanted(file: ImageFile, roots: Sequence[str], side: int, form: str = WEBP) -> Wanted:
    """The order to render a file."""
    return Wanted(file.root, file.path, file.size, file.mtime_ns, tuple(roots), side, form)


class Renderer:
    """Renders files in processes of its own, one call at a time."""

    def __init__(self, settings: DecodeSettings, workers: int, timeout_s: float) -> None:
        # What a worker returns passes through the pool as it is.
        render_one = cast(DecodeOne, render)
        self._pool = ProcessDecoder(settings, workers, timeout_s, decode_one=render_one)

    def render(self, files: Iterable[Wanted]) -> Iterator[Thumbnail | Skipped]:
        """One result per file, in any order, whose `file` is the one that was asked for."""
        return cast(Iterator[Thumbnail | Skipped], self._pool.decode(files))

    def close(self) -> None:
        """Stop the processes."""
        self._pool.close()


class UploadDecoder:
    """Decodes pictures that came over the network, in a process of its own."""

    def __init__(self, settings: DecodeSettings, timeout_s: float) -> None:
        self._pool = ProcessDecoder(settings, 1, timeout_s)

    def decode(self, folder: str, name: str) -> Decoded | Skipped:
        """The picture in the file of that name."""
        return next(iter(self._pool.decode([ImageFile(folder, name, 0, 0)])))

    def close(self) -> None:
        """Stop the process."""
        self._pool.close()


def render(file: Wanted, settings: DecodeSettings) -> Thumbnail | Skipped:
    """Read, decode and encode again; every failure is a value."""
    size = InputSize(long=file.side)
    try:
        data = read_below(file.absolute, file.roots, settings.max_bytes)
        pixels, _ = decode_bytes(data, replace(settings, input_size=size), file.path)
    except Unusable as error:
        return Skipped(file, error.reason, error.transient)
    except MemoryError:
        return Skipped(file, "needs too much memory to be shown")
    height, width = pixels.shape[:2]
    return Thumbnail(file, width, height, _encoded(pixels, file.form), content_hash(data))


def _encoded(pixels: Pixels, form: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, quality=_QUALITY[form])
    return out.getvalue()
