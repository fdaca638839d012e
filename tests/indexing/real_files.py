"""A folder of real picture files, indexed with real decoders and a model that takes no time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imgsearch.catalog import Catalog
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.indexing.ingest import Ingestor
from imgsearch.indexing.verification import Verification
from imgsearch.records import (
    Encoded,
    ImageFile,
    ImageMetadata,
    ImageRecord,
    IngestReport,
    Known,
    RootRecord,
    Skipped,
)
from imgsearch.sources.decoder_pool import InlineDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.folder_source import FilesystemSource
from tests.crash.plugin.cheap_encoder import CheapEncoder
from tests.fakes import DECODER, held


def picture(path: Path, seed: int, **options: Any) -> Path:
    """A BMP or JPEG of noise; BMPs of all seeds have the same size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(noise).save(path, **options)
    return path


class CountingSource(FilesystemSource):
    """Remembers the files that it has hashed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.hashed: list[str] = []

    def digest(self, file: ImageFile) -> Known | Skipped:
        self.hashed.append(file.path)
        return super().digest(file)


class CountingPool(LocalPool):
    """Remembers the files that it has encoded, and those that it has read for their metadata."""

    def __init__(self) -> None:
        decoder = lambda size, images: InlineDecoder(DecodeSettings(size))  # noqa: E731
        super().__init__(CheapEncoder, decoder, 4)
        self.encoded: list[str] = []
        self.described: list[str] = []

    def encode_files(self, files: Iterable[ImageFile]) -> Iterator[Encoded | Skipped]:
        return super().encode_files(noted(files, self.encoded))

    def describe_files(self, files: Iterable[ImageFile]) -> Iterator[Known | Skipped]:
        return super().describe_files(noted(files, self.described))


def noted(files: Iterable[ImageFile], paths: list[str]) -> Iterator[ImageFile]:
    for file in files:
        paths.append(file.path)
        yield file


class Photos:
    """Folders and their library.

    Attributes
    ----------
    hashed, described, encoded : list of str
        Paths that the last run has read, and for what.
    """

    def __init__(self, catalog: Catalog, *roots: Path) -> None:
        self.catalog, self.roots = catalog, roots
        for root in roots:
            root.mkdir(exist_ok=True)
        self.hashed: list[str] = []
        self.described: list[str] = []
        self.encoded: list[str] = []

    def index(
        self,
        verify: bool = False,
        stop: Callable[[], bool] = lambda: False,
        batch_size: int = 4,
        **options: Any,
    ) -> IngestReport:
        catalog, pool = self.catalog, CountingPool()
        sources = [CountingSource(str(root)) for root in self.roots]
        with catalog.writer() as writer:
            for source in sources:
                writer.put_root(RootRecord(source.root))
            writer.begin_run(CheapEncoder.space, DECODER, "fp32")
            ingestor = Ingestor(
                catalog, writer, pool, CheapEncoder.space, DECODER, batch_size, catalog.folder,
                stop=stop,
                verification=Verification(catalog.folder, catalog.uuid) if verify else None,
                **options,
            )  # fmt: skip
            try:
                return ingestor.run([(each, RootRecord(each.root)) for each in sources])
            finally:
                pool.close()
                self.hashed = [path for source in sources for path in source.hashed]
                self.described, self.encoded = pool.described, pool.encoded

    def record(self, path: Path) -> ImageRecord:
        record = self.catalog.locate(str(path))
        assert record is not None
        return record

    def metadata(self, path: Path) -> ImageMetadata:
        return self.record(path).metadata

    def vectors(self) -> dict[str, bytes]:
        vectors = held(self.catalog, CheapEncoder.space)
        return {path: vector.tobytes() for path, vector in vectors.items()}
