"""Makes a library of many pictures, most of them copies, without encoding any: for load tests.

    python benchmarks/copies_library.py --base LIBRARY --count 20000 --copies 23 TARGET

TARGET is a copy of the library LIBRARY, which the model in use has indexed, with as many pictures
more as make `--count`. Their vectors lie around those of LIBRARY's pictures. Each vector belongs to
`--copies` pictures with different names, as in a folder that was copied many times. Their files
are empty, and lie in TARGET-files: a search looks whether they are there, and no more.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imgsearch import open_library
from imgsearch.catalog import Catalog
from imgsearch.records import Encoded, ImageFile, ImageMetadata, RootRecord
from imgsearch.vectors import Embeddings, EmbeddingSpace, normalize

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
        root = os.path.abspath(f"{args.target}-files")
        fill(library.catalog, space, root, args.count, args.copies)
        library.optimize()


def fill(catalog: Catalog, space: EmbeddingSpace, root: str, count: int, copies: int) -> None:
    """Add pictures until there are `count`."""
    bases = np.concatenate([changes.vectors for changes in catalog.changes(space, since=0)])
    new = images(bases, root, count - catalog.count(), copies)
    for number in range(copies):
        os.makedirs(os.path.join(root, f"{number:03}"))
    with catalog.writer() as writer:
        writer.put_root(RootRecord(root))
        writer.begin_run(space, "none", "fp32")
        while batch := [image for _, image in zip(range(BATCH_PICTURES), new, strict=False)]:
            for image in batch:
                open(image.file.absolute, "xb").close()
            writer.commit(batch)
        writer.end_run("done", {})


def images(bases: Embeddings, root: str, count: int, copies: int) -> Iterator[Encoded]:
    """Pictures around the vectors of shape (n, dimension), `copies` of each."""
    numbers = np.random.default_rng(3)
    for number in range(count):
        if number % copies == 0:
            noise = numbers.standard_normal(bases.shape[1]) * NOISE / bases.shape[1] ** 0.5
            vector = normalize(bases[numbers.integers(len(bases))] + noise[None])[0]
        # Copies are spread over folders, so that their order by path is not that of their ids.
        path = f"{number % copies:03}/{numbers.integers(1 << 30):08x}-{number:07}.jpg"
        file = ImageFile(root, path, 100_000 + number, 1)
        metadata = ImageMetadata(640, 480, "JPEG")
        yield Encoded(file, f"{number // copies:032x}", metadata, vector.astype(np.float32))


if __name__ == "__main__":
    main()
