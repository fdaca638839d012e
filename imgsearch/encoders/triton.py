"""A model behind NVIDIA Triton, or another KServe v2 server with the parts of `model_protocol`.

In config.toml: `[models]`, and below it `gme-qwen2-vl-2b = "triton://host:8001"`. The name of the
model stays the same, so a library does not depend on where its model runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from imgsearch.encoders.model_protocol import (
    CARD,
    IMAGE,
    TEXT,
    ServedModel,
    column,
    read_description,
    served_name,
)
from imgsearch.encoders.preparation import prepared
from imgsearch.encoders.triton_connection import (
    PICTURES_TIMEOUT_SECONDS,
    Connection,
    connect,
    invalid,
)
from imgsearch.errors import EncoderError, ModelServerError
from imgsearch.model_card import EncoderOptions, InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, SpaceOptions

CARDS: Sequence[ModelCard] = ()
MAX_REQUEST_BYTES = (4 << 20) - (64 << 10)
"""Pixels of one request: gRPC's usual limit on a message is 4 MiB. A larger picture travels alone,
which Triton itself accepts."""
REQUESTS_AHEAD = 4
"""Requests in flight, which the server joins to larger batches."""
_OUTPUTS = ("VECTOR", "SPACE", "ERROR")


def load(name: str, options: EncoderOptions) -> TritonEncoder:
    """The encoder of a model that runs on the server in `options.source`.

    Raises
    ------
    ModelServerError
        The server cannot be used, or runs another model.
    EncoderError
        It runs the model with another instruction, dimension or number of visual tokens.
    """
    connection = connect(options.source)
    model = _described(connection, name)
    wanted = SpaceOptions(options.instruction, options.dimension, options.visual_tokens)
    if not wanted.fits(model.space):
        raise EncoderError(
            f"{connection.address.text} serves {model.space}, which is not {wanted}",
            "Start the server with these settings, or remove them here.",
        )
    return TritonEncoder(connection, model)


def revision(name: str, source: str = "", text_source: str = "") -> str:
    """The revision of the space of a model, from the server that runs it.

    Raises
    ------
    ModelServerError
        As `load`.
    """
    return _described(connect(source), name).space.revision


def _described(connection: Connection, name: str) -> ServedModel:
    """The model of that name on a server."""
    inputs = {"ASK": np.zeros((1, 1), np.int32)}
    address = connection.address
    try:
        found = connection.infer(served_name(name, CARD), inputs, ("CARD",), address.timeout)
        model = read_description(bytes(found["CARD"].reshape(-1)[0]))
    except ModelServerError:
        raise
    except EncoderError as error:
        raise ModelServerError(str(error), error.hint) from None
    except (ValueError, TypeError, IndexError) as error:
        raise invalid(address, str(error)) from None
    if model.space.model != name:
        raise ModelServerError(
            f"{address.text} serves {model.space.model} in place of {name}",
            f"Start the server with this model: imgsearch serve-model {name}",
        )
    return model


class TritonEncoder:
    """The port `BatchEncoder` over a server; each answer is checked to be in the same space.

    Vectors are those that the server computes, unchanged. Pictures are prepared here, mostly by
    the decoder processes, and sent in requests of at most `MAX_REQUEST_BYTES`.
    """

    def __init__(self, connection: Connection, model: ServedModel) -> None:
        self._connection, self._model = connection, model
        self._threads = ThreadPoolExecutor(REQUESTS_AHEAD, thread_name_prefix="imgsearch-triton")

    @property
    def space(self) -> EmbeddingSpace:
        return self._model.space

    @property
    def card(self) -> ModelCard:
        return self._model.card

    @property
    def input_size(self) -> InputSize:
        return self._model.input_size

    @property
    def window(self) -> int:
        """Pictures to pass to `encode_in_batches` at a time."""
        return self._model.batch * REQUESTS_AHEAD

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        """One row per picture, in order.

        Parameters
        ----------
        images : sequence of ndarray of shape (height, width, 3), uint8
            sRGB, the right way up.

        Returns
        -------
        ndarray of shape (n, dimension), float32, C-order, unit norm

        Raises
        ------
        ModelServerError
            The server is down, hangs, or has another model or space than before.
        EncoderError
            The model cannot encode one of the pictures.
        """
        return self._gather(len(images), self.encode_in_batches(images))

    def encode_in_batches(self, images: Sequence[Pixels]) -> Iterator[tuple[range, Embeddings]]:
        """Yield indices of the pictures, each once, with their rows as soon as computed."""
        inputs = [prepared(image, self.input_size) for image in images]

        def request(part: range) -> Embeddings:
            pixels = [inputs[place] for place in part]
            tensors = {
                "PIXELS": column([each.tobytes() for each in pixels]),
                "SHAPE": np.array([each.shape[:2] for each in pixels], np.int32),
            }
            seconds = max(PICTURES_TIMEOUT_SECONDS, self._connection.address.timeout)
            return self._rows(IMAGE, tensors, seconds)

        return self._ahead(request, _parts([each.nbytes for each in inputs], self._model.batch))

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        """One row per text, in order; shape, dtype and errors as `encode_images`.

        Parameters
        ----------
        instruction : str or None
            The instruction for the texts; None is the model's own for queries, if it has one.
        """
        encoded = [text.encode("utf-8", "replace") for text in texts]
        asked = (instruction or "").encode("utf-8", "replace")

        def request(part: range) -> Embeddings:
            tensors = {
                "TEXT": column([encoded[place] for place in part]),
                "INSTRUCTION": column([asked for _ in part]),
            }
            return self._rows(TEXT, tensors, self._connection.address.timeout)

        parts = _parts([len(text) for text in encoded], self._model.batch)
        return self._gather(len(texts), self._ahead(request, parts))

    def _ahead(
        self, request: Callable[[range], Embeddings], parts: list[range]
    ) -> Iterator[tuple[range, Embeddings]]:
        """Yield parts with their rows, with some requests in flight."""
        if len(parts) == 1:
            yield parts[0], request(parts[0])
            return
        waiting: deque[tuple[range, Future[Embeddings]]] = deque()
        try:
            for part in parts:
                waiting.append((part, self._threads.submit(request, part)))
                if len(waiting) > REQUESTS_AHEAD:
                    done, rows = waiting.popleft()
                    yield done, rows.result()
            while waiting:
                done, rows = waiting.popleft()
                yield done, rows.result()
        finally:
            for _, rows in waiting:
                rows.cancel()

    def _gather(self, count: int, batches: Iterator[tuple[range, Embeddings]]) -> Embeddings:
        rows = np.empty((count, self.space.dimension), np.float32)
        for part, vectors in batches:
            rows[part.start : part.stop] = vectors
        return rows

    def _rows(self, part: str, inputs: dict[str, Any], seconds: float) -> Embeddings:
        """The rows of one request, checked."""
        count = len(next(iter(inputs.values())))
        name = served_name(self.space.model, part)
        found = self._connection.infer(name, inputs, _OUTPUTS, seconds)
        vectors, keys, reasons = (found[output] for output in _OUTPUTS)
        if keys.shape != (count, 1) or reasons.shape != (count, 1):
            raise invalid(self._connection.address, "it does not have one row for each input")
        expected = self.space.key.encode()
        if any(key != expected for key in keys[:, 0]):
            raise ModelServerError(
                f"the model at {self._connection.address.text} is no longer {self.space}",
                "Start this command again. If the model has changed for good, index the pictures"
                f" again: imgsearch index --model {self.space.model}",
            )
        for reason in filter(None, reasons[:, 0]):
            text = bytes(reason)[:300].decode("utf-8", "replace")
            raise EncoderError(f"the model at {self._connection.address.text} failed: {text}")
        self._require_units(vectors, count)
        return np.ascontiguousarray(vectors)

    def _require_units(self, vectors: np.ndarray, count: int) -> None:
        address, expected = self._connection.address, (count, self.space.dimension)
        if vectors.shape != expected or vectors.dtype != np.float32:
            shape = f"vectors of shape {vectors.shape}, {vectors.dtype}, in place of {expected}"
            raise invalid(address, shape)
        if not (np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-3).all():  # NaN is not below
            raise invalid(address, "vectors that are not of unit length")


def _parts(sizes: Sequence[int], batch: int) -> list[range]:
    """Runs of inputs of at most `batch`, and `MAX_REQUEST_BYTES` unless one alone has more."""
    parts: list[range] = []
    start = total = 0
    for place, size in enumerate(sizes):
        if place > start and (place - start == batch or total + size > MAX_REQUEST_BYTES):
            parts.append(range(start, place))
            start, total = place, 0
        total += size
    return [*parts, range(start, len(sizes))] if sizes else []
