"""The encoder of gme-Qwen2-VL: batches, precision, devices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from imgsearch.encoders.gme.batches import ahead, plan_batches
from imgsearch.encoders.gme.module import Features, GmeModule
from imgsearch.encoders.gme.prompt import DOCUMENT_INSTRUCTION, SEARCH_INSTRUCTION
from imgsearch.encoders.gme.resize import SQUARE, count_tokens
from imgsearch.errors import EncoderError
from imgsearch.model_records import InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels, normalize

Part = Mapping[str, Any]


class GmeEncoder:
    """Words, pictures, and words with a picture, as unit vectors of one space.

    Parameters
    ----------
    module : GmeModule
        On its device and in its dtype.
    card : ModelCard
    revision : str
        Which weights; `RANDOM` for weights that mean nothing.
    batch_size : int
        Inputs that go through the network together, at most. Halved, and remembered, when the
        device runs out of memory.
    autocast : torch.dtype, optional
        Compute in this dtype while the weights stay in theirs.
    instruction : str
        What the model is told about pictures; "" is `DOCUMENT_INSTRUCTION`.
    """

    def __init__(
        self,
        module: GmeModule,
        card: ModelCard,
        revision: str,
        *,
        batch_size: int = 32,
        autocast: torch.dtype | None = None,
        device: torch.device | None = None,
        instruction: str = "",
    ) -> None:
        told = instruction or DOCUMENT_INSTRUCTION
        self.model = SentenceTransformer(
            modules=[module],
            device=str(device or "cpu"),
            prompts={"query": SEARCH_INSTRUCTION, "document": told},
        )
        self.module = module.eval()
        self.card = card
        self.batch_size = batch_size
        self.device = torch.device(device or "cpu")
        self._autocast = autocast
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="gme-prepare")
        self.space = EmbeddingSpace(
            card.name, revision, _describe(module), module.get_embedding_dimension(), told
        )

    @property
    def input_size(self) -> InputSize:
        """A shorter side that leaves any picture larger than the model's largest input.

        The model sees at most `most` squares of 28 x 28 pixels, whatever the aspect. A picture
        whose shorter side is the root of that area has at least that area, so the model's own
        resize always makes it smaller. 1.4 times as much, in whole squares, keeps the rounding
        of the first resize close to that of the full picture.
        """
        return InputSize(short=SQUARE * round(1.4 * math.sqrt(self.module.tokens.most)))

    def encode_images(self, images: Sequence[Pixels]) -> Embeddings:
        """Vectors of shape (n, dimension), float32, unit norm; with the document instruction."""
        parts = [{"image": image} for image in images]
        return self._encode(parts, self.space.instruction)

    def encode_texts(self, texts: Sequence[str], instruction: str | None = None) -> Embeddings:
        """Vectors of shape (n, dimension), float32, unit norm; by default to search pictures."""
        return self._encode([{"text": text} for text in texts], instruction or SEARCH_INSTRUCTION)

    def encode_fused(
        self, texts: Sequence[str], images: Sequence[Pixels], instruction: str | None = None
    ) -> Embeddings:
        """One vector for each text with its image, of shape (n, dimension), float32, unit norm."""
        pairs = zip(texts, images, strict=True)
        parts = [{"text": text, "image": image} for text, image in pairs]
        return self._encode(parts, instruction or SEARCH_INSTRUCTION)

    def _encode(self, parts: Sequence[Part], instruction: str) -> Embeddings:
        rows = np.empty((len(parts), self.space.dimension), dtype=np.float32)
        waiting = plan_batches([self._cost(part) for part in parts], self.batch_size)
        while waiting:
            waiting = self._fill(rows, parts, waiting, instruction)
        if not np.isfinite(rows).all():
            raise EncoderError(
                f"{self.card.name} computed numbers that are not finite",
                "Use --precision bf16 or fp32; float16 is too narrow for some weights.",
            )
        return normalize(rows)

    def _fill(
        self,
        rows: Embeddings,
        parts: Sequence[Part],
        batches: list[list[int]],
        instruction: str,
    ) -> list[list[int]]:
        """Encode batches into `rows`; what is left when the device's memory was too small."""
        done: list[tuple[list[int], Tensor]] = []
        too_much = False
        with torch.inference_mode(), self._precision():
            try:
                for batch, features in self._prepared(parts, batches, instruction):
                    done.append((batch, self._run(features)))
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                too_much = True
            for batch, vectors in done:
                rows[batch] = vectors.cpu().numpy()
        return self._smaller(batches[len(done) :]) if too_much else []

    def _smaller(self, batches: list[list[int]]) -> list[list[int]]:
        if len(batches[0]) == 1:
            raise EncoderError(
                f"{self.device} has too little memory for {self.card.name}",
                "Close other programs that use it, allow fewer visual tokens, or use --device cpu.",
            )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.batch_size = half = (len(batches[0]) + 1) // 2
        return [batch[i : i + half] for batch in batches for i in range(0, len(batch), half)]

    def _prepared(
        self, parts: Sequence[Part], batches: list[list[int]], instruction: str
    ) -> Iterator[tuple[list[int], Features]]:
        def prepare(batch: list[int]) -> Features:
            features = self.model.preprocess([parts[i] for i in batch], prompt=instruction)
            return {name: self._pin(value) for name, value in features.items()}

        return ahead(self._ahead, prepare, batches)

    def _pin(self, value: Any) -> Any:
        pin = self.device.type == "cuda" and isinstance(value, Tensor)
        return value.pin_memory() if pin else value

    def _run(self, features: Features) -> Tensor:
        """Launch one batch; on a GPU this returns before it is computed."""
        placed = {
            name: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
            for name, value in features.items()
        }
        vectors: Tensor = self.model(placed)["sentence_embedding"]
        return vectors

    def _precision(self) -> AbstractContextManager[Any]:
        if self._autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self._autocast)

    def _cost(self, part: Part) -> float:
        """About as many tokens as the part will have."""
        cost = 30.0 + len(part.get("text", "")) / 4
        if "image" in part:
            height, width = part["image"].shape[:2]
            cost += count_tokens(width, height, self.module.tokens)
        return cost


def _is_out_of_memory(error: RuntimeError) -> bool:
    """PyTorch on a processor, and the libraries below it on a GPU, say it in words only."""
    words = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory")
    return isinstance(error, torch.OutOfMemoryError) or any(one in str(error) for one in words)


def _describe(module: GmeModule) -> str:
    return (
        f"two bicubic resizes to {module.tokens.least}-{module.tokens.most} visual tokens,"
        " last token, 1-d positions"
    )
