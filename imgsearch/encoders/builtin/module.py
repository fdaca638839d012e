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
from imgsearch.encoders.builtin.encoder import Towers
from imgsearch.errors import EncoderError


class CrossModalConcepts(InputModule):
    """Texts and pictures to one space of concepts, 800 dimensions.

    Use it as `SentenceTransformer(modules=[CrossModalConcepts()])`, alone or before other modules.
    imgsearch itself uses `encoder.ConceptEncoder`: the same vectors, and sooner there.

    Parameters
    ----------
    revision : str
        Of which revision of the model a saved folder was; another one is refused.
    dtype, autocast
        As `Towers` has them.
    """

    config_file_name = "imgsearch_builtin.json"
    config_keys = ["revision"]  # noqa: RUF012 - so declared by the base class
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
        """Features of either texts or RGB pictures; a prompt means nothing to this model."""
        if all(isinstance(item, str) for item in inputs):
            return self.towers.text.prepare(inputs)
        if all(isinstance(item, Image.Image) for item in inputs):
            return self.towers.image.prepare(inputs)
        raise ValueError("one call takes either texts or pictures (PIL images), not both")

    def forward(self, features: dict[str, Tensor], **kwargs: Any) -> dict[str, Tensor]:
        """Adds `sentence_embedding`: (n, 800), float32, unit norm."""
        tower = self.towers.text if "input_ids" in features else self.towers.image
        return {**features, "sentence_embedding": tower(**features)}

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Writes the configuration only: weights stay in the packages that they came in."""
        self.save_config(output_path)
