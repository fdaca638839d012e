"""The ports: what services ask of the world. Every adapter of a port passes its contract tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from imgsearch.filters.tree import Filter
from imgsearch.model_card import EncoderOptions, InputSize, ModelCard
from imgsearch.records import (
    ChangeBatch,
    CommitResult,
    Comparison,
    Decoded,
    Encoded,
    ImageFile,
    ImageRecord,
    Known,
    Revision,
    RootRecord,
    Skipped,
    Unvisited,
)
from imgsearch.searching.strength import Reference
from imgsearch.text_records import TextFound
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches, Pixels

Unchanged = Callable[[list[str], list[int], list[int]], Sequence[int]]
"""Given paths below a root, sizes and mtimes in ns, tells at which places of these lists there are
files that the catalog has not just so. Asked of many files at once, because most often all are."""


def nothing_known(paths: list[str], sizes: list[int], times_ns: list[int]) -> Sequence[int]:
    """No file is unchanged."""
    return range(len(paths))


class UnchangedFiles(Protocol):
    """An `Unchanged` that remembers which pictures it found so."""

    def __call__(
        self, paths: list[str], sizes: list[int], times_ns: list[int]
    ) -> Sequence[int]: ...
    @property
    def ids(self) -> Ids: ...


class ImageSource(Protocol):
    """A place that pictures come from."""

    @property
    def root(self) -> str:
        """Absolute path."""

    @property
    def scope(self) -> str:
        """The folder below the root that is scanned; "" for all of it."""

    @property
    def mounts(self) -> Sequence[str]:
        """After a scan: the mount point that holds the root, then those below it."""

    def scan(
        self, unchanged: Unchanged = nothing_known
    ) -> Iterator[ImageFile | Skipped | Unvisited]:
        """Every picture file once, in any order; opens none of them.

        Files that are `unchanged` are left out. It is asked once for each, quickest in the order
        of paths.
        """

    def digest(self, file: ImageFile) -> Known | Skipped:
        """Read the file once and hash it, without decoding."""


class Decoder(Protocol):
    """Files to pixels, in parallel, with a bounded number in flight."""

    def decode(self, files: Iterable[ImageFile]) -> Iterator[Decoded | Skipped]:
        """One result per file, in any order. A file that cannot be decoded is a `Skipped`."""

    def close(self) -> None: ...


class Encoder(Protocol):
    """A cross-modal model. Both methods return one unit row per input, in order."""

    @property
    def space(self) -> EmbeddingSpace: ...
    @property
    def card(self) -> ModelCard: ...
    @property
    def input_size(self) -> InputSize: ...

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings: ...
    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings: ...


@runtime_checkable
class BatchEncoder(Encoder, Protocol):
    """An `Encoder` that makes batches itself: of pictures of like sizes, as many as fit in memory.

    Whoever has many pictures hands it `window` of them at a time. An encoder without these two
    members gets `Settings.batch_size` pictures per call of `encode_images`, or 32.
    """

    @property
    def window(self) -> int:
        """How many pictures it would like to have at once; fewer will do."""

    def encode_in_batches(
        self, images: Sequence[Pixels]
    ) -> Iterator[tuple[Sequence[int], Embeddings]]:
        """Places among the pictures, each once, and their rows, as soon as they are computed."""


@runtime_checkable
class FusedEncoder(Encoder, Protocol):
    """An `Encoder` that reads words and a picture in one forward pass."""

    def encode_fused(
        self, texts: Sequence[str], images: Sequence[Pixels], instruction: str | None = None
    ) -> Embeddings:
        """One unit row for each text with its picture, in order."""


class EncoderModule(Protocol):
    """What an entry point of the group `imgsearch.encoders` points to."""

    @property
    def CARDS(self) -> Sequence[ModelCard]:
        """The models that it offers by name."""

    def load(self, name: str, options: EncoderOptions) -> Encoder:
        """The encoder of that name; raises EncoderError when it cannot be had."""

    def revision(self, name: str, source: str = "", text_source: str = "") -> str:
        """The revision of its space, found without loading the model. The sources are those of
        `EncoderOptions`, and given only where they are not empty."""


class EncoderPool(Protocol):
    """Files to vectors: decode and encode, overlapped, with a bounded number in flight."""

    def encode_files(self, files: Iterable[ImageFile]) -> Iterator[Encoded | Skipped]:
        """One result per file, in any order."""

    def close(self) -> None: ...


class TextReader(Protocol):
    """Reads what is written in pictures."""

    @property
    def engine(self) -> str:
        """Name and revision of what reads, kept beside each text; "" for one that reads nothing."""

    @property
    def input_size(self) -> InputSize:
        """How large pictures have to be for small print to be legible."""

    def read(self, pixels: Pixels) -> str:
        """The text of a picture, lines apart; "" where there is none.

        What it raises is a fault of this picture, unless it is an `ImgSearchError`.
        """


class VectorIndex(Protocol):
    """A projection of the catalog's vectors of one space that can be searched."""

    @classmethod
    def settled(
        cls, folder: str, library: str, space: EmbeddingSpace, revision: Revision, token: str
    ) -> bool:
        """True if what is stored is of this revision, with this token of the catalog, and nothing
        of it is due; loads no index."""

    @property
    def space(self) -> EmbeddingSpace: ...
    @property
    def doubt(self) -> str:
        """Why what was stored of the index could not be used, in words; "" when all was well."""

    @property
    def revision(self) -> Revision:
        """The catalog's revision that the index has been brought to; 0 when empty."""

    @property
    def token(self) -> str:
        """The catalog's token of that revision; "" at revision 0."""

    def __len__(self) -> int: ...
    def ids(self) -> Ids:
        """All ids, sorted."""

    def vectors(self, ids: Ids) -> Embeddings:
        """The vectors of these ids, in this order; KeyError if one is not there."""

    def clear(self) -> None:
        """Forget everything: revision 0."""

    def reload(self) -> None:
        """Go on with what is stored if another process has stored a newer state."""

    def check(self) -> str:
        """What is wrong with what is stored, found by reading all of it; "" if nothing is."""

    def described(self) -> str:
        """What kind of index it is, in words."""

    @property
    def due(self) -> bool:
        """True if what is stored should be trained anew, for so many vectors."""

    def apply(self, changes: ChangeBatch) -> None:
        """Take out `removals`, then put in or replace the upserts, and move to `revision`."""

    def unflushed(self) -> int:
        """How many vectors were put in or taken out since the last flush."""

    def flush(self, train: bool = False, anew: bool = False) -> None:
        """Make the present state durable; nothing to do for an index in memory.

        With `train`, train for the present size where that is due, with `anew` in any case. What
        is stored is replaced at once, when all is done: nobody who searches waits.
        """

    def build(
        self,
        revision: Revision,
        token: str,
        batches: Callable[[], Iterable[ChangeBatch]],
        train: bool = False,
    ) -> None:
        """Replace everything by what the batches hold, and make it durable, in bounded memory.

        Parameters
        ----------
        revision, token
            The state of the catalog that the batches lead to.
        batches : callable
            Gives all changes since revision 0, each id once; it may be called again.
        """

    def search(self, queries: Embeddings, k: int, allowed: Ids | None = None) -> Matches:
        """The k best by inner product, with exact scores.

        Among `allowed` they are exactly the best, and so are they among all (None) but for kinds
        that look into a part of the vectors; there are always as many as there can be.
        """


class Catalog(Protocol):
    """The only truth: files, metadata and vectors."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Within it, all reads of this thread see one and the same state."""

    def head(self) -> tuple[Revision, str]:
        """The latest revision and its token."""

    def replayable(self, revision: Revision, token: str) -> bool:
        """True if `changes(since=revision)` leads from that state to the present one."""

    def changes(self, space: EmbeddingSpace, since: Revision) -> Iterator[ChangeBatch]:
        """All changes after `since`, oldest first, in batches of bounded size."""

    def unchanged(
        self, space: EmbeddingSpace, root: str, scope: str, on_page: Callable[[int], None]
    ) -> UnchangedFiles:
        """Tells which files of a scan are as they were; `on_page` hears now and then how many."""

    def compare(
        self, space: EmbeddingSpace, decoder: str, files: Sequence[ImageFile | Skipped]
    ) -> Comparison:
        """What has to be done for files of one root, as a scan of it gave them."""

    def missing(self, root: str, scope: str, image_ids: Ids, unvisited: Sequence[Unvisited]) -> int:
        """How many pictures below `scope` a scan did not see."""

    def get(self, ids: Sequence[int]) -> dict[int, ImageRecord]:
        """The present pictures among `ids`."""

    def references(self, space: EmbeddingSpace) -> dict[str, Reference]:
        """What unrelated queries score, by modality; empty before that was measured."""

    def reference_texts(self, space: EmbeddingSpace, digest: str) -> Embeddings | None:
        """The vectors of the reference texts of that hash, shape (t, dimension), or None."""

    def with_words(
        self, query: str, limit: int, allowed: Ids | None = None
    ) -> list[tuple[int, float]]:
        """Present pictures among `allowed` (sorted; all when None) whose names, captions or texts
        have all words of `query`, best first, each with a score that means something beside the
        others only."""

    def unread(
        self, root: str, scope: str, engine: str, after: str, limit: int
    ) -> list[ImageRecord]:
        """Present pictures below `scope` whose text was not read yet, or not by `engine` where
        another one has failed: one for each content hash beyond `after`, in their order."""

    def unread_count(self, root: str, scope: str, engine: str) -> int:
        """How many there are of them."""

    def select(self, where: Filter) -> Ids:
        """Ids of the present pictures that pass a filter, sorted."""

    def newest(self, where: Filter | None, limit: int) -> list[ImageRecord]:
        """Present pictures that pass a filter, by date, newest first; those without one last."""

    def newest_ids(self, where: Filter | None, limit: int) -> list[int]:
        """The ids of `newest`."""

    def count(self, where: Filter | None = None) -> int:
        """How many present pictures pass a filter."""


class Writer(Protocol):
    """The writing half of a catalog. Each method is one transaction."""

    def put_root(self, root: RootRecord) -> None:
        """Add a root, or change what it remembers."""

    def commit(self, items: Sequence[Encoded | Known | Skipped]) -> CommitResult:
        """Write the results for some files."""

    def retire(
        self,
        root: str,
        scope: str,
        image_ids: Ids,
        skipped_ids: Ids,
        unvisited: Sequence[Unvisited],
    ) -> int:
        """Declare absent what a scan did not see; returns how many pictures that were."""

    def put_references(self, found: Sequence[Reference]) -> None:
        """Replace what unrelated queries score in the space of this run."""

    def put_reference_texts(self, digest: str, vectors: Embeddings) -> None:
        """Replace the vectors of the reference texts, shape (t, dimension), unit norm."""

    def put_texts(self, found: Sequence[TextFound]) -> None:
        """Write what was read in some pictures, in place of what was read before."""
