"""The encoder of gme-Qwen2-VL: batches, precision and devices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from imgsearch.encoders.batch_encoder import BatchedEncoder
from imgsearch.encoders.batches import plan_batches
from imgsearch.encoders.devices import autocasting
from imgsearch.encoders.gme.module import Features, GmeModule
from imgsearch.encoders.gme.prompt import DOCUMENT_INSTRUCTION, SEARCH_INSTRUCTION
from imgsearch.encoders.gme.resize import TOKEN_SIDE_PIXELS, SquareSteps, VisualTokens, count_tokens
from imgsearch.encoders.memory import max_batch, room_for, transformer_bytes
from imgsearch.model_card import InputSize, ModelCard
from imgsearch.vectors import Embeddings, EmbeddingSpace, Pixels

_PROMPT_TOKENS = 30.0


class GmeEncoder(BatchedEncoder):
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

    not_finite_hint = (
        "Use --precision bf16 or fp32; the range of float16 is too small for some weights."
    )

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
        self.device = torch.device(device or "cpu")
        super().__init__(
            EmbeddingSpace(
                card.name,
                revision,
                _describe(module),
                module.get_embedding_dimension(),
                instruction,
            ),
            card,
            _input_size(module.tokens),
            batch_size or max_batch(self.device),
            alike=False,
            device=self.device,
            room=math.inf if batch_size else room_for(self.device) / _bytes_per_token(module),
        )
        self.model = SentenceTransformer(
            modules=[module],
            device=str(self.device),
            prompts={"query": SEARCH_INSTRUCTION, "document": instruction},
        )
        self.module = module.eval()
        self._autocast = autocast

    def image_cost(self, width: int, height: int) -> float:
        """Approximate number of tokens of a picture with its prompt."""
        return _PROMPT_TOKENS + count_tokens(width, height, self.module.tokens)

    def image_features(self, images: Sequence[Pixels]) -> Features:
        """Prompts and pixels, with the document instruction."""
        return self._features([{"image": image} for image in images], self.space.instruction)

    def text_features(self, texts: Sequence[str], instruction: str | None) -> Features:
        """Prompts of texts; the default instruction searches."""
        return self._features([{"text": text} for text in texts], instruction)

    def text_batches(self, texts: Sequence[str]) -> list[list[int]]:
        """Places of texts of similar numbers of tokens."""
        costs = [_PROMPT_TOKENS + _text_tokens(text) for text in texts]
        return plan_batches(costs, self.batch_size, self.room)

    def _features(self, parts: Sequence[Any], instruction: str | None) -> Features:
        features: Features = self.model.preprocess(parts, prompt=instruction or SEARCH_INSTRUCTION)
        return features

    def _prepared(self, pixels: Pixels) -> Pixels:
        """The picture as it is: the module resizes those that are not prepared, in threads."""
        return pixels

    def rows(self, features: Features) -> Tensor:
        """Launch one batch; on a GPU this returns before the result is computed."""
        with torch.inference_mode(), autocasting(self.device, self._autocast):
            vectors: Tensor = self.model(features)["sentence_embedding"]
        return vectors

    def encode_fused(
        self, texts: Sequence[str], images: Sequence[Pixels], instruction: str | None = None
    ) -> Embeddings:
        """One vector per text with its image: shape (n, dimension), float32, unit norm."""
        pairs = list(zip(texts, images, strict=True))
        costs = [
            self.image_cost(image.shape[1], image.shape[0]) + _text_tokens(text)
            for text, image in pairs
        ]

        def assemble(batch: list[int]) -> Features:
            parts = [{"text": pairs[place][0], "image": pairs[place][1]} for place in batch]
            return self._features(parts, instruction)

        batches = plan_batches(costs, self.batch_size, self.room)
        return self._gather(len(pairs), self._stream(assemble, batches))


def _text_tokens(text: str) -> float:
    """Approximate number of tokens of a text."""
    return len(text) / 4


def _input_size(tokens: VisualTokens) -> InputSize:
    """The area of the largest input, and the resizes to the size for each picture."""
    return InputSize(area=TOKEN_SIDE_PIXELS**2 * tokens.maximum, preparation=SquareSteps(tokens))


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
