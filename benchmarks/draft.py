"""Measures what Pillow's draft mode saves for JPEGs, and how it changes vectors.

A JPEG can be decoded at a half, a quarter or an eighth of its size, unless the result is smaller
than the model needs; "room" is the minimum ratio of the decoded to the needed size. The built-in
model encodes the pictures of a folder with each setting, and the vectors are compared with those
of fully decoded pictures. --queries names a file for 'imgsearch eval' whose texts are searched too.

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
BATCH_IMAGES = 32


def decoded(path: str, size_needed: InputSize, room: float) -> Pixels:
    with Image.open(path) as image:
        factor = size_needed.scale(*image.size)
        size = tuple(max(1, round(factor * side)) for side in image.size)
        drafted = image.draft(image.mode, tuple(round(room * side) for side in size))
        return as_pixels(to_rgb(image, size, drafted[1] if drafted else None))


def ranks(scores: np.ndarray, relevant: Sequence[set[int]]) -> np.ndarray:
    """The rank of the best right answer of each query; shape (queries,)."""
    orders = np.argsort(-scores, axis=1)
    right = [np.isin(order, list(own)) for order, own in zip(orders, relevant, strict=True)]
    return 1 + np.array([each.argmax() for each in right])


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
    parts = [inputs[start : start + BATCH_IMAGES] for start in range(0, len(inputs), BATCH_IMAGES)]
    return np.concatenate([encode(part) for part in parts])  # type: ignore[operator]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--queries", metavar="FILE")
    args = parser.parse_args()
    encoder = Registry(load_settings({})).encoder("builtin")
    names = sorted(name for name in os.listdir(args.folder) if name.endswith((".jpg", ".jpeg")))
    texts, relevant = questions(args.queries, names) if args.queries else ([], [])
    queries = in_batches(encoder.encode_texts, texts) if texts else None
    whole = None
    print(f"{len(names)} JPEGs, {len(texts)} texts; room 99 is the whole picture")
    for room in ROOMS:
        started = time.process_time()
        paths = [os.path.join(args.folder, name) for name in names]
        pictures = [decoded(path, encoder.input_size, room) for path in paths]
        each = 1000 * (time.process_time() - started) / len(names)
        vectors = in_batches(encoder.encode_images, pictures)
        whole = vectors if whole is None else whole
        cosines = (whole * vectors).sum(axis=1)
        line = f"room {room:4g}: {each:5.2f} ms  cosine {cosines.min():.4f}"
        line += f" at least, {np.quantile(cosines, 0.05):.4f} for 95 %, mean {cosines.mean():.4f}"
        if queries is not None:
            place = ranks(queries @ vectors.T, relevant)
            line += f"  R@1 {(place <= 1).mean():.3f}  R@5 {(place <= 5).mean():.3f}"
            line += f"  MRR {(1 / place).mean():.4f}"
        print(line)


if __name__ == "__main__":
    main()
