"""imgsearch: search your own pictures by words or by an example picture, on your own machine."""

from __future__ import annotations

__version__ = "0.1.0"
