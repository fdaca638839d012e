"""The image tower: the vision network, and the image halves of the blocks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from imgsearch.encoders.builtin import cells, efficientnet, weights
from imgsearch.encoders.builtin.blocks import DIMENSION, Halves
from imgsearch.encoders.builtin.blocks.halves import VisionOutput
from imgsearch.encoders.builtin.evidence import evidence, regions_of
from imgsearch.encoders.devices import autocasting

_CPU_BATCH_IMAGES = 1  # with eight, activations leave the cache: a quarter slower (measured)


class ImageTower(nn.Module):
    """Maps pictures to rows of the common space."""

    def __init__(self, dtype: torch.dtype, autocast: torch.dtype | None = None) -> None:
        super().__init__()
        self._autocast = autocast
        network = efficientnet.from_checkpoint(weights.vision_state())
        self.network = network.to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.classifier.float()  # in the precision of `dtype`
        self.halves = Halves("pictures", weights.load_assets(), dtype)

    def prepare(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """Pixels and shapes of n pictures (`cells.lay_out`), and the inputs of the blocks."""
        images = [image.convert("RGB") for image in images]
        return cells.lay_out(images) | self.halves.prepare(images)

    def forward(self, pixels: Tensor, shapes: Tensor, **inputs: Tensor) -> Tensor:
        """Rows of shape (n, 800), float32, unit norm."""
        rows = torch.empty(len(shapes), DIMENSION, device=pixels.device)
        for numbers, alike in cells.by_shape(pixels, shapes).values():
            own = {name: each[numbers] for name, each in inputs.items()}
            rows[numbers] = self.halves(self._output(self._maps(alike), own), len(numbers))
        return rows

    def _maps(self, pixels: Tensor) -> Tensor:
        """The last feature maps of pictures (n, h, w, 3), uint8: (n, 1280, h/32, w/32), float32."""
        batch = _CPU_BATCH_IMAGES if pixels.device.type == "cpu" else len(pixels)
        return torch.cat([self._map(part) for part in torch.split(pixels, batch)])

    def _map(self, pixels: Tensor) -> Tensor:
        # Interleaved pixels are channels_last in torch, so the permuted view needs no copy.
        scaled = efficientnet.scale_pixels(pixels.permute(0, 3, 1, 2).to(self._dtype))
        with autocasting(scaled.device, self._autocast):
            features: Tensor = self.network(scaled)
        return features.float()

    def _output(self, maps: Tensor, inputs: dict[str, Tensor]) -> VisionOutput:
        features = maps.mean((2, 3))
        logits = self._logits(torch.cat([features[:, None], regions_of(maps)], dim=1))
        whole, regions = logits[:, 0], logits[:, 1:]
        return VisionOutput(maps, features, whole, regions, evidence(whole, regions), inputs)

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.network.stem.weight.dtype
        return dtype

    def _logits(self, features: Tensor) -> Tensor:
        """Class logits of features (..., 1280), always computed in float32."""
        logits: Tensor = self.network.classifier(features)
        return logits
