"""gme-Qwen2-VL as a module of sentence-transformers, over transformers' own `Qwen2VLModel`.

Zhang et al., "GME: Improving Universal Multimodal Retrieval by Multimodal LLMs" (2024,
arXiv:2412.16855): the hidden state of the last token of a chat prompt, normalised. Details that the
paper leaves open follow the code published with the weights, which is never run; see
docs/adr/0006-gme-without-remote-code.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import torch
from PIL.Image import Image
from sentence_transformers.base.modules import InputModule
from torch import Tensor
from torch.nn import functional

from imgsearch.encoders.engine import joined
from imgsearch.encoders.gme.graphs import Replay
from imgsearch.encoders.gme.language import Reader
from imgsearch.encoders.gme.prompt import (
    DOCUMENT_INSTRUCTION,
    MAX_TOKENS,
    number_prompts,
    write_prompt,
)
from imgsearch.encoders.gme.resize import TOKEN_SIDE_PIXELS, VisualTokens, resize
from imgsearch.encoders.gme.vision import Eye, patch_places
from imgsearch.errors import QueryError
from imgsearch.vectors import Pixels

Features = dict[str, Any]


class GmeModule(InputModule):
    """Maps texts, pictures, or texts with a picture to one vector each.

    Parameters
    ----------
    model : Qwen2VLModel
    tokenizer : Qwen2Tokenizer
    colours : (mean, deviation)
        Mean and deviation of the three channels, for values of 0 to 1.
    tokens : VisualTokens
    max_length : int
        Maximum number of tokens of a prompt.
    padding_side : {"right", "left"}
        Does not affect vectors; padding on the right needs no attention mask, which is faster.
    pad_to : int
        Prompts are padded to a multiple of this; values above 1 give fewer different shapes.
    resizers : Executor, optional
        Threads that resize the pictures of a batch; Pillow releases the GIL.
    """

    save_in_root = True
    tokenizer: Any

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        colours: tuple[Sequence[float], Sequence[float]],
        *,
        tokens: VisualTokens | None = None,
        max_length: int = MAX_TOKENS,
        padding_side: str = "right",
        pad_to: int = 1,
        resizers: Executor | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.model = model
        self.tokenizer = tokenizer
        self.eye = Eye(model.visual, *colours)
        self.reader = Reader(model.language_model)
        self.tokens = tokens or VisualTokens()
        self.max_seq_length = max_length
        self.padding_side = padding_side
        self.pad_to = pad_to
        self.resizers = resizers
        self.replay: Callable[[Features], Tensor] | None = None

    @property
    def modalities(self) -> list[Any]:
        return ["text", "image", ("image", "text")]

    def get_embedding_dimension(self) -> int:
        return int(self.model.config.text_config.hidden_size)

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **_: Any) -> Features:
        """Features of a batch.

        Parameters
        ----------
        inputs : sequence
            Texts, pictures, or {"text": text, "image": picture} with either or both. A picture is
            a PIL image or an ndarray of shape (height, width, 3), uint8.
        prompt : str, optional
            The instruction; by default the one for documents.

        Returns
        -------
        dict with tensors on the host
            "input_ids" int64 (n, longest); "attention_mask" int64 (n, longest); "last" int64
            (n,), the flat index of each prompt's last token; "seen" int64, the flat indices of the
            visual tokens; "pixels" uint8, all pictures one after the other; "places" int32, row
            and column of each patch; and "sizes", a list of the pictures' (height, width).

        Raises
        ------
        QueryError
            The instruction is so long that a picture does not fit after it.
        """
        pairs = [_split(part) for part in inputs]
        pictures = self._resize_all([image for _, image in pairs if image is not None])
        resized = iter(pictures)
        counts = [0 if image is None else _count_tokens(next(resized)) for _, image in pairs]
        instruction = prompt or DOCUMENT_INSTRUCTION
        texts = [write_prompt(instruction, text, image is not None) for text, image in pairs]
        rows = number_prompts(self.tokenizer, texts, counts, self.max_seq_length)
        features = self._pad(rows) | _pack(pictures, self.model.device)
        if len(features["seen"]) != sum(counts):
            raise QueryError(
                f"the instruction is so long that a picture of {max(counts)} visual tokens does"
                f" not fit into {self.max_seq_length} tokens",
                "Use a shorter instruction, or fewer visual tokens.",
            )
        return features

    def forward(self, features: Features, **_: Any) -> Features:
        """Add "sentence_embedding": Tensor of shape (n, hidden size), float32, unit norm."""
        embed: Callable[[Features], Tensor] = self.embed
        if self.replay and not features["sizes"]:
            embed = self.replay
        features["sentence_embedding"] = embed(features)
        return features

    def record_texts(self) -> None:
        """Replay CUDA graphs for batches without pictures; pads prompts to multiples of 16.

        For searching on a GPU, where launches dominate a single query. See `graphs.Replay`.
        """
        self.pad_to = max(self.pad_to, 16)
        self.replay = Replay(self.embed)

    def embed(self, features: Features) -> Tensor:
        """The vectors; all sizes are known on the host, so nothing waits for the device."""
        ids = features["input_ids"]
        hidden = self.model.language_model.embed_tokens(ids)
        if features["sizes"]:
            seen = self.eye(features["pixels"], features["places"], features["sizes"])
            hidden.view(-1, hidden.shape[-1]).index_copy_(
                0, features["seen"], seen.to(hidden.dtype)
            )
        states = self.reader(
            hidden, features["attention_mask"], features["last"], self.padding_side == "right"
        )
        return functional.normalize(states.float(), dim=1)

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Not supported: this model is stored only as its published folder."""
        raise NotImplementedError(
            "a GME model is loaded from its published folder and is never saved"
        )

    def _resize_all(self, images: Sequence[Pixels]) -> list[Pixels]:
        each = self.resizers.map if self.resizers else map
        return list(each(lambda image: resize(image, self.tokens), images))

    def _pad(self, rows: Sequence[list[int]]) -> Features:
        longest = -(-max(map(len, rows)) // self.pad_to) * self.pad_to
        ids = np.full((len(rows), longest), self.tokenizer.pad_token_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for line, (row, marks) in enumerate(zip(rows, mask, strict=True)):
            room = slice(0, len(row)) if self.padding_side == "right" else slice(-len(row), None)
            ids[line, room] = row
            marks[room] = 1
        picture = self.tokenizer.convert_tokens_to_ids("<|image_pad|>")
        last = longest - 1 - mask[:, ::-1].argmax(axis=1) + np.arange(len(rows)) * longest
        arrays = {
            "input_ids": ids,
            "attention_mask": mask,
            "last": last,
            "seen": np.flatnonzero(ids == picture),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _split(part: Any) -> tuple[str, Pixels | None]:
    if isinstance(part, str):
        return part, None
    if not isinstance(part, Mapping):
        part = {"image": part}
    image = part.get("image")
    if isinstance(image, Image):
        image = np.asarray(image.convert("RGB"))
    return part.get("text") or "", image


def _count_tokens(picture: Pixels) -> int:
    return picture.size // (3 * TOKEN_SIDE_PIXELS**2)


def _pack(pictures: Sequence[Pixels], device: torch.device) -> Features:
    sizes = [picture.shape[:2] for picture in pictures]
    places = [torch.from_numpy(patch_places(size)) for size in sizes]
    return {
        "pixels": joined(pictures, device),
        "places": torch.cat(places) if places else torch.empty((0, 2), dtype=torch.int32),
        "sizes": sizes,
    }
