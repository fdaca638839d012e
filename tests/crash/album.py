"""Folders of small pictures that change like those of users, and the expected library."""

from __future__ import annotations

import io
import os
import random
import shutil
from pathlib import Path

import numpy as np
import xxhash
from PIL import Image

from imgsearch.catalog import Catalog
from imgsearch.catalog.rows import from_blobs, to_blob
from imgsearch.indexes.faiss_index import FaissIndex
from imgsearch.indexing.index_files import sync, verify
from imgsearch.records import Decoded, ImageFile
from imgsearch.sources.decode import decode_file
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.vectors import Embeddings
from tests.crash.plugin.cheap_encoder import DIMENSION, SPACE, CheapEncoder

ENCODER = CheapEncoder()
SETTINGS = DecodeSettings(ENCODER.input_size, measured=True)
"""As `index` decodes: the measures of a picture need more pixels than this model reads."""
Pictures = dict[str, str]
"""Absolute path to content hash."""


class Album:
    """Two folders of pictures on disk. `vectors` has all pictures that ever existed in them."""

    def __init__(self, place: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.roots = [str(place / "one"), str(place / "two")]
        self.vectors: dict[str, Embeddings] = {}
        self.ever: set[tuple[str, str]] = set()
        self._drawn = 0
        for root in self.roots:
            os.makedirs(root)
            self.write(f"{root}/first.jpg")

    def draw(self) -> bytes:
        """A new picture; one in fifteen is broken."""
        self._drawn += 1
        if self.random.random() < 1 / 15:
            return b"broken" * self._drawn
        colours = [[self.random.randrange(256) for _ in range(3)] for _ in range(64)]
        grid = np.array(colours, np.uint8).reshape(8, 8, 3)
        out = io.BytesIO()
        size = (self.random.randrange(40, 90), self.random.randrange(40, 90))
        Image.fromarray(grid).resize(size, Image.Resampling.NEAREST).save(out, "JPEG")
        return out.getvalue()

    def write(self, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        data = self.draw()
        with open(path + ".new", "wb") as file:
            file.write(data)
        self._note(path + ".new", path)
        os.replace(path + ".new", path)

    def _note(self, source: str, path: str) -> None:
        """Record the picture at `source` before it appears at `path`."""
        content_hash = digest(source)
        self.ever.add((path, content_hash))
        if content_hash not in self.vectors:
            vector = encode(source)
            if vector is not None:
                self.vectors[content_hash] = vector

    def paths(self) -> list[str]:
        return sorted(
            os.path.join(folder, name)
            for root in self.roots
            for folder, _, names in os.walk(root)
            for name in names
            if name.endswith(".jpg")
        )

    def pictures(self) -> Pictures:
        """The pictures that exist now and can be decoded."""
        hashes = {path: digest(path) for path in self.paths()}
        return {path: each for path, each in hashes.items() if each in self.vectors}

    def any(self) -> str:
        return self.random.choice(self.paths())

    def fresh(self) -> str:
        folder = self.random.choice(["", "/a", "/a/b", "/ö \n"])
        return f"{self.random.choice(self.roots)}{folder}/{self.random.randrange(10**6)}.jpg"

    def change(self, times: int) -> None:
        """Make random changes like those of users."""
        deeds = [self.add] * 4 + [self.edit, self.move, self.copy, self.delete, self.touch]
        deeds += [self.swap, self.replace]
        for _ in range(times):
            self.random.choice(deeds)()

    def add(self) -> None:
        for _ in range(self.random.randrange(1, 6)):
            self.write(self.fresh())

    def edit(self) -> None:
        self.write(self.any())

    def touch(self) -> None:
        os.utime(self.any())

    def move(self) -> None:
        self._relocate(os.replace, self.any(), self.fresh())

    def copy(self) -> None:
        self._relocate(shutil.copy2, self.any(), self.fresh())

    def replace(self) -> None:
        """Replace a picture by another one."""
        old, new = self.any(), self.any()
        if old != new:
            self._relocate(os.replace, old, new)

    def swap(self) -> None:
        one, other = self.any(), self.any()
        if one != other:
            self._relocate(os.replace, one, one + ".swap")
            self._relocate(os.replace, other, one)
            self._relocate(os.replace, one + ".swap", other)

    def delete(self) -> None:
        if len(self.paths()) > 10:
            os.remove(self.any())

    def _relocate(self, how: object, old: str, new: str) -> None:
        os.makedirs(os.path.dirname(new), exist_ok=True)
        self._note(old, new)
        how(old, new)  # type: ignore[operator]

    def fingerprint(self) -> dict[str, tuple[object, ...]]:
        """Everything that a program could change: names, kinds, sizes, times, modes, contents."""
        return fingerprint(*self.roots)


def fingerprint(*roots: str) -> dict[str, tuple[object, ...]]:
    """Names, modes, owners, sizes, times and content hashes of all files below."""
    states: dict[str, tuple[object, ...]] = {}
    for root in roots:
        paths = [root, *(str(path) for path in Path(root).rglob("*"))]
        for path in paths:
            status = os.lstat(path)
            states[path] = (
                status.st_mode,
                status.st_uid,
                status.st_size if os.path.isfile(path) else None,
                status.st_mtime_ns,
                status.st_ctime_ns,
                digest(path) if os.path.isfile(path) else None,
            )
    return states


def digest(path: str) -> str:
    with open(path, "rb") as file:
        return xxhash.xxh3_128(file.read()).hexdigest()


def encode(path: str) -> Embeddings | None:
    """The vector of a file as the library must store it; None if it is not a picture."""
    status = os.stat(path)
    file = ImageFile(os.path.dirname(path), os.path.basename(path), status.st_size, 0)
    result = decode_file(file, SETTINGS)
    if not isinstance(result, Decoded):
        return None
    return from_blobs([to_blob(ENCODER.encode_images([result.pixels])[0])], DIMENSION)[0]


def inspect(catalog: Catalog, index: FaissIndex, album: Album) -> Pictures:
    """The pictures that a search can find; fails unless catalog, index and pictures agree."""
    with catalog.snapshot():
        assert index.doubt == ""
        assert sync(catalog, index) == ""
        assert catalog.check() == []
        assert verify(catalog, index) == []
        ids = index.ids()
        records = catalog.get(ids.tolist())
    assert set(records) == set(ids.tolist())
    vectors = index.vectors(ids)
    pictures: Pictures = {}
    for image_id, vector in zip(ids.tolist(), vectors, strict=True):
        file = records[image_id].file
        content_hash = records[image_id].content_hash
        assert np.array_equal(vector, album.vectors[content_hash]), file
        assert (file.absolute, content_hash) in album.ever
        if _untouched(file):
            again = encode(file.absolute)
            assert again is not None and np.array_equal(vector, again), file
        assert file.absolute not in pictures
        pictures[file.absolute] = content_hash
    for image_id in album.random.sample(ids.tolist(), min(5, len(ids))):
        _find(
            index,
            image_id,
            records[image_id].content_hash,
            {i: r.content_hash for i, r in records.items()},
            album,
        )
    return pictures


def _find(
    index: FaissIndex, image_id: int, content_hash: str, hashes: dict[int, str], album: Album
) -> None:
    """A picture finds exactly itself and its copies with score 1."""
    copies = {i for i, each in hashes.items() if each == content_hash}
    matches = index.search(album.vectors[content_hash][np.newaxis], len(copies) + 1)
    best = matches.ids[0][matches.scores[0] > 0.9999].tolist()
    assert image_id in best and set(best) == copies


def _untouched(file: ImageFile) -> bool:
    try:
        status = os.stat(file.absolute)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns)


def open_index(catalog: Catalog) -> FaissIndex:
    return FaissIndex(os.path.join(catalog.folder, "index"), catalog.uuid, SPACE)
