"""For a library whose pictures are not read: a `TextReader` that finds nothing."""

from __future__ import annotations

from imgsearch.model_card import InputSize
from imgsearch.vectors import Pixels


class NullReader:
    """Finds no text in any picture, and has no engine that could be named for it."""

    engine = ""
    input_size = InputSize(long=1)

    def read(self, pixels: Pixels) -> str:
        """Always ""."""
        return ""
