"""Measures how half precision changes vectors and rankings, compared with float32.

    python benchmarks/precision.py SET... [--precisions fp32,bf16,autocast]

Uses two models: the built-in one with its real weights, and CLIP ViT-B/32 with random weights,
whose vectors are so close together that ranks change more easily than with trained weights. A SET
is a folder as for `imgsearch eval`. Prints the cosine of vectors with those in fp32, how often the
nearest picture is the same, how many of the ten nearest are the same, and recall@10 of the relevant
pictures. "mixed" searches with queries in fp32 among pictures in the other precision.

`imgsearch bench --interleave` measures the speed of precisions.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from imgsearch.bench.random_models import random_encoder
from imgsearch.encoders import builtin
from imgsearch.model_card import EncoderOptions
from imgsearch.ports import Encoder
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings


def open_model(name: str, precision: str) -> Encoder:
    options = EncoderOptions(device="cpu", precision=precision)
    return builtin.load("builtin", options) if name == "builtin" else random_encoder(name, options)


class Answers:
    """Vectors of a set's pictures and queries in one precision."""

    def __init__(self, model: Encoder, folder: Path) -> None:
        inside = next(name for name in ("images", "photos") if (folder / name).is_dir())
        names = sorted(f"{inside}/{path.name}" for path in (folder / inside).iterdir())
        written = folder / "queries.jsonl"
        lines = written.read_text().splitlines() if written.exists() else []
        queries = [json.loads(line) for line in lines]
        settings = DecodeSettings(input_size=model.input_size)
        pictures = [decode_path(str(folder / name), settings).pixels for name in names]
        starts = range(0, len(pictures), 16)
        self.images = np.concatenate([model.encode_images(pictures[i : i + 16]) for i in starts])
        self.texts = model.encode_texts([query["query"] for query in queries]) if lines else None
        self.relevant = [{names.index(name) for name in query["relevant"]} for query in queries]


def nearest(queries: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Indices of the ten best pictures for each query; a picture does not find itself."""
    scores = queries @ images.T
    if queries is images:
        np.fill_diagonal(scores, -2)
    return np.argsort(-scores, axis=1, kind="stable")[:, :10]


def agreement(args: argparse.Namespace) -> None:
    for name in args.models:
        for folder in args.sets:
            exact = None
            for precision in args.precisions:
                found = Answers(open_model(name, precision), folder)
                exact = exact or found
                print(f"{name} {folder.name} {precision}: {compare(found, exact)}", flush=True)


def compare(found: Answers, exact: Answers) -> str:
    cosine = (found.images * exact.images).sum(1)
    words = [f"cosine {cosine.min():.5f} least {cosine.mean():.5f} mean"]
    for kind, queries, base in (
        ("text", found.texts, exact.texts),
        ("mixed", exact.texts, exact.texts),
        ("image", found.images, exact.images),
    ):
        if queries is None:
            continue
        have, want = nearest(queries, found.images), nearest(base, exact.images)
        first = np.mean(have[:, 0] == want[:, 0])
        both = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(have, want, strict=True)])
        words.append(f"{kind} top-1 {first:.1%} ten {both:.1%}")
        if kind != "image":
            hits = [bool(set(row) & fit) for row, fit in zip(have, found.relevant, strict=True)]
            words[-1] += f" recall@10 {np.mean(hits):.1%}"
    return "; ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument(
        "--precisions", type=lambda text: text.split(","), default=["fp32", "bf16", "autocast"]
    )
    parser.add_argument(
        "--models", type=lambda text: text.split(","), default=["builtin", "clip-vit-b-32"]
    )
    args = parser.parse_args()
    agreement(args)


if __name__ == "__main__":
    main()
