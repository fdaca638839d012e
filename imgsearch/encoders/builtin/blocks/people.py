"""Block "people": persons in a picture, by faces and bodies, and the words for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from imgsearch.encoders.builtin import bodies, faces, people, weights
from imgsearch.encoders.builtin.blocks.halves import Arrays, PictureHalf, Said, Seen, TextHalf
from imgsearch.encoders.builtin.blocks.sights import beside_nothing

NAME = "people"
DIMENSIONS = 16  # ten kinds, "nobody", and five that are free

_SIDE = 256  # pixels of a side of the square in which faces are looked for
_SOMEBODY = 0.35  # bodies score more than this where there is a face (measured)


class PeoplePictures(PictureHalf):
    """Faces are looked for only where there may be a body, which saves half the time."""

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        # float32 whatever the others compute in: thresholds should not depend on the machine.
        networks = weights.people_networks()
        for name, network in networks.items():
            self.add_module(name, network)
        self._bodies = networks["bodies"]
        self._cascade = faces.Cascade(
            **{k: networks[k] for k in ("first", "second", "third", "looks")}
        )

    def prepare(self, images: Sequence[Image.Image]) -> Tensor:
        """Pixels (n, 256, 256, 3), uint8."""
        return torch.from_numpy(np.stack([_in_square(image) for image in images]))

    def forward(self, seen: Seen) -> Tensor:
        pixels = seen.read[NAME].permute(0, 3, 1, 2).float()
        scores = bodies.scores(self._bodies, pixels)
        rows = [self._kinds(*each) for each in zip(pixels, scores.tolist(), strict=True)]
        return beside_nothing(torch.from_numpy(np.stack(rows)).to(pixels.device), DIMENSIONS)

    def _kinds(self, pixels: Tensor, body: float) -> people.Floats:
        found = faces.find(self._cascade, pixels) if body > _SOMEBODY else people.NO_FACES
        return people.of_picture(found, body)


class PeopleTexts(TextHalf):
    """Which kinds of people a text has words for."""

    def prepare(self, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.stack([people.of_text(text) for text in texts]))

    def forward(self, said: Said) -> Tensor:
        rows = said.read[NAME]
        return torch.nn.functional.pad(rows, (0, DIMENSIONS - rows.shape[1]))


def _in_square(image: Image.Image) -> np.ndarray:
    """In the middle of a white square: (256, 256, 3), uint8."""
    scale = _SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    fitted = image.resize(size, Image.Resampling.BILINEAR)
    square = Image.new("RGB", (_SIDE, _SIDE), "white")
    square.paste(fitted, ((_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2))
    return np.asarray(square)
