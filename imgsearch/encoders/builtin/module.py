"""The built-in model as one module of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from sentence_transformers.base.modules import InputModule
from torch import Tensor

from imgsearch.encoders.builtin import SPACE
from imgsearch.encoders.builtin.blocks import DIMENSION
from imgsearch.encoders.builtin.towers import ImageTower, TextTower
from imgsearch.errors import EncoderError


class CrossModalConcepts(InputModule):
    """Texts and pictures to one space of concepts, 800 dimensions.

    Use it as `SentenceTransformer(modules=[CrossModalConcepts()])`. The network for texts is
    loaded with the first text and that for pictures with the first picture, so a search by words
    never pays for the other.

    Parameters
    ----------
    revision : str
        Of which revision of the model a saved folder was; another one is refused.
    dtype : torch.dtype
        What the weights of the networks are in. The arithmetic after them is float32.
    autocast : torch.dtype, optional
        What the networks compute in, where that is not `dtype`.
    """

    config_file_name = "imgsearch_builtin.json"
    config_keys = ["revision"]  # noqa: RUF012 - so declared by the base class
    save_in_root = True
    anchor: Tensor

    def __init__(
        self,
        revision: str = SPACE.revision,
        dtype: torch.dtype = torch.float32,
        autocast: torch.dtype | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if revision != SPACE.revision:
            raise EncoderError(
                f"this is revision {SPACE.revision} of the built-in model, and not {revision}",
                "Index the pictures again with this version of imgsearch.",
            )
        self.revision, self._dtype, self._autocast = revision, dtype, autocast
        # Tells where the model was moved to while neither network is loaded.
        self.register_buffer("anchor", torch.zeros(()), persistent=False)

    @property
    def modalities(self) -> list[Any]:
        return ["text", "image"]

    @property
    def text_tower(self) -> TextTower:
        tower: TextTower = self._tower("text", TextTower)
        return tower

    @property
    def image_tower(self) -> ImageTower:
        tower: ImageTower = self._tower("image", ImageTower)
        return tower

    def get_embedding_dimension(self) -> int:
        return DIMENSION

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Features of either texts or RGB pictures; a prompt means nothing to this model."""
        if all(isinstance(item, str) for item in inputs):
            return self.text_tower.prepare(inputs)
        if all(isinstance(item, Image.Image) for item in inputs):
            return self.image_tower.prepare(inputs)
        raise ValueError("one call takes either texts or pictures (PIL images), not both")

    def forward(self, features: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        """Adds `sentence_embedding`: (n, 800), float32, unit norm."""
        tower = self.text_tower if "input_ids" in features else self.image_tower
        return {**features, "sentence_embedding": tower(**features)}

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Writes the configuration only: weights stay in the packages that they came in."""
        self.save_config(output_path)

    def _tower(self, name: str, build: Any) -> Any:
        if name not in self._modules:
            # Tensors made in inference mode could not be moved to another device later.
            with torch.inference_mode(False):
                self.add_module(name, build(self._dtype, self._autocast).to(self.anchor.device))
        return self._modules[name]
