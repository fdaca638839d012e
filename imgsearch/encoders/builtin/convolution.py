"""A convolution with its activation: one call of oneDNN on processors, two operators elsewhere.

On a processor, PyTorch leaves convolutions to oneDNN, but reorders the weights for it at each call,
and applies the activation in another pass over the result. The operators that its compiler calls
instead do neither. They are internal, so the first use compares them with the public ones, and a
PyTorch without them, or with other results, computes as on other devices.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FUSED: dict[str, tuple[str, list[float], str]] = {
    "": ("none", [], ""),
    "relu": ("relu", [], ""),
    "relu6": ("hardtanh", [0.0, 6.0], ""),
}
_MIN_OUTPUTS = 16  # with fewer, calling oneDNN takes longer than it saves (measured)
_MAX_DIFFERENCE = {torch.float32: 1e-5, torch.bfloat16: 2**-5}  # of values up to 6


class Convolution(nn.Conv2d):
    """A convolution and an activation, for inference.

    On a processor the weights are kept in a second layout, that of oneDNN, from the first picture
    on. Which one that is may depend on the size of the input and the number of threads: converting
    one such layout to another takes longer than the convolution, so each is kept.

    Parameters
    ----------
    act : str
        "", "relu" or "relu6".
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        act: str = "",
        bias: bool = True,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
        self._act = act
        self._how = (self.padding, self.stride, self.dilation, self.groups)
        self._packed: dict[object, Tensor | None] = {}  # by kind of input
        self._layouts: dict[bytes, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """The activated maps of x (n, inputs, rows, columns), in the dtype of the weights."""
        autocast = torch.is_autocast_enabled("cpu")
        kind = (x.shape, x.dtype, x.device, autocast, torch.get_num_threads())
        if kind not in self._packed:
            cast = autocast or x.dtype != self.weight.dtype
            fits = not cast and self.out_channels >= _MIN_OUTPUTS and can_fuse(x)
            self._packed[kind] = self.pack(x) if fits else None
        packed = self._packed[kind]
        return self.plain(x) if packed is None else self.fused(x, packed)

    def plain(self, x: Tensor) -> Tensor:
        """`forward` with public operators, on any device."""
        padding, stride, dilation, groups = self._how
        y = F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
        if self._act == "relu6":
            return F.relu6(y, inplace=True)
        return F.relu(y, inplace=True) if self._act else y

    def fused(self, x: Tensor, packed: Tensor) -> Tensor:
        """`forward` in one operator, with weights that were packed for such an input."""
        result: Tensor = torch.ops.mkldnn._convolution_pointwise.default(
            x, packed, self.bias, *self._how, *_FUSED[self._act]
        )
        return result

    def pack(self, x: Tensor) -> Tensor:
        """The weights in the layout of oneDNN for inputs like x: one tensor for each layout."""
        operators: Any = torch.ops.mkldnn
        packed = operators._reorder_convolution_weight.default(self.weight, *self._how, x.shape)
        layout = operators._get_mkldnn_serialized_md.default(packed).numpy().tobytes()
        return self._layouts.setdefault(layout, packed)


def can_fuse(x: Tensor) -> bool:
    """True if convolutions of x can be fused: on a processor, in a dtype that oneDNN knows."""
    return x.device.type == "cpu" and _agrees(x.dtype)


@functools.cache
def _agrees(dtype: torch.dtype) -> bool:
    """True if PyTorch has the fused operators and they agree with the public ones."""
    known = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if dtype not in _MAX_DIFFERENCE or not known:
        return False
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        convolution = Convolution(16, 16, 3, 2, 1, act="relu6")
        for parameter in convolution.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        x = torch.randn(1, 16, 8, 8, generator=generator).to(dtype)
        convolution.to(dtype)
        try:
            fused = convolution.fused(x, convolution.pack(x))
        except (AttributeError, RuntimeError):
            return False
        difference = float((fused - convolution.plain(x)).abs().max())
    return difference <= _MAX_DIFFERENCE[dtype]
