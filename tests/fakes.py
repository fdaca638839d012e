"""Small real parts for tests: spaces, files, vectors, and records made from a number."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from imgsearch.catalog import Catalog
from imgsearch.errors import EncoderError
from imgsearch.indexes.faiss_index import GpuIndex, IvfIndex
from imgsearch.indexes.gpu_copy import MAX_SELECTION, GpuCopy
from imgsearch.indexes.mapped_vectors import Stored
from imgsearch.indexes.threads import import_faiss
from imgsearch.indexing.ingest import Ingestor, Unread
from imgsearch.ports import ImageSource, Unchanged, nothing_known
from imgsearch.records import (
    METADATA_VERSION,
    ChangeBatch,
    Encoded,
    FileRun,
    ImageFile,
    ImageMetadata,
    IngestReport,
    Known,
    RootRecord,
    Skipped,
    Unvisited,
)
from imgsearch.searching.hits import Ranking
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, normalize

DIMENSION = 8
SPACE = EmbeddingSpace("toy", "1", "none", DIMENSION)
OTHER = EmbeddingSpace("other", "1", "none", DIMENSION)
DECODER = "decoder 1"


class SmallIvf(IvfIndex):
    """An inverted file from four pictures on."""

    trained_from = 4


class LimitedIndex:
    """Shards of FAISS on the processor, with the limits that FAISS has on CUDA.

    Queries are rounded to float16, and a selector of ids is ignored.
    """

    def __init__(self, shards: Sequence[Any], successive: bool) -> None:
        self.calls: list[int] = []
        self._shards = import_faiss().IndexShards(shards[0].d, False, successive)
        for shard in shards:
            self._shards.add_shard(shard)

    def search(self, queries: Embeddings, k: int, params: Any = None) -> tuple[Embeddings, Ids]:
        self.calls.append(k)
        if max(k, getattr(params, "nprobe", 1)) > MAX_SELECTION:
            raise RuntimeError("Error: 'k <= 2048' failed")
        rounded = queries.astype(np.float16).astype(np.float32)
        found: tuple[Embeddings, Ids] = self._shards.search(rounded, k, params=params)
        return found


def copied_to_two(main: Stored) -> GpuCopy:
    """A copy in the form that two GPUs would have, on the processor."""
    faiss = import_faiss()
    shards = []
    for number, rows in enumerate(np.array_split(np.arange(main.count), 2)):
        if main.header.trained:
            raw = main.raw
            quantizer = faiss.downcast_index(raw.quantizer)
            half = (faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False)
            shard = faiss.IndexIVFScalarQuantizer(quantizer, raw.d, raw.nlist, *half)
            shard.is_trained = True
            raw.copy_subset_to(shard, faiss.InvertedLists.SUBSET_TYPE_ID_MOD, 2, number)
        else:
            shard = faiss.IndexScalarQuantizer(
                main.dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
            )
            shard.add(main.as_stored(rows))
        shards.append(shard)
    return GpuCopy(main, LimitedIndex(shards, not main.header.trained), "two processors")


class CopiedIndex(GpuIndex):
    """The kind `faiss-gpu` with stand-ins for two GPUs."""

    gpu_copy = staticmethod(copied_to_two)


class SmallCopiedIvf(CopiedIndex):
    """The same from four pictures on with lists."""

    trained_from = 4


def vector_of(content: str, dimension: int = DIMENSION) -> Embeddings:
    """A unit vector, float32, that is a function of the content."""
    seed = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big")
    return normalize(np.random.default_rng(seed).standard_normal((1, dimension)))[0]


def unit_rows(count: int, seed: int = 0, dimension: int = DIMENSION) -> Embeddings:
    return normalize(np.random.default_rng(seed).standard_normal((count, dimension)))


def file_of(path: str, content: str, root: str = "/photos", mtime_ns: int = 1) -> ImageFile:
    """A file whose size is a function of its content."""
    return ImageFile(root, path, 1000 + len(content), mtime_ns)


def encoded(path: str, content: str, root: str = "/photos", mtime_ns: int = 1) -> Encoded:
    metadata = ImageMetadata(4, 3, "JPEG", metadata_version=METADATA_VERSION)
    return Encoded(file_of(path, content, root, mtime_ns), content, metadata, vector_of(content))


def long_path(seed: int, length: int = 3600) -> str:
    """A path that cannot be compressed, of folders with names of 200 characters."""
    digits = random.Random(seed).choices("0123456789abcdef", k=length)
    return "/".join("".join(digits[start : start + 199]) for start in range(0, length, 200))


def batch(
    ids: list[int],
    vectors: Embeddings,
    since: int = 0,
    revision: int = 1,
    removals: tuple[int, ...] = (),
    token: str = "token",
) -> ChangeBatch:
    return ChangeBatch(
        since, revision, token, np.array(removals, np.int64), np.array(ids, np.int64), vectors
    )


class MemoryFolder:
    """Files in memory: an image source, and a pool that encodes their content.

    `files` maps a path to (content, mtime_ns). Content that begins with "broken" does not
    decode; content that begins with "unreadable" cannot be read this time.
    """

    def __init__(self, root: str = "/photos", scope: str = "") -> None:
        self.root = root
        self.scope = scope
        self.mounts: list[str] = []
        self.files: dict[str, tuple[str, int]] = {}
        self.unvisited: list[Unvisited] = []

    def scan(
        self, unchanged: Unchanged = nothing_known
    ) -> Iterator[ImageFile | Skipped | Unvisited]:
        yield from self.unvisited
        closed = tuple(folder.path + "/" for folder in self.unvisited if folder.path)
        if any(not folder.path for folder in self.unvisited):
            return
        for path, (content, mtime_ns) in self.files.items():
            below = not self.scope or path.startswith(self.scope + "/")
            if below and not (closed and path.startswith(closed)):
                file = file_of(path, content, self.root, mtime_ns)
                if unchanged(FileRun.of(file)):
                    yield file

    def digest(self, file: ImageFile) -> Known | Skipped:
        return Known(file, self.files[file.path][0])

    def encode(self, file: ImageFile) -> Encoded | Skipped:
        content = self.files[file.path][0]
        if content.startswith(("broken", "unreadable")):
            return Skipped(file, content, transient=content.startswith("unreadable"))
        return encoded(file.path, content, self.root, file.mtime_ns)


class MemoryPool:
    """Encodes the files of memory folders; `fail_after` results it fails like a killed run."""

    def __init__(self, *folders: MemoryFolder) -> None:
        self._folders = {folder.root: folder for folder in folders}
        self.encoded: list[str] = []
        self.fail_after: int | None = None

    def encode_files(self, files: Iterable[ImageFile]) -> Iterator[Encoded | Skipped]:
        for count, file in enumerate(files):
            if count == self.fail_after:
                raise EncoderError("the model fails")
            self.encoded.append(file.path)
            yield self._folders[file.root].encode(file)

    def describe_files(self, files: Iterable[ImageFile]) -> Iterator[Known | Skipped]:
        for file in files:
            item = self._folders[file.root].encode(file)
            known = isinstance(item, Encoded)
            yield Known(item.file, item.content_hash, item.metadata) if known else item

    def close(self) -> None:
        pass


def ingest(
    catalog: Catalog,
    *folders: MemoryFolder,
    space: EmbeddingSpace = SPACE,
    pool: MemoryPool | None = None,
    batch_size: int = 3,
    decoder: str = DECODER,
    **options: Any,
) -> IngestReport:
    """One run of the indexer over folders in memory."""
    pool = pool or MemoryPool(*folders)
    with catalog.writer() as writer:
        for folder in folders:
            writer.put_root(RootRecord(folder.root))
        writer.begin_run(space, decoder, "fp32")
        ingestor = Ingestor(
            catalog, writer, pool, space, decoder, batch_size, catalog.folder, **options
        )
        report = ingestor.run([(folder, RootRecord(folder.root)) for folder in folders])
        writer.end_run("done", {})
    return report


def held(catalog: Catalog, space: EmbeddingSpace = SPACE) -> dict[str, Embeddings]:
    """The searchable pictures of the catalog: absolute path to vector."""
    found: dict[int, Embeddings] = {}
    for changes in catalog.changes(space, since=0):
        found.update(zip(changes.ids.tolist(), changes.vectors, strict=True))
    return {
        record.file.absolute: found[image_id]
        for image_id, record in catalog.get(list(found)).items()
    }


def ranking_of(ids: Ids, scores: Sequence[float] = (), strengths: Sequence[float] = ()) -> Ranking:
    """A ranking of these ids, best first; NaN for no score and no strength."""
    nan = np.full(len(ids), np.nan, np.float32)
    return Ranking(
        np.asarray(ids, np.int64),
        np.array(scores, np.float32) if len(scores) else nan,
        np.array(strengths, np.float32) if len(strengths) else nan,
        np.arange(len(ids)) == 0,
    )


def rehearsed(
    catalog: Catalog, *sources: ImageSource, space: EmbeddingSpace = SPACE
) -> IngestReport:
    """The report of a dry run over whole roots."""
    with catalog.rehearsal() as (copy, rehearsal), copy.writer() as writer:
        roots = [RootRecord(source.root) for source in sources]
        for root in roots:
            writer.put_root(root)
        rehearsal.begin()
        writer.begin_run(space, DECODER, "fp32")
        pool = Unread(space.dimension)
        ingestor = Ingestor(copy, writer, pool, space, DECODER, 3, copy.folder)
        report = ingestor.run(list(zip(sources, roots, strict=True)))
        report.names = rehearsal.names()
    return report
