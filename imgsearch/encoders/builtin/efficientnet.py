"""EfficientNet-lite2: an image classifier small enough for one processor core.

Architecture: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019, in the "lite" form: no squeeze-and-excitation, ReLU6 instead of swish, stem and head not
scaled. The weights were trained on squares of 260 pixels in TensorFlow, so convolutions pad like
TensorFlow's "SAME": the output has ceil(input / stride) pixels, and an odd row of padding goes to
the bottom and to the right. PyTorch pads both sides equally and does not use a row too many at the
end, so its odd row is at the top and on the left. Therefore picture and kernels are rotated by 180
degrees; to pad each map first would copy it. Batch normalisation is folded into the convolutions on
loading.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from imgsearch.encoders.builtin.convolution import Convolution

FEATURES = 1280
CLASSES = 1000

_WIDTH, _DEPTH = 1.1, 1.2
_BN_EPSILON = 1e-3


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def same_conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: str = "relu6"
) -> Convolution:
    """A convolution that pads a rotated picture like TensorFlow's "SAME" pads the picture."""
    return Convolution(inputs, outputs, kernel, stride, kernel // 2, groups, act)


class InvertedResidual(nn.Module):
    """Expand (1x1), filter per channel (k x k), project (1x1, linear); add the input if it fits."""

    def __init__(self, inputs: int, stage: _Stage, outputs: int, stride: int) -> None:
        super().__init__()
        middle = inputs * stage.expand
        self.expand = same_conv(inputs, middle, 1) if stage.expand > 1 else None
        self.depthwise = same_conv(middle, middle, stage.kernel, stride, groups=middle)
        self.project = same_conv(middle, outputs, 1, act="")
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else self.expand(x)
        result: Tensor = self.project(self.depthwise(y))
        return result + x if self.residual else result


class EfficientNetLite2(nn.Module):
    """Maps pictures to the last feature map; `classifier` maps features to class logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = same_conv(3, 32, 3, 2)
        blocks, inputs = [], 32
        for number, stage in enumerate(_STAGES):
            outputs = _scaled_channels(stage.channels)
            for repeat in range(_scaled_repeats(number, stage)):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(InvertedResidual(inputs, stage, outputs, stride))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = same_conv(inputs, FEATURES, 1)
        self.classifier = nn.Linear(FEATURES, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (n, 1280, h/32, w/32), 0 to 6, of pixels (n, 3, h, w) from `scale_pixels`."""
        x = self.stem(pixels.flip(2, 3))
        maps: Tensor = self.head(self.blocks(x))
        return maps.flip(2, 3)


def scale_pixels(pixels: Tensor) -> Tensor:
    """sRGB values 0 to 255, scaled as in the training of the network."""
    return (pixels - 127.0) / 128.0


def from_checkpoint(state: dict[str, Tensor]) -> EfficientNetLite2:
    """The network with weights from a checkpoint in the layout of EfficientNet-PyTorch.

    Parameters
    ----------
    state : dict of str to Tensor
        Weights of convolutions without bias, each followed by a batch normalisation.

    Raises
    ------
    RuntimeError, KeyError
        The checkpoint belongs to another network.
    """
    with torch.device("meta"):
        network = EfficientNetLite2()
    network.load_state_dict(_folded(state, len(network.blocks)), assign=True)
    return network.requires_grad_(False).eval()


def _scaled_channels(channels: int) -> int:
    """Channels times the width, as the nearest multiple of 8 that is at most a tenth smaller."""
    scaled = channels * _WIDTH
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _scaled_repeats(number: int, stage: _Stage) -> int:
    if number in (0, len(_STAGES) - 1):
        return stage.repeats
    return math.ceil(stage.repeats * _DEPTH)


def _folded(state: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for i in range(blocks):
        old, new = f"_blocks.{i}.", f"blocks.{i}."
        names[new + "depthwise"] = (old + "_depthwise_conv", old + "_bn1")
        names[new + "project"] = (old + "_project_conv", old + "_bn2")
        if old + "_expand_conv.weight" in state:
            names[new + "expand"] = (old + "_expand_conv", old + "_bn0")
    result = {"classifier.weight": state["_fc.weight"], "classifier.bias": state["_fc.bias"]}
    for name, (conv, norm) in names.items():
        scale = state[norm + ".weight"] / torch.sqrt(state[norm + ".running_var"] + _BN_EPSILON)
        weight = state[conv + ".weight"] * scale[:, None, None, None]
        result[name + ".weight"] = weight.flip(2, 3)
        result[name + ".bias"] = state[norm + ".bias"] - state[norm + ".running_mean"] * scale
    return result
