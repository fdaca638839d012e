"""Makes a library of many pictures, most of them copies, without encoding any: for load tests.

    python benchmarks/copies_library.py --base LIBRARY --count 20000 --copies 23 TARGET

TARGET is a copy of the library LIBRARY, which the model in use has indexed, with as many pictures
more as make `--count`. Their vectors lie around those of LIBRARY's pictures. Each vector belongs to
`--copies` pictures with different names, as in a folder that was copied many times. The files of
these pictures do not exist.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imgsearch import open_library
from imgsearch.catalog import Catalog
from imgsearch.records import Encoded, ImageFile, ImageMetadata, RootRecord
from imgsearch.vectors import Embeddings, EmbeddingSpace, normalize

ROOT = "/copies"
BATCH_PICTURES = 1000
NOISE = 0.5
"""Norm of what is added to a vector of the base library."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--copies", type=int, default=23)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    shutil.copytree(args.base, args.target)
    with open_library(str(args.target)) as library:
        space = library.catalog.default_space()
        assert space is not None, "the base library has no pictures"
        fill(library.catalog, space, args.count, args.copies)
        library.optimize()


def fill(catalog: Catalog, space: EmbeddingSpace, count: int, copies: int) -> None:
    """Add pictures until there are `count`."""
    bases = np.concatenate([changes.vectors for changes in catalog.changes(space, since=0)])
    new = images(bases, count - catalog.count(), copies)
    with catalog.writer() as writer:
        writer.put_root(RootRecord(ROOT))
        writer.begin_run(space, "none", "fp32")
        while batch := [image for _, image in zip(range(BATCH_PICTURES), new, strict=False)]:
            writer.commit(batch)
        writer.end_run("done", {})


def images(bases: Embeddings, count: int, copies: int) -> Iterator[Encoded]:
    """Pictures around the vectors of shape (n, dimension), `copies` of each."""
    numbers = np.random.default_rng(3)
    for number in range(count):
        if number % copies == 0:
            noise = numbers.standard_normal(bases.shape[1]) * NOISE / bases.shape[1] ** 0.5
            vector = normalize(bases[numbers.integers(len(bases))] + noise[None])[0]
        # Copies are spread over folders, so that their order by path is not that of their ids.
        path = f"{number % copies:03}/{numbers.integers(1 << 30):08x}-{number:07}.jpg"
        file = ImageFile(ROOT, path, 100_000 + number, 1)
        metadata = ImageMetadata(640, 480, "JPEG")
        yield Encoded(file, f"{number // copies:032x}", metadata, vector.astype(np.float32))


if __name__ == "__main__":
    main()
