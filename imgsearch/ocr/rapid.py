"""RapidOCR: PP-OCRv6 (detection, direction, recognition) on ONNX Runtime, on the CPU.

The models are part of the package and are passed by path, so nothing is downloaded; by default the
library would fetch a missing model from the network. It reads Latin letters, Chinese and Japanese.
"""

from __future__ import annotations

from functools import cached_property
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import EncoderError, MissingExtra
from imgsearch.model_card import InputSize
from imgsearch.vectors import Pixels

PACKAGES = ("rapidocr", "onnxruntime")
MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
"""Part of the engine -> its model file in the folder `models` of the package."""
MAX_SIDE_PIXELS = 2000
"""An A4 page then has 170 pixels per inch, and small print is legible. The time and memory of
detection grow with the area."""
MAX_ASPECT_RATIO = 8
"""The longer side over the shorter one; narrower images get margins. Detection scales the shorter
side up to 736 pixels, which would make a strip of 2000 x 1 pixels very large."""
MIN_SIDE_PIXELS = 32
MIN_SCORE = 0.75
"""The engine's confidence in a line. Most false letters in leaves, fur and water score lower, and
little real text does (docs/adr/0016-texts-in-pictures.md)."""

GLANCE_SIDE_PIXELS = 640
MIN_GLANCE_SCORE, MIN_GLANCE_ASPECT = 0.25, 1.6
MIN_SQUARE_GLANCE_SCORE = 0.8
"""What counts as text at a glance: the detector's confidence in a text box, and the length of the
box over its height. Most squarer boxes have a single letter or none, and must be surer: "No" in
large letters is (docs/adr/0046-a-glance-before-reading.md)."""


class RapidReader:
    """A `TextReader` using RapidOCR, loaded with the first image.

    Parameters
    ----------
    threads : int
        CPU threads; 0 leaves the number to ONNX Runtime, which uses all cores.

    Raises
    ------
    MissingExtra
        RapidOCR or ONNX Runtime is not installed.
    """

    input_size = InputSize(long=MAX_SIDE_PIXELS)
    glance_size = InputSize(long=GLANCE_SIDE_PIXELS)

    def __init__(self, threads: int = 0) -> None:
        require()
        self._threads = threads or -1
        self.engine = f"rapidocr {metadata.version('rapidocr')}, PP-OCRv6 small"

    def sees_text(self, pixels: Pixels) -> bool:
        """True if there is a text box in an image of shape (height, width, 3), uint8, RGB.

        `read` scales small images up. This does not, and never sees more than `glance_size`.
        """
        result = self._detector(_bgr(pixels))
        return result.boxes is not None and _is_text(result.boxes, np.array(result.scores))

    def read(self, pixels: Pixels) -> str:
        """The text in an image of shape (height, width, 3), uint8, RGB; one line per text box."""
        return "\n".join(self._rapidocr(_bgr(pixels)).txts or ())

    @cached_property
    def _rapidocr(self) -> Any:
        """The engine with all its models loaded."""
        return self._loaded({"Global.text_score": MIN_SCORE}, use_det=False)

    @cached_property
    def _detector(self) -> Any:
        """An engine with the model of detection alone loaded."""
        return self._loaded(detection(GLANCE_SIDE_PIXELS, MIN_GLANCE_SCORE))

    def _loaded(self, options: dict[str, Any], **first_call: bool) -> Any:
        """An engine with its models loaded.

        Its faults show here, so that they are not taken for faults of the first image.
        """
        # Checked first, because the library would look for a missing model elsewhere.
        paths = {f"{part}.model_path": str(path) for part, path in model_files().items()}
        threads = {"EngineConfig.onnxruntime.intra_op_num_threads": self._threads}
        try:
            import onnxruntime
            from rapidocr import RapidOCR

            onnxruntime.disable_telemetry_events()  # in the builds for Windows
            quiet = {"Global.log_level": "critical"}
            engine = RapidOCR(params={**quiet, **options, **threads, **paths})
            blank = np.full((48, 96, 3), 255, np.uint8)
            engine(blank, **first_call)
            engine(blank, use_det=True)
        except Exception as error:
            raise EncoderError(
                f"the engine that reads texts cannot be loaded: {error}",
                "In your clone of imgsearch, run: pip install -c constraints.txt '.[ocr]'",
            ) from error
        return engine


def installed() -> bool:
    """True if the extra `ocr` is installed; does not import it."""
    try:
        return all(util.find_spec(name) is not None for name in PACKAGES)
    except ImportError:  # from an import hook of this process
        return False


def require() -> None:
    """Raise `MissingExtra` unless the extra `ocr` is installed."""
    if not installed():
        raise MissingExtra("reading the text in pictures", "ocr")


def model_files() -> dict[str, Path]:
    """Part of the engine -> path of its model.

    Raises
    ------
    EncoderError
        The installed release comes with other models.
    """
    spec = util.find_spec("rapidocr")
    folder = Path(spec.origin if spec and spec.origin else "").parent / "models"
    paths = {part: folder / name for part, name in MODELS.items()}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise EncoderError(
            f"the installed rapidocr has no {', '.join(missing)}",
            "In your clone of imgsearch, run: pip install -c constraints.txt '.[ocr]'",
        )
    return paths


def detection(side_pixels: int, min_score: float) -> dict[str, Any]:
    """Options of an engine that only detects text boxes, in images scaled down to this side."""
    return {
        "Global.use_cls": False,
        "Global.use_rec": False,
        "Det.limit_type": "max",
        "Det.limit_side_len": side_pixels,
        "Det.thresh": 0.2,  # of a pixel; small letters are faint
        "Det.box_thresh": min_score,
    }


def _is_text(boxes: NDArray[np.int32], scores: NDArray[np.float64]) -> bool:
    """True if one of the boxes, shape (n, 4, 2), is text with its score, shape (n,)."""
    least = np.where(
        _aspects(boxes) >= MIN_GLANCE_ASPECT, MIN_GLANCE_SCORE, MIN_SQUARE_GLANCE_SCORE
    )
    return bool((scores >= least).any())


def _aspects(boxes: NDArray[np.int32]) -> NDArray[np.float64]:
    """The longer side of each box over its shorter one, from its corners, shape (n, 4, 2)."""
    sides = np.linalg.norm(np.diff(boxes[:, :3].astype(np.float64), axis=1), axis=2)
    aspects: NDArray[np.float64] = sides.max(axis=1) / np.maximum(sides.min(axis=1), 1.0)
    return aspects


def _bgr(pixels: Pixels) -> Pixels:
    """The image as the engine takes it, with margins."""
    return np.ascontiguousarray(_with_margins(pixels)[:, :, ::-1])


def _with_margins(pixels: Pixels) -> Pixels:
    """The image, with white margins if it is too narrow."""
    height, width = pixels.shape[:2]
    min_side = max(MIN_SIDE_PIXELS, -(-max(height, width) // MAX_ASPECT_RATIO))
    extra = (max(0, min_side - height), max(0, min_side - width))
    if not any(extra):
        return pixels
    margins = [(each // 2, each - each // 2) for each in extra]
    return np.pad(pixels, [*margins, (0, 0)], constant_values=255)
