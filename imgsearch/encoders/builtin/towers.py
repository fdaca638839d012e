"""The two networks of the built-in model, each with its side of the blocks of the vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from imgsearch.encoders.builtin import efficientnet, weights
from imgsearch.encoders.builtin.blocks import Halves
from imgsearch.encoders.builtin.blocks.halves import Said, Seen
from imgsearch.encoders.builtin.minilm import SentenceNetwork

_REGION = 3  # cells of the feature map, which has 9: a third of the side of a picture
_AT_ONCE_ON_CPU = 4  # pictures; with more, activations leave the cache: twice as slow (measured)


class TextTower(nn.Module):
    """Texts to rows of the common space."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = SentenceNetwork().to(dtype)
        self.halves = Halves("texts", weights.load_assets(), dtype)

    def prepare(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Token ids and mask of n texts, and what the blocks read off them."""
        return self.network.tokenize(texts) | self.halves.prepare(texts)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **read: Tensor) -> Tensor:
        """(n, 768), float32, unit norm."""
        sentences = self.network(input_ids, attention_mask)
        rows: Tensor = self.halves(Said(sentences, read), len(sentences))
        return rows


class ImageTower(nn.Module):
    """Pictures to rows of the common space."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        network = efficientnet.from_checkpoint(weights.vision_state())
        self.network = network.to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.halves = Halves("pictures", weights.load_assets(), dtype)

    def prepare(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """Pixels (n, 260, 260, 3), uint8, of n pictures, and what the blocks read off them."""
        images = [image.convert("RGB") for image in images]
        pixels = np.stack([_pad(_fit(image)) for image in images])
        return {"pixels": torch.from_numpy(pixels)} | self.halves.prepare(images)

    def forward(self, pixels: Tensor, **read: Tensor) -> Tensor:
        """(n, 768), float32, unit norm."""
        # Rows of pixels are what torch calls channels_last: the permuted view needs no copy.
        scaled = efficientnet.scale_pixels(pixels.permute(0, 3, 1, 2).to(self._dtype))
        at_once = _AT_ONCE_ON_CPU if scaled.device.type == "cpu" else len(scaled)
        maps = torch.cat([self.network(part) for part in torch.split(scaled, at_once)]).float()
        rows: Tensor = self.halves(self._seen(maps, read), len(maps))
        return rows

    def _seen(self, maps: Tensor, read: dict[str, Tensor]) -> Seen:
        features = maps.mean((2, 3))
        regions = F.avg_pool2d(maps, _REGION, stride=1).flatten(2).transpose(1, 2)
        return Seen(maps, features, self._logits(features), self._logits(regions), read)

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.network.stem.weight.dtype
        return dtype

    def _logits(self, features: Tensor) -> Tensor:
        """Class logits of features (..., 1280), in float32 whatever the network computes in."""
        head = self.network.classifier
        return F.linear(features, head.weight.float(), head.bias.float())


def _fit(image: Image.Image) -> Image.Image:
    """The picture with its longer side at the network's size."""
    scale = efficientnet.SIZE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC)


def _pad(image: Image.Image) -> np.ndarray:
    """In the middle of a white square of the network's size: (260, 260, 3), uint8."""
    side = efficientnet.SIZE
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - image.height) // 2, (side - image.width) // 2
    square[top : top + image.height, left : left + image.width] = np.asarray(image)
    return square
