"""Libraries of pictures that exist in the catalog alone, for tests of what comes and goes."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from imgsearch.catalog import Catalog, open_catalog
from imgsearch.catalog.sqlite_file import FILE
from imgsearch.records import METADATA_VERSION, Encoded, ImageMetadata, RootRecord
from imgsearch.vectors import EmbeddingSpace
from tests.fakes import DECODER, SPACE, encoded

Row = tuple[str, str, bytes]
"""Absolute path, content hash and stored vector of a present picture."""


def picture(path: str, content: str, root: str = "/photos", **metadata: object) -> Encoded:
    """A picture whose hash and vector are functions of its content."""
    digest = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    facts = ImageMetadata(4, 3, "JPEG", metadata_version=METADATA_VERSION, **metadata)  # type: ignore[arg-type]
    return replace(encoded(path, content, root), content_hash=digest, metadata=facts)


def add(catalog: Catalog, *pictures: Encoded, space: EmbeddingSpace = SPACE) -> None:
    """One run of an indexer that finds these pictures."""
    with catalog.writer() as writer:
        for root in sorted({each.file.root for each in pictures}):
            writer.put_root(RootRecord(root))
        writer.begin_run(space, DECODER, "fp32")
        writer.commit(pictures)
        writer.end_run("done", {})


@contextmanager
def library(folder: Path, *pictures: Encoded, space: EmbeddingSpace = SPACE) -> Iterator[Catalog]:
    """A library of these pictures."""
    with closing(open_catalog(str(folder), create=True)) as catalog:
        if pictures:
            add(catalog, *pictures, space=space)
        yield catalog


def stored(folder: str | Path, space: EmbeddingSpace = SPACE) -> list[Row]:
    """What the catalog in a folder holds, sorted: present pictures with their vectors."""
    query = (
        "SELECT roots.path || '/' || images.path, images.content_hash, embeddings.vector"
        " FROM images JOIN roots ON roots.id = images.root_id"
        " JOIN embeddings ON embeddings.image_id = images.id"
        " JOIN spaces ON spaces.id = embeddings.space_id"
        " WHERE images.status = 'present' AND spaces.key = ? ORDER BY 1"
    )
    with closing(sqlite3.connect(Path(folder) / FILE)) as connection:
        return connection.execute(query, (space.key,)).fetchall()


def without_vectors(folder: Path, after: int = 0) -> None:
    """Delete the vectors of all pictures with ids above `after`, as if none had been made yet."""
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("DELETE FROM embeddings WHERE image_id > ?", (after,))
