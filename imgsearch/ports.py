"""The ports: interfaces with more than one implementation. Each passes tests/contracts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from imgsearch.model_card import EncoderOptions, InputSize, ModelCard
from imgsearch.records import (
    ChangeBatch,
    Decoded,
    Encoded,
    FileRun,
    ImageFile,
    IndexState,
    Known,
    QueryReading,
    Revision,
    Skipped,
    Unvisited,
)
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches, Pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Unchanged = Callable[[FileRun], Sequence[int]]
"""Given files of one root, returns the indices of those that differ from the catalog. It takes many
files at once, because usually all are unchanged."""


def nothing_known(files: FileRun) -> Sequence[int]:
    """No file is unchanged."""
    return range(len(files.paths))


class ImageSource(Protocol):
    """A folder of pictures, or something like it."""

    @property
    def root(self) -> str:
        """Absolute path."""

    @property
    def scope(self) -> str:
        """The folder below the root to scan; "" for all of it."""

    @property
    def mounts(self) -> Sequence[str]:
        """After a scan: the mount point that holds the root, then those below it."""

    def scan(
        self, unchanged: Unchanged = nothing_known
    ) -> Iterator[ImageFile | Skipped | Unvisited]:
        """Every picture file once, in any order; opens none of them.

        Files that are `unchanged` are left out. It is called with each file once, which is fastest
        in the order of paths.
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
    """An `Encoder` that makes its own batches: of pictures of similar sizes, as many as fit.

    It gets `window` pictures at a time. An encoder without these two members gets
    `Settings.batch_size` pictures per call of `encode_images`, or 32.
    """

    @property
    def window(self) -> int:
        """Preferred number of pictures per call; fewer will do."""

    def encode_in_batches(
        self, images: Sequence[Pixels]
    ) -> Iterator[tuple[Sequence[int], Embeddings]]:
        """Indices of the pictures, each once, with their rows, as they are computed."""


@runtime_checkable
class ExplainingEncoder(Encoder, Protocol):
    """An `Encoder` that knows what it does not know."""

    def explain(self, text: str) -> QueryReading:
        """The reading of a query."""

    def answer_prior(self, texts: Embeddings) -> NDArray[np.float64]:
        """Log-odds that queries have an answer, by their vectors alone, shape (n,)."""


class EncoderModule(Protocol):
    """The module that an entry point of the group `imgsearch.encoders` names.

    One of `imgsearch.model_servers` has the same members; its source is the URL of the server.
    """

    @property
    def CARDS(self) -> Sequence[ModelCard]:
        """The models that it offers by name."""

    def load(self, name: str, options: EncoderOptions) -> Encoder:
        """The encoder of that name; raises `EncoderError` if it cannot be loaded."""

    def revision(self, name: str, source: str = "", text_source: str = "") -> str:
        """The revision of its space, found without loading the model. The sources are those of
        `EncoderOptions`, and passed only if they are not empty."""


class EncoderPool(Protocol):
    """Files to vectors: decode and encode, overlapped, with a bounded number in flight."""

    def encode_files(self, files: Iterable[ImageFile]) -> Iterator[Encoded | Skipped]:
        """One result per file, in any order."""

    def describe_files(self, files: Iterable[ImageFile]) -> Iterator[Known | Skipped]:
        """The hash and metadata of each file, in any order, without the model."""

    def close(self) -> None: ...


class TextReader(Protocol):
    """Reads the texts in pictures."""

    @property
    def engine(self) -> str:
        """Name and revision, kept with each text; "" for a reader that reads nothing."""

    @property
    def input_size(self) -> InputSize:
        """The size at which small print is legible."""

    @property
    def glance_size(self) -> InputSize:
        """The smaller size for `sees_text`."""

    def sees_text(self, pixels: Pixels) -> bool:
        """True if there seems to be text in a picture; much faster than `read`."""

    def read(self, pixels: Pixels) -> str:
        """The text of a picture, one line per text box; "" if it has none.

        An exception is about this picture, unless it is an `ImgSearchError`.
        """


class VectorIndex(Protocol):
    """A projection of the catalog's vectors of one space that can be searched.

    It is made from the place where it is stored, the uuid of the library and the space, and opens
    what is stored there. The place is a folder, or the URL of a server. An index that may search on
    another device has a method `prepare(note)` as well, called before searches; `note` gets notes
    for the user, now and later.
    """

    def __init__(self, where: str, library: str, space: EmbeddingSpace) -> None: ...

    @classmethod
    def stored(cls, where: str, library: str, space: EmbeddingSpace) -> IndexState:
        """The state that is stored, at revision 0 if none is; loads no index."""

    @property
    def space(self) -> EmbeddingSpace: ...
    @property
    def state(self) -> IndexState: ...
    def __len__(self) -> int: ...
    def among(self, ids: Ids) -> Ids:
        """The `ids` that the index holds, sorted."""

    def vectors(self, ids: Ids) -> Embeddings:
        """The vectors of these ids, in this order; KeyError if one is not there."""

    def clear(self) -> None:
        """Drop everything: revision 0."""

    def reload(self) -> None:
        """Take over the stored index if another process has stored a newer state."""

    def check(self) -> str:
        """The fault of the stored index, found by reading all of it; "" if there is none."""

    def apply(self, changes: ChangeBatch) -> None:
        """Remove `removals`, then add or replace the upserts, and move to `revision`."""

    def flush(self, train: bool = False, retrain: bool = False) -> None:
        """Make the present state durable; does nothing for an index in memory.

        With `train`, train it for its present size if that is due, with `retrain` in any case. The
        stored index is replaced in one step at the end, so that no search waits.
        """

    def build(
        self,
        revision: Revision,
        token: str,
        batches: Callable[[], Iterable[ChangeBatch]],
        train: bool = False,
    ) -> None:
        """Replace everything by the batches, and make it durable, in bounded memory.

        Parameters
        ----------
        revision, token
            The state of the catalog that the batches lead to.
        batches : callable
            Returns all changes since revision 0, each id once; it may be called again.
        """

    def search(self, queries: Embeddings, k: int, allowed: Ids | None = None) -> Matches:
        """The k best by inner product, with exact scores.

        Among `allowed` they are exactly the best. So they are among all (None), unless the kind of
        index looks at a part of the vectors. A server may look at a part of `allowed`, if there are
        more than a million; `method` says so. There are min(k, number of allowed vectors).
        """
