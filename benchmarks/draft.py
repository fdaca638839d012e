"""How small JPEGs may be decoded: what Pillow's draft mode saves, and what it does to vectors.

A JPEG can be decoded at a half, a quarter or an eighth of its sides, as long as the result is not
smaller than what the model wants; "room" is how many times larger than that it has to be at least.
The built-in model then encodes the pictures of a folder as each choice decodes them, and its
vectors are compared with those of pictures that were decoded whole. --queries names a file for
'imgsearch eval', whose texts are asked as well.

    python benchmarks/draft.py FOLDER [--queries FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence

import numpy as np
from PIL import Image

from imgsearch.encoders.registry import Registry
from imgsearch.model_card import InputSize
from imgsearch.settings import load_settings
from imgsearch.sources.pixels import as_pixels, to_rgb
from imgsearch.vectors import Embeddings, Pixels

ROOMS = (99.0, 2.0, 1.5, 1.0)
BATCH = 32


def decoded(path: str, wanted: InputSize, room: float) -> Pixels:
    with Image.open(path) as image:
        factor = wanted.scale(*image.size)
        size = tuple(max(1, round(factor * side)) for side in image.size)
        drafted = image.draft(image.mode, tuple(round(room * side) for side in size))
        return as_pixels(to_rgb(image, size, drafted[1] if drafted else None))


def ranks(scores: np.ndarray, relevant: Sequence[set[int]]) -> np.ndarray:
    """The rank of the best right answer of each query; shape (queries,)."""
    orders = np.argsort(-scores, axis=1)
    found = [np.isin(order, list(own)) for order, own in zip(orders, relevant, strict=True)]
    return 1 + np.array([each.argmax() for each in found])


def questions(path: str, names: Sequence[str]) -> tuple[list[str], list[set[int]]]:
    places = {name: place for place, name in enumerate(names)}
    texts, relevant = [], []
    with open(path, encoding="utf-8") as file:
        for line in map(json.loads, file):
            own = {places.get(os.path.basename(name), -1) for name in line["relevant"]} - {-1}
            if own and "query" in line:
                texts.append(line["query"])
                relevant.append(own)
    return texts, relevant


def in_batches(encode: object, inputs: Sequence[object]) -> Embeddings:
    parts = [inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH)]
    return np.concatenate([encode(part) for part in parts])  # type: ignore[operator]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--queries", metavar="FILE")
    given = parser.parse_args()
    encoder = Registry(load_settings({})).encoder("builtin")
    names = sorted(name for name in os.listdir(given.folder) if name.endswith((".jpg", ".jpeg")))
    texts, relevant = questions(given.queries, names) if given.queries else ([], [])
    asked = in_batches(encoder.encode_texts, texts) if texts else None
    whole = None
    print(f"{len(names)} JPEGs, {len(texts)} texts; room 99 is the whole picture")
    for room in ROOMS:
        started = time.process_time()
        paths = [os.path.join(given.folder, name) for name in names]
        pictures = [decoded(path, encoder.input_size, room) for path in paths]
        each = 1000 * (time.process_time() - started) / len(names)
        vectors = in_batches(encoder.encode_images, pictures)
        whole = vectors if whole is None else whole
        cosines = (whole * vectors).sum(axis=1)
        line = f"room {room:4g}: {each:5.2f} ms  cosine {cosines.min():.4f}"
        line += f" at least, {np.quantile(cosines, 0.05):.4f} for 95 %, mean {cosines.mean():.4f}"
        if asked is not None:
            place = ranks(asked @ vectors.T, relevant)
            line += f"  R@1 {(place <= 1).mean():.3f}  R@5 {(place <= 5).mean():.3f}"
            line += f"  MRR {(1 / place).mean():.4f}"
        print(line)


if __name__ == "__main__":
    main()
