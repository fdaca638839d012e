"""Files to vectors on this machine: decoder processes feed one model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from imgsearch.errors import EncoderError, ImgSearchError
from imgsearch.model_card import InputSize
from imgsearch.ports import BatchEncoder, Decoder, Encoder
from imgsearch.records import Decoded, Encoded, ImageFile, Skipped
from imgsearch.vectors import Embeddings, Pixels

WINDOW_BYTES = 512 << 20


class LocalPool:
    """Decodes in parallel while the model works on the batch before.

    Parameters
    ----------
    load : callable
        Gives the encoder; called when the first file comes, so that a run with nothing to do
        loads no model.
    decoder : callable
        Gives a decoder for the input size of the model.
    batch_size : int
        Pictures per call of a model that is no `BatchEncoder`.
    window_bytes : int
        Decoded pictures to hold at a time, in bytes of pixels; one more may be above it.
    """

    def __init__(
        self,
        load: Callable[[], Encoder],
        decoder: Callable[[InputSize, int], Decoder],
        batch_size: int,
        window_bytes: int = WINDOW_BYTES,
    ) -> None:
        self._load = load
        self._decoder = decoder
        self._batch_size = batch_size
        self._window_bytes = window_bytes
        self._open: Decoder | None = None
        self._succeeded = False

    def encode_files(self, files: Iterable[ImageFile]) -> Iterator[Encoded | Skipped]:
        """One result per file, in any order.

        Raises
        ------
        EncoderError
            The model fails although no picture is at fault.
        """
        waiting = iter(files)
        first = next(waiting, None)
        if first is None:
            return
        encoder = self._load()
        most = encoder.window if isinstance(encoder, BatchEncoder) else self._batch_size
        if self._open is None:
            self._open = self._decoder(encoder.input_size, most)
        results = self._open.decode(chain([first], waiting))
        while window := _take(results, most, self._window_bytes):
            yield from (item for item in window if isinstance(item, Skipped))
            yield from self._encode(encoder, [i for i in window if isinstance(i, Decoded)])

    def _encode(self, encoder: Encoder, window: list[Decoded]) -> Iterator[Encoded | Skipped]:
        left = dict(enumerate(window))
        try:
            for places, vectors in _in_batches(encoder, [each.pixels for each in window]):
                self._succeeded = True
                for place, vector in zip(places, vectors, strict=True):
                    yield _result(left.pop(place), vector)
        except Exception as error:
            if not left:
                raise
            yield from self._divide(encoder, list(left.values()), error)

    def _divide(
        self, encoder: Encoder, batch: list[Decoded], error: Exception
    ) -> Iterator[Encoded | Skipped]:
        """A batch has failed, for want of memory or through one picture: try its halves."""
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
                "'imgsearch doctor' tells what is set up.",
            ) from error

    def close(self) -> None:
        """End the decoder processes."""
        if self._open is not None:
            self._open.close()
            self._open = None


def _in_batches(
    encoder: Encoder, images: list[Pixels]
) -> Iterator[tuple[Sequence[int], Embeddings]]:
    if isinstance(encoder, BatchEncoder):
        yield from encoder.encode_in_batches(images)
    elif images:
        yield range(len(images)), encoder.encode_images(images)


def _take(
    results: Iterator[Decoded | Skipped], most: int, most_bytes: int
) -> list[Decoded | Skipped]:
    """The next results, until there are enough or their pixels take enough memory."""
    taken: list[Decoded | Skipped] = []
    held = 0
    while len(taken) < most and held < most_bytes:
        item = next(results, None)
        if item is None:
            break
        taken.append(item)
        held += item.pixels.nbytes if isinstance(item, Decoded) else 0
    return taken


def _result(each: Decoded, vector: np.ndarray) -> Encoded | Skipped:
    if np.isfinite(vector).all() and vector.any():
        return Encoded(each.file, each.content_hash, each.metadata, vector)
    return Skipped(each.file, "the model gives no usable vector for this picture")
