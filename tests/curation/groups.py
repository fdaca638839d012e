"""Pictures in groups with known members, as rows of a catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgsearch.catalog import Catalog
from imgsearch.records import METADATA_VERSION, Encoded, ImageMetadata, RootRecord
from imgsearch.vectors import Embeddings, EmbeddingSpace, normalize
from tests.fakes import DECODER, file_of, vector_of

DIMENSION = 64
SPACE = EmbeddingSpace("toy", "1", "none", DIMENSION)


def around(name: str, count: int, spread: float = 0.05, start: int = 0) -> Embeddings:
    """Unit vectors near the one that is a function of a name."""
    centre = vector_of(name, DIMENSION)
    noise = [vector_of(f"{name} {start + number}", DIMENSION) for number in range(count)]
    return normalize(centre + spread * 8 * np.stack(noise) / DIMENSION**0.5)


def group(name: str, count: int, start: int = 0) -> dict[str, Embeddings]:
    """Paths and vectors of pictures that belong together."""
    rows = around(name, count, start=start)
    return {f"{name}/{start + number}.jpg": row for number, row in enumerate(rows)}


def add(catalog: Catalog, pictures: Mapping[str, Embeddings], mtime_ns: int = 1) -> None:
    """Commit pictures as the indexer does."""
    items = [
        Encoded(
            file_of(path, path + str(mtime_ns), mtime_ns=mtime_ns),
            f"content of {path} {mtime_ns}",
            ImageMetadata(4, 3, "JPEG", metadata_version=METADATA_VERSION),
            vector,
        )
        for path, vector in pictures.items()
    ]
    with catalog.writer() as writer:
        writer.put_root(RootRecord("/photos"))
        writer.begin_run(SPACE, DECODER, "fp32")
        writer.commit(items)


class WordEncoder:
    """A text encoder whose vectors are a function of the word."""

    space = SPACE

    def __init__(self) -> None:
        self.calls = 0

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        self.calls += 1
        return np.stack([vector_of(text, DIMENSION) for text in texts])
