"""The encoder of EmbeddingGemma 2, over transformers' own `EmbeddingGemma2Model`.

Texts and pictures are written as conversations by the chat template of the model's folder, with the
instruction as the system's turn; the vector is the mean of all token states, normalised. The stock
processor loads only where torchvision is installed, because it contains one for videos; the steps
for pictures and texts are done here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imgsearch.encoders.chat_encoder import ChatEncoder, Features, Part
from imgsearch.encoders.devices import autocasting
from imgsearch.encoders.embedding_gemma2.resize import TOKEN_SIDE_PIXELS, LargestFit
from imgsearch.encoders.memory import fitting_batch, transformer_bytes
from imgsearch.model_card import InputSize, ModelCard
from imgsearch.vectors import EmbeddingSpace, Pixels

MAX_PROMPT_TOKENS = 8192
"""Maximum length of a prompt, as published; the rest is cut off."""

_PATCH_PIXELS = 16
_PATCHES_PER_TOKEN = 9


class EmbeddingGemma2Encoder(ChatEncoder):
    """Encodes texts, pictures, and texts with a picture as unit vectors of one space.

    Parameters
    ----------
    network : EmbeddingGemma2Model
        On its device and in its dtype.
    tokenizer : a tokenizer of transformers
        With a chat template.
    space : EmbeddingSpace
        Its instruction is used for pictures.
    tokens : int
        Maximum number of visual tokens of a picture.
    batch_size : int
        Maximum number of inputs per pass through the network; 0 derives it from the free memory.
    autocast : torch.dtype, optional
        Compute in this dtype; the weights keep theirs.
    """

    not_finite_hint = "Use --precision bf16 or fp32."

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        card: ModelCard,
        space: EmbeddingSpace,
        *,
        tokens: int,
        batch_size: int = 0,
        autocast: torch.dtype | None = None,
    ) -> None:
        steps = LargestFit(tokens)
        self._max_patches = tokens * _PATCHES_PER_TOKEN
        super().__init__(
            space,
            card,
            InputSize(area=TOKEN_SIDE_PIXELS**2 * tokens, preparation=steps),
            batch_size or fitting_batch(network.device, self._image_bytes(network)),
            device=network.device,
        )
        self.network = network
        self.tokenizer = tokenizer
        self._controls = re.compile("|".join(map(re.escape, tokenizer.all_special_tokens)))
        self._autocast = autocast

    def rows(self, features: Features) -> Tensor:
        """The mean state of each prompt's tokens: Tensor of shape (n, embedding dimension)."""
        with torch.inference_mode(), autocasting(self.network.device, self._autocast):
            inputs = dict(features)
            if "pixel_values" in inputs:
                inputs["pixel_values"] = inputs["pixel_values"].float() / 255
            states = self.network(**inputs).last_hidden_state.float()
            mask = features["attention_mask"].unsqueeze(-1)
            mean: Tensor = (states * mask).sum(dim=1) / mask.sum(dim=1)
        return mean

    def _features(self, parts: Sequence[Part], instruction: str | None) -> Features:
        """Tokens and patches of a batch; the pictures have their final sizes.

        Returns
        -------
        dict with tensors on the host
            "input_ids" and "attention_mask" int64 (n, longest); and, if there are pictures,
            "pixel_values" uint8 (pictures, patches, 768) and "image_position_ids" int64 (pictures,
            patches, 2), column and row of each patch, -1 for padding.
        """
        said = self.card.query_instruction if instruction is None else instruction
        prompts = [self._prompt(said, part) for part in parts]
        batch = self.tokenizer(
            prompts,
            add_special_tokens=not prompts[0].startswith(self.tokenizer.bos_token),
            padding=True,
            padding_side="right",
            truncation=True,
            max_length=MAX_PROMPT_TOKENS,
            return_tensors="pt",
        )
        features = {name: batch[name] for name in ("input_ids", "attention_mask")}
        images = [image for _, image in parts if image is not None]
        if images:
            patches, places = zip(*map(self._patches, images), strict=True)
            features["pixel_values"] = torch.from_numpy(np.stack(patches))
            features["image_position_ids"] = torch.from_numpy(np.stack(places))
        return features

    def _prompt(self, instruction: str, part: Part) -> str:
        """The conversation, with the tokens of the picture.

        A space is inserted into text that spells a control token.
        """
        text, image = part
        content = [{"type": "image"}] if image is not None else []
        if text is not None:
            content.append(self._said(text))
        messages = [{"role": "user", "content": content}]
        if instruction:
            messages.insert(0, {"role": "system", "content": [self._said(instruction)]})
        prompt: str = self.tokenizer.apply_chat_template(messages, tokenize=False)
        if image is None:
            return prompt
        names, count = self.tokenizer, image.shape[0] * image.shape[1] // TOKEN_SIDE_PIXELS**2
        seen = f"{names.boi_token}{names.image_token * count}{names.eoi_token}"
        return prompt.replace(names.image_token, seen)

    def _said(self, text: str) -> dict[str, str]:
        plain = self._controls.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return {"type": "text", "text": plain}

    def _patches(self, image: Pixels) -> tuple[np.ndarray, np.ndarray]:
        """Patches and their places, padded to the maximum number of patches."""
        rows, columns = (side // _PATCH_PIXELS for side in image.shape[:2])
        grid = image.reshape(rows, _PATCH_PIXELS, columns, _PATCH_PIXELS, 3)
        found = grid.transpose(0, 2, 1, 3, 4).reshape(rows * columns, -1)
        patches = np.zeros((self._max_patches, found.shape[1]), np.uint8)
        places = np.full((self._max_patches, 2), -1, np.int64)
        patches[: len(found)] = found
        places[: len(found)] = np.indices((rows, columns))[::-1].reshape(2, -1).T
        return patches, places

    def _image_bytes(self, network: Any) -> float:
        eye, size = network.config.vision_config, network.dtype.itemsize
        return transformer_bytes(self._max_patches, eye.hidden_size, eye.intermediate_size, size)
