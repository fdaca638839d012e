"""Measures whether memory grows: resident memory after a tenth, half and all of many encodes.

    python benchmarks/growth.py [--model NAME] [--count 10000] [--kinds texts,pictures]

Without --model it uses a CLIP and a SigLIP of a few thousand random weights with the same code as
the real ones, so that 10,000 texts and 10,000 pictures take minutes instead of hours. Pictures and
texts are generated on the fly with many sizes and lengths.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil

from imgsearch.encoders import builtin, generic
from imgsearch.model_card import EncoderOptions
from tests import tiny_models

BATCH_IMAGES = 100


def pictures(random: np.random.Generator) -> list[np.ndarray]:
    sides = random.integers(16, 300, (BATCH_IMAGES, 2))
    return [random.integers(0, 256, (*side, 3), dtype=np.uint8) for side in sides]


def texts(random: np.random.Generator) -> list[str]:
    words = ["red", "dog", "beach", "sunset", "of", "a", "photo", "two", "old", "trains"]
    return [" ".join(random.choice(words, random.integers(1, 40))) for _ in range(BATCH_IMAGES)]


def watch(name: str, kind: str, encode: Callable, make: Callable, count: int) -> None:
    random, process = np.random.default_rng(0), psutil.Process()
    checkpoints = {count // 10, count // 2, count}
    lines = []
    for done in range(BATCH_IMAGES, count + 1, BATCH_IMAGES):
        encode(make(random))
        if done in checkpoints:
            gc.collect()
            lines.append(f"{done}: {process.memory_info().rss / 2**20:.1f} MiB")
    print(f"{name}, {kind}: {'; '.join(lines)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--count", type=int, default=10_000, help="a multiple of 1000")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=["texts", "pictures"])
    args = parser.parse_args()
    options = EncoderOptions(device="cpu", precision=args.precision)
    with tempfile.TemporaryDirectory() as place:
        if args.model:
            load = builtin.load if args.model == builtin.NAME else generic.load
            encoders = {args.model: load(args.model, options)}
        else:
            makers = {"clip": tiny_models.make_clip, "siglip": tiny_models.make_siglip}
            encoders = {
                name: generic.load(str(make(Path(place, name))), options)
                for name, make in makers.items()
            }
        for name, encoder in encoders.items():
            work = {
                "texts": (encoder.encode_texts, texts),
                "pictures": (encoder.encode_images, pictures),
            }
            for kind in args.kinds:
                watch(name, kind, *work[kind], args.count)


if __name__ == "__main__":
    main()
