"""The built-in model as an `Encoder`, without sentence-transformers.

Importing sentence-transformers takes twice as long as importing torch, and a search by text would
wait for it. `module` is the same model as a module of sentence-transformers.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imgsearch.encoders.batch_encoder import BatchedEncoder
from imgsearch.encoders.builtin import CARD, INPUT_SIZE, SPACE
from imgsearch.records import QueryReading
from imgsearch.vectors import Embeddings, Pixels

if TYPE_CHECKING:
    from imgsearch.encoders.builtin.image_tower import ImageTower
    from imgsearch.encoders.builtin.text_tower import TextTower


class Towers(nn.Module):
    """The text and the image tower, each loaded with its first input.

    So a search by text never loads the vision network.

    Parameters
    ----------
    dtype : torch.dtype
        Dtype of the weights. All arithmetic after the networks is float32.
    autocast : torch.dtype, optional
        Dtype in which the networks compute, if it differs from `dtype`.
    """

    anchor: Tensor

    def __init__(self, dtype: torch.dtype, autocast: torch.dtype | None = None) -> None:
        super().__init__()
        self._dtype, self._autocast = dtype, autocast
        self._building = threading.Lock()
        # Records the device of the model while neither network is loaded.
        self.register_buffer("anchor", torch.zeros(()), persistent=False)

    @property
    def text(self) -> TextTower:
        """The tower for texts."""
        from imgsearch.encoders.builtin.text_tower import TextTower

        tower: TextTower = self._tower("texts", TextTower)
        return tower

    @property
    def image(self) -> ImageTower:
        """The tower for pictures."""
        from imgsearch.encoders.builtin.image_tower import ImageTower

        tower: ImageTower = self._tower("pictures", ImageTower)
        return tower

    def _tower(self, name: str, build: Any) -> Any:
        with self._building:
            if name not in self._modules:
                # Tensors made in inference mode could not be moved to another device later.
                with torch.inference_mode(False):
                    tower = build(self._dtype, self._autocast).to(self.anchor.device).eval()
                    self.add_module(name, tower)
        return self._modules[name]


class ConceptEncoder(BatchedEncoder):
    """Maps texts and pictures to one space of concepts with 800 dimensions.

    Parameters
    ----------
    batch_size : int
        Inputs per pass through a network.
    """

    def __init__(self, towers: Towers, batch_size: int) -> None:
        device = towers.anchor.device
        super().__init__(SPACE, CARD, INPUT_SIZE, batch_size, device=device, core_batch=1)
        self._towers = towers

    def image_features(self, images: Sequence[Pixels]) -> dict[str, Any]:
        """Pixels and shapes of pictures, and the inputs of the blocks."""
        from PIL import Image

        return self._towers.image.prepare([Image.fromarray(image) for image in images])

    def text_features(self, texts: Sequence[str], instruction: str | None) -> dict[str, Any]:
        """Tokens of texts; an instruction has no effect on this model."""
        return self._towers.text.prepare(texts)

    def rows(self, features: dict[str, Any]) -> Tensor:
        """Rows of pictures or texts, by the tower that reads them."""
        tower = self._towers.text if "input_ids" in features else self._towers.image
        with torch.inference_mode():
            rows: Tensor = tower(**features)
        return rows

    def explain(self, text: str) -> QueryReading:
        """The reading of a query."""
        return self._towers.text.languages.explain(text)

    def answer_prior(self, texts: Embeddings) -> NDArray[np.float64]:
        """Log-odds, of shape (n,), that queries have an answer; see `answer_prior`."""
        from imgsearch.encoders.builtin.answer_prior import answer_prior

        return answer_prior(texts)
