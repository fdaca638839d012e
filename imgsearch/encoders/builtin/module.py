"""The built-in model as a module of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from sentence_transformers.base.modules import InputModule
from torch import Tensor

from imgsearch.encoders.builtin import SPACE
from imgsearch.encoders.builtin.blocks import DIMENSION
from imgsearch.encoders.builtin.encoder import Towers
from imgsearch.errors import EncoderError


class CrossModalConcepts(InputModule):
    """Maps texts and pictures to one space of concepts with 800 dimensions.

    Use it as `SentenceTransformer(modules=[CrossModalConcepts()])`, alone or before other modules.
    imgsearch itself uses `encoder.ConceptEncoder`, which gives the same vectors and loads faster.

    Parameters
    ----------
    revision : str
        Revision of the model in a saved folder; any other revision than the current is refused.
    dtype, autocast
        As in `Towers`.
    """

    config_file_name = "imgsearch_builtin.json"
    config_keys = ["revision"]  # noqa: RUF012 - declared like this in the base class
    save_in_root = True

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
        self.revision = revision
        self.towers = Towers(dtype, autocast)

    @property
    def modalities(self) -> list[Any]:
        return ["text", "image"]

    def get_embedding_dimension(self) -> int:
        return DIMENSION

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Features of either texts or RGB pictures; a prompt has no effect."""
        if all(isinstance(item, str) for item in inputs):
            return self.towers.text.prepare(inputs)
        if all(isinstance(item, Image.Image) for item in inputs):
            return self.towers.image.prepare(inputs)
        raise ValueError("one call takes either texts or pictures (PIL images), not both")

    def forward(self, features: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        """Add `sentence_embedding`: (n, 800), float32, unit norm."""
        tower = self.towers.text if "input_ids" in features else self.towers.image
        return {**features, "sentence_embedding": tower(**features)}

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write only the configuration: the weights stay in their packages."""
        self.save_config(output_path)
