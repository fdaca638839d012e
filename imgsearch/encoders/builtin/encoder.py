"""The built-in model behind the port `Encoder`, without sentence-transformers around it.

Importing sentence-transformers takes twice as long as importing torch, and a search by words waits
for that. `module` is the same model as a module of sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from imgsearch.encoders.batch_encoder import BatchedEncoder
from imgsearch.encoders.builtin import CARD, INPUT_SIZE, SPACE
from imgsearch.vectors import Pixels

if TYPE_CHECKING:
    from imgsearch.encoders.builtin.image_tower import ImageTower
    from imgsearch.encoders.builtin.text_tower import TextTower


class Towers(nn.Module):
    """Both networks. That for texts is loaded with the first text and that for pictures with the
    first picture, so a search by words never pays for the other.

    Parameters
    ----------
    dtype : torch.dtype
        What the weights of the networks are in. The arithmetic after them is float32.
    autocast : torch.dtype, optional
        What the networks compute in, where that is not `dtype`.
    """

    anchor: Tensor

    def __init__(self, dtype: torch.dtype, autocast: torch.dtype | None = None) -> None:
        super().__init__()
        self._dtype, self._autocast = dtype, autocast
        # Tells where the model was moved to while neither network is loaded.
        self.register_buffer("anchor", torch.zeros(()), persistent=False)

    @property
    def text(self) -> TextTower:
        """Texts to rows of the space."""
        from imgsearch.encoders.builtin.text_tower import TextTower

        tower: TextTower = self._tower("texts", TextTower)
        return tower

    @property
    def image(self) -> ImageTower:
        """Pictures to rows of the space."""
        from imgsearch.encoders.builtin.image_tower import ImageTower

        tower: ImageTower = self._tower("pictures", ImageTower)
        return tower

    def _tower(self, name: str, build: Any) -> Any:
        if name not in self._modules:
            # Tensors made in inference mode could not be moved to another device later.
            with torch.inference_mode(False):
                tower = build(self._dtype, self._autocast).to(self.anchor.device).eval()
                self.add_module(name, tower)
        return self._modules[name]


class ConceptEncoder(BatchedEncoder):
    """Texts and pictures to one space of concepts, 800 dimensions.

    Parameters
    ----------
    batch_size : int
        Inputs that go through a network together.
    """

    def __init__(self, towers: Towers, batch_size: int) -> None:
        super().__init__(SPACE, CARD, INPUT_SIZE, batch_size)
        self._towers = towers

    def rows_of_pictures(self, pictures: Sequence[Pixels]) -> Tensor:
        from PIL import Image

        return self._through(self._towers.image, [Image.fromarray(each) for each in pictures])

    def rows_of_texts(self, texts: Sequence[str], instruction: str | None) -> Tensor:
        """An instruction means nothing to this model."""
        return self._through(self._towers.text, texts)

    def _through(self, tower: TextTower | ImageTower, inputs: Sequence[Any]) -> Tensor:
        with torch.inference_mode():
            prepared = tower.prepare(inputs)
            device = self._towers.anchor.device
            rows: Tensor = tower(**{name: part.to(device) for name, part in prepared.items()})
        return rows
