"""Renders images for a browser: thumbnails, and full images in a format that it supports.

Runs in the same guarded processes as decoding for the index. A file is opened only if it lies below
a folder of the library at that moment, after following links.
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
# Method 2 takes half the time of Pillow's default of 4, for files that are 3 % larger (20 photos of
# 512 px).
_OPTIONS: dict[str, dict[str, int]] = {WEBP: {"quality": 80, "method": 2}, JPEG: {"quality": 88}}


@dataclass(frozen=True, slots=True)
class RenderRequest(ImageFile):
    """A file to render.

    Attributes
    ----------
    roots : tuple of str
        The file must lie below one of these folders.
    side : int
        Maximum length of the longer side, in pixels.
    form : str
        WEBP or JPEG.
    """

    roots: tuple[str, ...] = ()
    side: int = 256
    form: str = WEBP


def render_request(
    file: ImageFile, roots: Sequence[str], side: int, form: str = WEBP
) -> RenderRequest:
    """The request to render a file."""
    state = file.root, file.path, file.size, file.mtime_ns
    return RenderRequest(*state, roots=tuple(roots), side=side, form=form)


class Renderer:
    """Renders files in its own processes, one call at a time, at a lower priority than searches."""

    def __init__(self, settings: DecodeSettings, workers: int, timeout_s: float) -> None:
        # The pool passes the results of its workers through unchanged.
        render_one = cast(DecodeOne, render)
        self._pool = ProcessDecoder(
            settings, workers, timeout_s, decode_one=render_one, background=True
        )

    def render(self, files: Iterable[RenderRequest]) -> Iterator[Thumbnail | Skipped]:
        """One result per request, in any order; its `file` is the request."""
        return cast(Iterator[Thumbnail | Skipped], self._pool.decode(files))

    def close(self) -> None:
        """Stop the processes."""
        self._pool.close()


class UploadDecoder:
    """Decodes uploaded images in its own process."""

    def __init__(self, settings: DecodeSettings, timeout_s: float) -> None:
        self._pool = ProcessDecoder(settings, 1, timeout_s)

    def decode(self, folder: str, name: str) -> Decoded | Skipped:
        """Decode the file with this name."""
        return next(iter(self._pool.decode([ImageFile(folder, name, 0, 0)])))

    def close(self) -> None:
        """Stop the process."""
        self._pool.close()


def render(file: RenderRequest, settings: DecodeSettings) -> Thumbnail | Skipped:
    """Read, decode and re-encode a file; a failure is returned as `Skipped`."""
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
    Image.fromarray(pixels).save(out, form, **_OPTIONS[form])
    return out.getvalue()
