"""The ports: what services ask of the world. Every adapter of a port passes its contract tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from imgsearch.model_card import EncoderOptions, InputSize, ModelCard
from imgsearch.records import (
    ChangeBatch,
    Decoded,
    Encoded,
    ImageFile,
    Known,
    Revision,
    Skipped,
    Unvisited,
)
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches, Pixels

Unchanged = Callable[[list[str], list[int], list[int]], Sequence[int]]
"""Given paths below a root, sizes and mtimes in ns, tells at which places of these lists there are
files that the catalog has not just so. Asked of many files at once, because most often all are."""


def nothing_known(paths: list[str], sizes: list[int], times_ns: list[int]) -> Sequence[int]:
    """No file is unchanged."""
    return range(len(paths))


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
    def among(self, ids: Ids) -> Ids:
        """Those of `ids`, sorted, that the index holds."""

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
