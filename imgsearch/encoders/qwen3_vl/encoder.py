"""The encoder of Qwen3-VL-Embedding, over transformers' own `Qwen3VLModel`.

Li et al., "Qwen3-VL-Embedding and Qwen3-VL-Reranker" (2026, arXiv:2601.04720): the hidden state of
the last token of a chat prompt, normalised. The stock processor loads only where torchvision is
installed, because it contains one for videos; the steps for pictures and texts are done here.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from imgsearch.encoders.batches import plan_batches
from imgsearch.encoders.chat_encoder import ChatEncoder, Features, Part
from imgsearch.encoders.devices import autocasting
from imgsearch.encoders.engine import joined
from imgsearch.encoders.gme.prompt import PICTURE, number_prompts, plain_text
from imgsearch.encoders.gme.resize import VisualTokens
from imgsearch.encoders.memory import max_batch, room_for, transformer_bytes
from imgsearch.encoders.qwen3_vl.resize import TOKEN_SIDE_PIXELS, OneResize
from imgsearch.errors import QueryError
from imgsearch.model_card import InputSize, ModelCard
from imgsearch.vectors import EmbeddingSpace, Pixels

MAX_PROMPT_TOKENS = 8192
"""Maximum length of a prompt, as published; the rest is cut off."""

_PROMPT_TOKENS = 30.0
_PATCH_PIXELS, _MERGE = 16, 2
_FRAMES = 2  # a still picture is two equal frames of a video


@dataclass(frozen=True, slots=True)
class Reader:
    """Tokenizer, chat template and pixel scale of a model folder.

    Attributes
    ----------
    tokenizer : a tokenizer of transformers
    template : str
        The chat template, in Jinja; transformers runs it in a sandbox.
    mean, deviation : sequences of 3 floats
        Mean and deviation of the channels, for pixel values of 0 to 1.
    """

    tokenizer: Any
    template: str
    mean: Sequence[float]
    deviation: Sequence[float]

    def prompt(self, instruction: str, part: Part) -> str:
        """The chat prompt, with one `<|image_pad|>` in place of a picture."""
        text, image = part
        content = [{"type": "image"}] if image is not None else []
        if text is not None:
            content.append({"type": "text", "text": plain_text(text)})
        system = [{"type": "text", "text": plain_text(_as_sentence(instruction))}]
        prompt: str = self.tokenizer.apply_chat_template(
            [{"role": "system", "content": system}, {"role": "user", "content": content}],
            chat_template=self.template,
            add_generation_prompt=True,
            tokenize=False,
        )
        return prompt


class Qwen3VLEncoder(ChatEncoder):
    """Encodes texts, pictures, and texts with a picture as unit vectors of one space.

    Prompts are padded on the right and get no attention mask: under causal attention no token sees
    the padding after it.

    Parameters
    ----------
    network : Qwen3VLModel
        On its device and in its dtype.
    reader : Reader
    space : EmbeddingSpace
        Its instruction is used for pictures.
    batch_size : int
        Maximum number of inputs per pass through the network; 0 derives it from the free memory.
    autocast : torch.dtype, optional
        Compute in this dtype; the weights keep theirs.
    """

    not_finite_hint = "Use --precision bf16 or fp32."

    def __init__(
        self,
        network: Any,
        reader: Reader,
        card: ModelCard,
        space: EmbeddingSpace,
        *,
        tokens: VisualTokens,
        batch_size: int = 0,
        autocast: torch.dtype | None = None,
    ) -> None:
        self._resize = OneResize(tokens)
        area = TOKEN_SIDE_PIXELS**2 * tokens.maximum
        super().__init__(
            space,
            card,
            InputSize(area=area, preparation=self._resize),
            batch_size or max_batch(network.device),
            alike=False,
            device=network.device,
            room=math.inf if batch_size else room_for(network.device) / _bytes_per_token(network),
        )
        self.network = network
        self.reader = reader
        self._autocast = autocast

    def image_cost(self, width: int, height: int) -> float:
        """Approximate number of tokens of a picture with its prompt."""
        return _PROMPT_TOKENS + _count_tokens(self._resize.final_size(width, height))

    def text_batches(self, texts: Sequence[str]) -> list[list[int]]:
        """Places of texts of similar numbers of tokens."""
        costs = [_PROMPT_TOKENS + len(text) / 4 for text in texts]
        return plan_batches(costs, self.batch_size, self.room)

    def fused_batches(self, texts: Sequence[str], images: Sequence[Pixels]) -> list[list[int]]:
        """Places of texts with their images of similar numbers of tokens."""
        pairs = zip(texts, images, strict=True)
        costs = [self.image_cost(i.shape[1], i.shape[0]) + len(text) / 4 for text, i in pairs]
        return plan_batches(costs, self.batch_size, self.room)

    def rows(self, features: Features) -> Tensor:
        """The state of each prompt's last token: Tensor of shape (n, hidden size)."""
        inputs = {name: features[name] for name in ("input_ids", "position_ids")}
        with torch.inference_mode(), autocasting(self.network.device, self._autocast):
            if features["sizes"]:
                inputs["pixel_values"] = self._patches(features["pixels"], features["sizes"])
                inputs["image_grid_thw"] = features["grids"]
            states: Tensor = self.network(**inputs, use_cache=False).last_hidden_state
            return states.flatten(0, 1).index_select(0, features["last"])

    def _features(self, parts: Sequence[Part], instruction: str | None) -> Features:
        """Tokens, positions and pixels of a batch; the pictures have their final sizes.

        Returns
        -------
        dict with tensors on the host
            "input_ids" int64 (n, longest); "position_ids" int64 (3, n, longest); "last" int64 (n,),
            the flat index of each prompt's last token; "pixels" uint8, all pictures one after the
            other; "grids" int64 (pictures, 3), frames, rows and columns of patches; and "sizes", a
            list of the pictures' (height, width).

        Raises
        ------
        QueryError
            The instruction is so long that a picture does not fit after it.
        """
        said = instruction or self.card.query_instruction
        images = [image for _, image in parts if image is not None]
        sizes = [image.shape[:2] for image in images]
        counts = [0 if image is None else _count_tokens(image.shape[:2]) for _, image in parts]
        prompts = [self.reader.prompt(said, part) for part in parts]
        rows = number_prompts(self.reader.tokenizer, prompts, counts, MAX_PROMPT_TOKENS)
        ids, lengths = _pad(rows, self.reader.tokenizer.pad_token_id or 0)
        seen = ids == self.reader.tokenizer.convert_tokens_to_ids(PICTURE)
        if int(seen.sum()) != sum(counts):
            raise QueryError(
                f"the instruction is so long that a picture of {max(counts)} visual tokens does"
                f" not fit into {MAX_PROMPT_TOKENS} tokens",
                "Use a shorter instruction, or fewer visual tokens.",
            )
        grids = torch.tensor([[1, h // _PATCH_PIXELS, w // _PATCH_PIXELS] for h, w in sizes])
        positions, _ = self.network.get_rope_index(
            ids, seen.int(), image_grid_thw=grids if sizes else None
        )
        return {
            "input_ids": ids,
            "position_ids": positions,
            "last": torch.arange(len(rows)) * ids.shape[1] + lengths - 1,
            "pixels": joined(images, self.network.device),
            "grids": grids,
            "sizes": sizes,
        }

    def _patches(self, pixels: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Normalised patches of shape (n, 3 * 2 * 16 * 16), float32, in the merger's order."""
        mean, deviation = (
            torch.tensor(list(each), dtype=torch.float32, device=pixels.device)
            for each in (self.reader.mean, self.reader.deviation)
        )
        parts = []
        lengths = [h * w * 3 for h, w in sizes]
        for (h, w), flat in zip(sizes, torch.split(pixels, lengths), strict=True):
            scaled = (flat.view(h, w, 3).float() / 255 - mean) / deviation
            grid = scaled.view(
                h // TOKEN_SIDE_PIXELS,
                _MERGE,
                _PATCH_PIXELS,
                w // TOKEN_SIDE_PIXELS,
                _MERGE,
                _PATCH_PIXELS,
                3,
            )
            still = grid.permute(0, 3, 1, 4, 6, 2, 5).unsqueeze(5)
            parts.append(still.expand(-1, -1, -1, -1, -1, _FRAMES, -1, -1).flatten(0, 3).flatten(1))
        return torch.cat(parts)


def _as_sentence(instruction: str) -> str:
    """The instruction with a full stop, unless it ends in punctuation; as in the published code."""
    instruction = instruction.strip()
    ends = instruction and not unicodedata.category(instruction[-1]).startswith("P")
    return f"{instruction}." if ends else instruction


def _count_tokens(size: tuple[int, ...]) -> int:
    return size[0] * size[1] // TOKEN_SIDE_PIXELS**2


def _pad(rows: Sequence[list[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Token ids of shape (n, longest), int64, padded on the right; and their lengths."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), padding)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row)] = torch.tensor(row)
    return ids, lengths


def _bytes_per_token(network: Any) -> float:
    """Approximate bytes of a visual token (four patches) in the wider of the two towers."""
    eye, text = network.config.vision_config, network.config.text_config
    size = network.dtype.itemsize
    seen = transformer_bytes(4, eye.hidden_size, eye.intermediate_size, size)
    return max(seen, transformer_bytes(1, text.hidden_size, text.intermediate_size, size))
