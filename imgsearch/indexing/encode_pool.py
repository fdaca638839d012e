"""Encodes files on this machine: decoder processes feed one model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np

from imgsearch.errors import EncoderError, ImgSearchError, ModelServerError
from imgsearch.model_card import InputSize
from imgsearch.ports import BatchEncoder, Decoder, Encoder, EncoderPool
from imgsearch.records import Decoded, Encoded, ImageFile, Known, Skipped
from imgsearch.sources.decoders import MEASURED_SIZE
from imgsearch.vectors import Embeddings, Pixels

WINDOW_BYTES = 512 << 20
FILES_AHEAD = 64
"""Files to count before the model is loaded: no more decoder processes than these are needed."""


class LocalPool:
    """Decodes in parallel while the model encodes the previous batch.

    Parameters
    ----------
    load : callable
        Returns the encoder; called for the first file, so that a run without files loads no model.
    decoder : callable
        Returns a decoder for the input size of the model.
    batch_size : int
        Pictures per call of a model that is not a `BatchEncoder`.
    window_bytes : int
        Limit on decoded pixels in memory; one picture may exceed it.
    start : callable
        Gets the number of waiting files, as far as counted, before `load` is called, to start work
        meanwhile.
    """

    def __init__(
        self,
        load: Callable[[], Encoder],
        decoder: Callable[[InputSize, int], Decoder],
        batch_size: int,
        window_bytes: int = WINDOW_BYTES,
        start: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._start = start
        self._load = load
        self._decoder = decoder
        self._batch_size = batch_size
        self._window_bytes = window_bytes
        self._open: Decoder | None = None
        self._describing: Decoder | None = None
        self._succeeded = False

    def encode_files(self, files: Iterable[ImageFile]) -> Iterator[Encoded | Skipped]:
        """Encode files; yields one result per file, in any order.

        Raises
        ------
        EncoderError
            The model itself fails, not on a particular picture.
        """
        waiting = iter(files)
        first = list(islice(waiting, FILES_AHEAD))
        if not first:
            return
        self._start(len(first))
        encoder = self._load()
        window_size = encoder.window if isinstance(encoder, BatchEncoder) else self._batch_size
        if self._open is None:
            self._open = self._decoder(encoder.input_size, window_size)
        results = self._open.decode(chain(first, waiting))
        while window := _take(results, window_size, self._window_bytes):
            yield from (item for item in window if isinstance(item, Skipped))
            yield from self._encode(encoder, [i for i in window if isinstance(i, Decoded)])

    def describe_files(self, files: Iterable[ImageFile]) -> Iterator[Known | Skipped]:
        """The hash and metadata of each file, in any order, without the model.

        The decoders do the same as for a new picture, and the pixels are dropped: facts about a
        picture (its size, a missing part) must not depend on when it was read.
        """
        if self._describing is None:
            self._describing = self._decoder(MEASURED_SIZE, self._batch_size)
        for item in self._describing.decode(files):
            if isinstance(item, Decoded):
                yield Known(item.file, item.content_hash, item.metadata, measures=item.measures)
            else:
                yield item

    def _encode(self, encoder: Encoder, window: list[Decoded]) -> Iterator[Encoded | Skipped]:
        left = dict(enumerate(window))
        try:
            for places, vectors in _in_batches(encoder, [each.pixels for each in window]):
                self._succeeded = True
                for place, vector in zip(places, vectors, strict=True):
                    yield _result(left.pop(place), vector)
        except ModelServerError:  # about the server: no picture is at fault, and the run ends
            raise
        except Exception as error:
            if not left:
                raise
            yield from self._divide(encoder, list(left.values()), error)

    def _divide(
        self, encoder: Encoder, batch: list[Decoded], error: Exception
    ) -> Iterator[Encoded | Skipped]:
        """Retry a failed batch in halves; it exceeded the memory or contains a bad picture."""
        if len(batch) > 1:
            middle = len(batch) // 2
            yield from self._encode(encoder, batch[:middle])
            yield from self._encode(encoder, batch[middle:])
        elif self._succeeded:
            yield Skipped(
                batch[0].file, f"the model cannot encode this picture: {error}", transient=True
            )
        elif isinstance(error, ImgSearchError):
            raise error
        else:
            raise EncoderError(
                f"the model cannot encode pictures: {error}",
                "Try --device cpu, --precision fp32 or a smaller --batch-size; "
                "'imgsearch doctor' checks the installation.",
            ) from error

    def close(self) -> None:
        """Stop the decoder processes."""
        for decoder in (self._open, self._describing):
            if decoder is not None:
                decoder.close()
        self._open = self._describing = None


class DeferredPool:
    """The `EncoderPool` of a plug-in, which is loaded for the first file: most runs find none.

    Parameters
    ----------
    load : callable
    local : EncoderPool
        Describes files.
    """

    def __init__(self, load: Callable[[], EncoderPool], local: EncoderPool) -> None:
        self._load, self._local = load, local
        self._pool: EncoderPool | None = None

    def encode_files(self, files: Iterable[ImageFile]) -> Iterator[Encoded | Skipped]:
        """As the pool of the plug-in."""
        waiting = iter(files)
        for first in waiting:
            self._pool = self._pool or self._load()
            yield from self._pool.encode_files(chain([first], waiting))

    def describe_files(self, files: Iterable[ImageFile]) -> Iterator[Known | Skipped]:
        """The hash and metadata of each file, read on this machine."""
        return self._local.describe_files(files)

    def close(self) -> None:
        """Close the pool, or the local one if it was not needed."""
        (self._pool or self._local).close()


def _in_batches(
    encoder: Encoder, images: list[Pixels]
) -> Iterator[tuple[Sequence[int], Embeddings]]:
    if isinstance(encoder, BatchEncoder):
        yield from encoder.encode_in_batches(images)
    elif images:
        yield range(len(images)), encoder.encode_images(images)


def _take(
    results: Iterator[Decoded | Skipped], max_count: int, max_bytes: int
) -> list[Decoded | Skipped]:
    """The next results, up to a count or a size of their pixels."""
    window: list[Decoded | Skipped] = []
    size = 0
    while len(window) < max_count and size < max_bytes:
        item = next(results, None)
        if item is None:
            break
        window.append(item)
        size += item.pixels.nbytes if isinstance(item, Decoded) else 0
    return window


def _result(each: Decoded, vector: np.ndarray) -> Encoded | Skipped:
    if np.isfinite(vector).all() and vector.any():
        return Encoded(each.file, each.content_hash, each.metadata, vector, each.measures)
    return Skipped(each.file, "the model returned an invalid vector for this picture")
