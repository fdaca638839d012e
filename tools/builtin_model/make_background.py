"""Builds `background.npz`, vectors of varied pictures that stand for those of other people.

A developer runs it once per revision of the model:

    python -m tools.builtin_model.make_background data/photos tests/data/scenes/images

Both folders hold pictures that may be redistributed; their LICENCES.md name the authors. Only the
blocks that texts use are stored, as float16.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imgsearch.encoders import builtin
from imgsearch.encoders.builtin import weights
from imgsearch.encoders.builtin.answer_prior import TEXT_DIMENSIONS
from imgsearch.model_card import EncoderOptions
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.vectors import Embeddings

_BATCH = 16


def encode(folders: list[Path]) -> Iterator[Embeddings]:
    """Vectors of the pictures in some folders, by path."""
    encoder = builtin.load(options=EncoderOptions(precision="fp32"))
    settings = DecodeSettings(input_size=encoder.input_size)
    paths = sorted(path for folder in folders for path in folder.iterdir())
    for start in range(0, len(paths), _BATCH):
        images = [decode_path(str(path), settings).pixels for path in paths[start : start + _BATCH]]
        yield encoder.encode_images(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=weights.BACKGROUND)
    arguments = parser.parse_args()
    vectors = np.concatenate(list(encode(arguments.folders)))[:, :TEXT_DIMENSIONS]
    np.savez_compressed(arguments.output, vectors=vectors.astype(np.float16))


if __name__ == "__main__":
    main()
