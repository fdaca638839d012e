"""RapidOCR: PP-OCRv6 (detection, direction, recognition) on ONNX Runtime, on the processor.

The models come in the package and are named by their paths, so nothing is ever fetched: left to
itself, the library would look for a missing one on the network. It reads Latin letters, Chinese
and Japanese.
"""

from __future__ import annotations

from functools import cached_property
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

from imgsearch.errors import EncoderError, MissingExtra
from imgsearch.model_card import InputSize
from imgsearch.vectors import Pixels

PACKAGES = ("rapidocr", "onnxruntime")
MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
"""Part of the engine -> file of its model in the folder `models` of the package."""
LONGEST_SIDE = 2000
"""Pixels: an A4 page has 170 to the inch then, and small print is legible. Detection costs time
and memory by the area."""
NARROWEST = 8
"""The longer side over the shorter one, at most: narrower pictures get margins. Detection scales
the shorter side up to 736 pixels, which would make a strip of 2000 x 1 pixels a very large one."""
LEAST_SIDE = 32
LEAST_SCORE = 0.75
"""Of the engine's confidence in a line. Most of what it takes for letters in leaves, fur and water
lies below, and little that is written (docs/adr/0016-texts-in-pictures.md)."""


class RapidReader:
    """A `TextReader` on RapidOCR, loaded with the first picture.

    Parameters
    ----------
    threads : int
        Processor threads; 0 leaves it to ONNX Runtime, which takes all cores.

    Raises
    ------
    MissingExtra
        RapidOCR or ONNX Runtime is not installed.
    """

    input_size = InputSize(long=LONGEST_SIDE)

    def __init__(self, threads: int = 0) -> None:
        if not installed():
            raise MissingExtra("reading the text in pictures", "ocr")
        self._threads = threads or -1
        self.engine = f"rapidocr {metadata.version('rapidocr')}, PP-OCRv6 small"

    def read(self, pixels: Pixels) -> str:
        """The text of a picture of shape (height, width, 3), uint8, RGB; one line per text box."""
        found = self._rapidocr(np.ascontiguousarray(_with_margins(pixels)[:, :, ::-1]))  # BGR
        return "\n".join(found.txts or ())

    @cached_property
    def _rapidocr(self) -> Any:
        """The engine with all its models loaded: what is wrong with it shows here, and is not
        taken for a fault of the first picture."""
        # Found first: a model that is missing is not to be looked for anywhere else.
        paths = {f"{part}.model_path": str(path) for part, path in model_files().items()}
        threads = {"EngineConfig.onnxruntime.intra_op_num_threads": self._threads}
        try:
            import onnxruntime
            from rapidocr import RapidOCR

            onnxruntime.disable_telemetry_events()  # of the builds for Windows
            told = {"Global.log_level": "critical", "Global.text_score": LEAST_SCORE}
            engine = RapidOCR(params={**told, **threads, **paths})
            blank = np.full((48, 96, 3), 255, np.uint8)
            engine(blank, use_det=False)
            engine(blank, use_det=True)
        except Exception as error:
            raise EncoderError(
                f"the engine that reads texts cannot be loaded: {error}",
                "In your clone of imgsearch, run: pip install -c constraints.txt '.[ocr]'",
            ) from error
        return engine


def installed() -> bool:
    """True if the extra `ocr` is there; imports nothing of it."""
    try:
        return all(util.find_spec(name) is not None for name in PACKAGES)
    except ImportError:  # by whatever finds modules in this process
        return False


def model_files() -> dict[str, Path]:
    """Part of the engine -> its model.

    Raises
    ------
    EncoderError
        The installed release brings other models than these.
    """
    spec = util.find_spec("rapidocr")
    folder = Path(spec.origin if spec and spec.origin else "").parent / "models"
    found = {part: folder / name for part, name in MODELS.items()}
    missing = [path.name for path in found.values() if not path.is_file()]
    if missing:
        raise EncoderError(
            f"the installed rapidocr has no {', '.join(missing)}",
            "In your clone of imgsearch, run: pip install -c constraints.txt '.[ocr]'",
        )
    return found


def _with_margins(pixels: Pixels) -> Pixels:
    """The picture, with white margins where it is too narrow."""
    height, width = pixels.shape[:2]
    least = max(LEAST_SIDE, -(-max(height, width) // NARROWEST))
    more = (max(0, least - height), max(0, least - width))
    if not any(more):
        return pixels
    margins = [(each // 2, each - each // 2) for each in more]
    return np.pad(pixels, [*margins, (0, 0)], constant_values=255)
