"""The actor of a Ray cluster: a `LocalPool` on a node, and the checks of that node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from imgsearch.encoders.registry import Registry
from imgsearch.errors import ImgSearchError, ModelServerError
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.indexing.indexer import MAX_COMMIT_IMAGES, decoder_pool
from imgsearch.ports import BatchEncoder
from imgsearch.records import METADATA_VERSION, Encoded, ImageFile, Known, Location, Skipped
from imgsearch.settings import LOCAL, Settings
from imgsearch.sources.decoders import DecodeSettings, decoder_signature
from imgsearch.sources.guarded_files import digest_file, is_here
from imgsearch.vectors import EmbeddingSpace, SpaceOptions


@dataclass(frozen=True, slots=True)
class Job:
    """What an actor needs for its work.

    Attributes
    ----------
    space : EmbeddingSpace or None
        None to check a machine without its model.
    signature : str
        See `signature`.
    """

    settings: Settings
    space: EmbeddingSpace | None
    signature: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why a node cannot be used; `root` is the one whose files differ there, or ""."""

    reason: str
    root: str = ""


@dataclass(frozen=True, slots=True)
class Encodings:
    """The results of a batch; `differing` are files that are missing there or have another size."""

    results: list[Encoded | Skipped]
    differing: frozenset[Location]


def signature(settings: Settings) -> str:
    """The versions that decide what is read from a file, equal on all nodes of a run."""
    decoders = decoder_signature(DecodeSettings(max_pixels=settings.max_pixels))
    return f"{decoders}, metadata {METADATA_VERSION}"


def _refusal(error: ImgSearchError) -> Refusal:
    return Refusal(f"{error}. {error.hint}".rstrip(". ") + ".")


def obstacle(job: Job, witnesses: Mapping[str, Known]) -> Refusal | None:
    """The reason to refuse this machine, or None; it does not load the model."""
    mine = signature(job.settings)
    if mine != job.signature:
        return Refusal(f"its versions differ: {mine}; required {job.signature}")
    for root, known in witnesses.items():
        found = digest_file(known.file)
        if not isinstance(found, Known) or found.content_hash != known.content_hash:
            return Refusal(f"{known.file.absolute} is missing or different there", root)
    if job.space is None:
        return None
    try:
        revision = Registry(job.settings).revision(job.space.model)
    except ImgSearchError as error:
        return _refusal(error)
    if revision != job.space.revision:
        return Refusal(
            f"its {job.space.model} has the revision {revision}; required {job.space.revision}"
        )
    return None


class Worker:
    """The actor: a `LocalPool` on a node. It returns refusals, so that their texts arrive."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._roots: set[str] = set()
        self._pool: LocalPool | None = None

    def start(self, witnesses: Mapping[str, Known]) -> int | Refusal:
        """Check this node and load the model; returns the pictures per call of the model."""
        job, space = self._job, self._job.space
        assert space is not None
        if refusal := obstacle(job, witnesses):
            return refusal
        self._roots.update(witnesses)
        options = SpaceOptions(space.instruction, space.dimension, space.visual_tokens)
        try:
            encoder = Registry(job.settings).encoder(space.model, options)
        except ImgSearchError as error:
            return _refusal(error)
        if encoder.space != space:
            return Refusal(f"its model has another space: {encoder.space}; required {space}")
        batch = job.settings.batch_size or MAX_COMMIT_IMAGES
        decoder = partial(decoder_pool, job.settings, measured=True)
        self._pool = LocalPool(lambda: encoder, decoder, batch)
        return encoder.window if isinstance(encoder, BatchEncoder) else batch

    def encode(
        self, files: Sequence[ImageFile], witnesses: Mapping[str, Known]
    ) -> Encodings | Refusal:
        """Encode a batch, after a look at the witnesses of roots that are new to this actor."""
        assert self._pool is not None
        new = {root: each for root, each in witnesses.items() if root not in self._roots}
        if refusal := obstacle(replace(self._job, space=None), new):
            return refusal
        self._roots.update(new)
        scanned = {file.location: file for file in files}
        try:
            results = list(self._pool.encode_files(files))
        except ModelServerError as error:  # no picture is at fault
            return _refusal(error)
        differing = (r.file.location for r in results if _differs(r, scanned[r.file.location]))
        return Encodings(results, frozenset(differing))


def _differs(result: Encoded | Skipped, file: ImageFile) -> bool:
    """True if a result is about another file than the one that a scan has seen elsewhere."""
    if isinstance(result, Encoded):
        return result.file.size != file.size
    return not is_here(file)


def portable(settings: Settings, cpus: float) -> Settings:
    """The settings for an actor, without what belongs to this machine."""
    processors = max(1, int(cpus))
    return replace(
        settings,
        library="",
        catalog="",
        index="auto",
        encoders=LOCAL,
        device=settings.device.partition(":")[0],  # Ray numbers the GPUs of an actor from 0
        workers=settings.workers or processors,
        threads=settings.threads or processors,
    )
