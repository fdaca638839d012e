"""Files to vectors on this machine: decoder processes feed one model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

import numpy as np

from imgsearch.errors import EncoderError, ImgSearchError
from imgsearch.model_records import InputSize
from imgsearch.ports import Decoder, Encoder
from imgsearch.records import Decoded, Encoded, ImageFile, Skipped


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
        Pictures per call of the model.
    """

    def __init__(
        self,
        load: Callable[[], Encoder],
        decoder: Callable[[InputSize], Decoder],
        batch_size: int,
    ) -> None:
        self._load = load
        self._decoder = decoder
        self._batch_size = batch_size
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
        if self._open is None:
            self._open = self._decoder(encoder.input_size)
        results = self._open.decode(chain([first], waiting))
        while batch := list(islice(results, self._batch_size)):
            yield from (item for item in batch if isinstance(item, Skipped))
            yield from self._encode(encoder, [i for i in batch if isinstance(i, Decoded)])

    def _encode(self, encoder: Encoder, batch: list[Decoded]) -> Iterator[Encoded | Skipped]:
        if not batch:
            return
        try:
            vectors = encoder.encode_images([each.pixels for each in batch])
        except Exception as error:
            yield from self._divide(encoder, batch, error)
            return
        self._succeeded = True
        for each, vector in zip(batch, vectors, strict=True):
            if np.isfinite(vector).all() and vector.any():
                yield Encoded(each.file, each.content_hash, each.metadata, vector)
            else:
                yield Skipped(each.file, "the model gives no usable vector for this picture")

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
