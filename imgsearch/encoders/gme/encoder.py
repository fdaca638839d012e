"""The encoder of gme-Qwen2-VL: batches, precision and devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from imgsearch.encoders.batches import ahead, halved, plan_batches
from imgsearch.encoders.devices import autocasting
from imgsearch.encoders.gme.module import Features, GmeModule
from imgsearch.encoders.gme.prompt import DOCUMENT_INSTRUCTION, SEARCH_INSTRUCTION
from imgsearch.encoders.gme.resize import SQUARE, SquareSteps, count_tokens
from imgsearch.encoders.memory import (
    is_out_of_memory,
    max_batch,
    release_unused,
    room_for,
    transformer_bytes,
)
from imgsearch.errors import EncoderError
from imgsearch.model_card import InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

Part = Mapping[str, Any]
WINDOW_BATCHES = 8
"""Batches to plan at a time: enough pictures to form batches of similar sizes."""


class GmeEncoder:
    """Encodes texts, pictures, and texts with a picture as unit vectors of one space.

    Parameters
    ----------
    module : GmeModule
        On its device and in its dtype.
    card : ModelCard
    revision : str
        Revision of the weights; `RANDOM` for random weights.
    batch_size : int
        Maximum number of inputs per pass through the network; 0 derives it from the free memory and
        the tokens of the inputs. Halved for good when the device runs out of memory.
    autocast : torch.dtype, optional
        Compute in this dtype; the weights keep theirs.
    instruction : str
        The instruction for pictures; "" is `DOCUMENT_INSTRUCTION`.
    """

    def __init__(
        self,
        module: GmeModule,
        card: ModelCard,
        revision: str,
        *,
        batch_size: int = 0,
        autocast: torch.dtype | None = None,
        device: torch.device | None = None,
        instruction: str = "",
    ) -> None:
        instruction = instruction or DOCUMENT_INSTRUCTION
        self.model = SentenceTransformer(
            modules=[module],
            device=str(device or "cpu"),
            prompts={"query": SEARCH_INSTRUCTION, "document": instruction},
        )
        self.module = module.eval()
        self.card = card
        self.device = torch.device(device or "cpu")
        self.batch_size = batch_size or max_batch(self.device)
        self.room = math.inf if batch_size else room_for(self.device) / _bytes_per_token(module)
        self._autocast = autocast
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="gme-prepare")
        self.space = EmbeddingSpace(
            card.name, revision, _describe(module), module.get_embedding_dimension(), instruction
        )

    @property
    def input_size(self) -> InputSize:
        """The area of the largest input, and the resizes to the size for each picture."""
        tokens = self.module.tokens
        return InputSize(area=SQUARE**2 * tokens.maximum, preparation=SquareSteps(tokens))

    @property
    def window(self) -> int:
        """Pictures to pass to `encode_in_batches` at a time."""
        return WINDOW_BATCHES * self.batch_size

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        """Vectors of shape (n, dimension), float32, unit norm, with the document instruction."""
        return self._encode([{"image": image} for image in images], self.space.instruction)

    def encode_in_batches(self, images: Sequence[Pixels]) -> Iterator[tuple[list[int], Embeddings]]:
        """Yield indices of the pictures, each once, with their vectors as soon as computed."""
        return self._stream([{"image": image} for image in images], self.space.instruction)

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        """Vectors of shape (n, dimension), float32, unit norm; the default instruction searches."""
        parts = [{"text": text} for text in texts]
        return self._encode(parts, instruction or SEARCH_INSTRUCTION)

    def encode_fused(
        self, texts: Sequence[str], images: Sequence[Pixels], instruction: str | None = None
    ) -> Embeddings:
        """One vector per text with its image: shape (n, dimension), float32, unit norm."""
        pairs = zip(texts, images, strict=True)
        parts = [{"text": text, "image": image} for text, image in pairs]
        return self._encode(parts, instruction or SEARCH_INSTRUCTION)

    def _encode(self, parts: Sequence[Part], instruction: str) -> Embeddings:
        rows = np.empty((len(parts), self.space.dimension), dtype=np.float32)
        for batch, vectors in self._stream(parts, instruction):
            rows[batch] = vectors
        return rows

    def _stream(
        self, parts: Sequence[Part], instruction: str
    ) -> Iterator[tuple[list[int], Embeddings]]:
        costs = [self._cost(part) for part in parts]
        batches = plan_batches(costs, self.batch_size, self.room)
        while batches:
            done = 0
            for batch, vectors in self._compute(parts, batches, instruction):
                done += 1
                yield batch, self._checked(vectors)
            batches = self._smaller(batches[done:])

    def _compute(
        self, parts: Sequence[Part], batches: list[list[int]], instruction: str
    ) -> Iterator[tuple[list[int], Embeddings]]:
        """Yield batches with their vectors, in order; stops when the device runs out of memory.

        Each batch is launched before the results of the previous one are awaited.
        """
        previous: tuple[list[int], Callable[[], Embeddings]] | None = None
        for batch, features in self._prepare(parts, batches, instruction):
            wait = self._launch(features)
            if previous:
                yield previous[0], previous[1]()
            previous = (batch, wait) if wait else None
            if not wait:
                return
        if previous:
            yield previous[0], previous[1]()

    def _checked(self, vectors: Embeddings) -> Embeddings:
        if not np.isfinite(vectors).all():
            raise EncoderError(
                f"{self.card.name} computed values that are not finite",
                "Use --precision bf16 or fp32; the range of float16 is too small for some weights.",
            )
        return normalize(vectors)

    def _smaller(self, batches: list[list[int]]) -> list[list[int]]:
        """The remaining batches, halved because the first one did not fit in memory."""
        if not batches:
            return []
        refusal = EncoderError(
            f"{self.device} has too little memory for {self.card.name}",
            "Close other programs that use it, allow fewer visual tokens, or use --device cpu.",
        )
        smaller, self.batch_size = halved(batches, refusal)
        release_unused()
        return smaller

    def _prepare(
        self, parts: Sequence[Part], batches: list[list[int]], instruction: str
    ) -> Iterator[tuple[list[int], Features]]:
        def prepare(batch: list[int]) -> Features:
            features = self.model.preprocess([parts[i] for i in batch], prompt=instruction)
            return {name: self._pin(value) for name, value in features.items()}

        return ahead(self._ahead, prepare, batches)

    def _pin(self, value: Any) -> Any:
        pin = self.device.type == "cuda" and isinstance(value, Tensor)
        return value.pin_memory() if pin else value

    def _launch(self, features: Features) -> Callable[[], Embeddings] | None:
        """Start one batch; return a function that awaits its vectors, or None if memory ran out."""
        with torch.inference_mode(), self._precision():
            try:
                vectors = self._run(features)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                return None
            if self.device.type != "cuda":
                return lambda: vectors.cpu().numpy()
            # Requested now, so that the copy does not queue behind the next batch.
            copy, arrived = vectors.to("cpu", non_blocking=True), torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(torch.cuda.current_stream(self.device))

        def wait() -> Embeddings:
            arrived.synchronize()
            return copy.numpy()

        return wait

    def _run(self, features: Features) -> Tensor:
        """Launch one batch; on a GPU this returns before the result is computed."""
        placed = {
            name: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in features.items()
        }
        vectors: Tensor = self.model(placed)["sentence_embedding"]
        return vectors

    def _precision(self) -> AbstractContextManager[Any]:
        return autocasting(self.device, self._autocast)

    def _cost(self, part: Part) -> float:
        """Approximate number of tokens of the part."""
        cost = 30.0 + len(part.get("text", "")) / 4
        if "image" in part:
            height, width = part["image"].shape[:2]
            cost += count_tokens(width, height, self.module.tokens)
        return cost


def _bytes_per_token(module: GmeModule) -> float:
    """Approximate bytes of a visual token (four patches) in the wider of the two towers."""
    config = module.model.config
    eye, reader, size = config.vision_config, config.text_config, module.model.dtype.itemsize
    seen = transformer_bytes(4, eye.embed_dim, int(eye.mlp_ratio * eye.embed_dim), size)
    return max(seen, transformer_bytes(1, reader.hidden_size, reader.intermediate_size, size))


def _describe(module: GmeModule) -> str:
    return (
        f"bicubic to {module.tokens.minimum}-{module.tokens.maximum} visual tokens from full size,"
        " last token, 1-d positions"
    )
