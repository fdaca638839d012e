"""Measures the glance of `index --ocr auto` against reading every picture.

Each picture is read in full, which says whether it has text, and glanced at in several sizes; one
after the other and on one core, so that the ratios hold on a busy machine too. Results are kept in
--store, one JSON object per line, and a run that was stopped continues.

    python benchmarks/text_glance.py FOLDER ... --store results.jsonl
    python benchmarks/text_glance.py FOLDER ... --store results.jsonl --model builtin

The table has, for each size, shape of text boxes and threshold: the share of pictures read; the
recall of pictures with any text, and with a word of three letters or more; the precision of both;
and the time in relation to reading every picture. Times of decoding are in. With --model the time
for indexing a picture, decoded and encoded, is measured as well.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from imgsearch.library import Library
from imgsearch.model_card import InputSize
from imgsearch.ocr import rapid
from imgsearch.records import PHOTO, Decoded, ImageFile
from imgsearch.settings import Settings
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.vectors import Pixels

SIDES = (320, 448, 640)
ASPECTS = (1.0, 1.6, 2.0)
THRESHOLDS = (0.2, 0.25, 0.3, 0.4, 0.5, 0.6)
LEAST_SCORE = 0.1
Row = dict[str, Any]


def detector(side: int) -> Callable[[Pixels], Any]:
    """The detector of a reader that glances at this size, and reports doubtful boxes as well."""
    found = rapid.RapidReader(threads=1)._loaded(rapid.detection(side, LEAST_SCORE))
    return lambda pixels: found(rapid._bgr(pixels))


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """The result, and seconds of the processor."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def decoded(path: str, size: InputSize, measured: bool = False) -> tuple[Decoded, float]:
    result, seconds = timed(
        lambda: decode_path(path, DecodeSettings(input_size=size, measured=measured))
    )
    if not isinstance(result, Decoded):
        raise SystemExit(f"{path}: {result}")
    return result, seconds


class Measurement:
    """The engines and the model, loaded once."""

    def __init__(self, model: str | None) -> None:
        self.detectors = {side: detector(side) for side in SIDES}
        self.reader = rapid.RapidReader(threads=1)
        settings = Settings(library=os.devnull, model=model or "", threads=1)
        self.encoder = Library(settings).encoder() if model else None

    def row(self, path: str) -> Row:
        """All results for a picture."""
        full, seconds = decoded(path, self.reader.input_size)
        found, reading = timed(lambda: self.reader._rapidocr(rapid._bgr(full.pixels)))
        lines = zip(found.txts or (), found.scores or (), strict=True)
        row: Row = {"file": path, "decode_full": seconds, "full": reading}
        row["txts"] = [[text, float(score)] for text, score in lines]
        for side, detect in self.detectors.items():
            small, seconds = decoded(path, InputSize(long=side), measured=True)
            seen, glance = timed(lambda detect=detect, small=small: detect(small.pixels))
            row |= {f"decode_{side}": seconds, f"det_{side}": glance}
            row[f"boxes_{side}"] = boxes(seen)
            row["kind"] = small.measures.kind if small.measures else PHOTO
        if self.encoder is not None:
            shown, seconds = decoded(path, self.encoder.input_size, measured=True)
            _, encoding = timed(lambda: self.encoder.encode_images([shown.pixels]))
            row["index"] = seconds + encoding
        return row


def boxes(result: Any) -> list[tuple[float, float]]:
    """Score and aspect of each text box."""
    if result.boxes is None:
        return []
    aspects = rapid._aspects(np.asarray(result.boxes))
    return [(float(s), float(a)) for s, a in zip(result.scores, aspects, strict=True)]


def letters(row: Row) -> list[int]:
    """The number of letters and digits in each line that is kept."""
    kept = [text for text, score in row["txts"] if score >= rapid.MIN_SCORE]
    return [sum(map(str.isalnum, text)) for text in kept]


def table(rows: Sequence[Row]) -> None:
    """Print the table."""
    any_text = np.array([sum(letters(row)) > 0 for row in rows])
    words = np.array([max(letters(row), default=0) >= 3 for row in rows])
    full = np.array([row["decode_full"] + row["full"] for row in rows])
    print(f"{len(rows)} pictures, {any_text.sum()} with text, {words.sum()} with a word;", end=" ")
    print(f"{sum(row['kind'] != PHOTO for row in rows)} not photos by their pixels\n")
    print("| side, px | aspect | score | read | recall, text | recall, words ", end="")
    print("| precision, text | precision, words | time / reading all |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for side in SIDES:
        glance = sum(row[f"decode_{side}"] + row[f"det_{side}"] for row in rows)

        def line(name: str, read: np.ndarray, glance: float = glance) -> None:
            cost = (glance + full[read].sum()) / full.sum()
            means = (
                *(read.mean(), read[any_text].mean(), read[words].mean()),
                *(any_text[read].mean(), words[read].mean()),
            )
            shares = " | ".join(f"{100 * each:.0f} %" for each in means)
            print(f"| {name} | {shares} | {cost:.2f} |")

        for aspect in ASPECTS:
            best = np.array([highest(row, side, aspect) for row in rows])
            for threshold in THRESHOLDS:
                line(f"{side} | {aspect} | {threshold}", best >= threshold)
        line(f"{side} | as set | as set", np.array([as_set(row, side) for row in rows]))


def highest(row: Row, side: int, aspect: float) -> float:
    """The score of the best box of this shape; 1 if the picture is read for its kind."""
    if row["kind"] != PHOTO:
        return 1.0
    return max((score for score, each in row[f"boxes_{side}"] if each >= aspect), default=0.0)


def as_set(row: Row, side: int) -> bool:
    """True if the rule of `RapidReader.sees_text` reads the picture."""
    long = highest(row, side, rapid.MIN_GLANCE_ASPECT) >= rapid.MIN_GLANCE_SCORE
    return long or highest(row, side, 0.0) >= rapid.MIN_SQUARE_GLANCE_SCORE


def times(rows: Sequence[Row]) -> None:
    """Print medians of the ratios to the time for indexing a picture."""
    measured = [row for row in rows if "index" in row]
    for side in SIDES if measured else ():
        ratios = [(row[f"decode_{side}"] + row[f"det_{side}"]) / row["index"] for row in measured]
        print(f"glance at {side} px / indexing: {np.median(ratios):.2f}")
    if measured:
        reading = [(row["decode_full"] + row["full"]) / row["index"] for row in measured]
        print(f"reading / indexing: {np.median(reading):.1f}")
        looks = [
            (row[f"decode_{SIDES[-1]}"] + row[f"det_{SIDES[-1]}"])
            / (row["decode_full"] + row["full"])
            for row in measured
        ]
        print(f"glance at {SIDES[-1]} px / reading: {np.median(looks):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--store", required=True, help="file of results")
    parser.add_argument("--model", help="also measure indexing with this model")
    parser.add_argument("--most", type=int, help="number of pictures, chosen at random")
    args = parser.parse_args()
    scans = (FilesystemSource(folder).scan() for folder in args.folders)
    paths = [each.absolute for scan in scans for each in scan if isinstance(each, ImageFile)]
    random.Random(1).shuffle(paths)
    rows: list[Row] = []
    if os.path.exists(args.store):
        with open(args.store, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    known = {row["file"] for row in rows}
    left = [path for path in paths[: args.most] if path not in known]
    measurement = Measurement(args.model) if left else None
    with open(args.store, "a", encoding="utf-8") as file:
        for path in left:
            rows.append(measurement.row(path))
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
    table(rows)
    times(rows)


if __name__ == "__main__":
    main()
