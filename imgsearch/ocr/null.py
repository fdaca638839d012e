"""A `TextReader` for libraries whose images are not read."""

from __future__ import annotations

from imgsearch.model_card import InputSize
from imgsearch.vectors import Pixels


class NullReader:
    """Finds no text in any image; its engine has no name."""

    engine = ""
    input_size = InputSize(long=1)

    def read(self, pixels: Pixels) -> str:
        """Always ""."""
        return ""
