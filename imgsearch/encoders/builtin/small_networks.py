"""Small convolutional networks as data: a list of steps, and the arrays that they use.

`tools.builtin_model.make_people` converts networks from three formats into such lists. A step is a
list that begins with its kind and names its input and output values:

    conv    in out key stride [left, right, top, bottom] groups act
    dense   in out key act                 rows to rows
    sum     a b out act
    pool    in out size                    maximum of size x size, stride 2, padded at the end
    mean    in out                         mean over rows and columns
    relu    in out
    columns in out                         flatten in the order columns, rows, channels
    shuffle in out                         four channels to a square of 2 x 2 (depth to space)
    double  in out                         twice the rows and columns, bilinear

act is "", "relu", "relu6" or "prelu" (slopes in key.slope). The input of the network is "in".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

Step = list[Any]

_OUTPUT_PLACES = {
    "conv": 2,
    "dense": 2,
    "sum": 3,
}  # index of the output in a step; 2 for all others


class Network(nn.Module):
    """A network of steps, for inference.

    Parameters
    ----------
    steps : list of Step
    arrays : dict of str to ndarray
        Weights (outputs, inputs, rows, columns) or (outputs, inputs), key.bias and key.slope.
    outputs : list of str
        Names of the values to return, in this order.
    """

    def __init__(
        self, steps: list[Step], arrays: Mapping[str, NDArray[np.float32]], outputs: list[str]
    ) -> None:
        super().__init__()
        self._steps, self._outputs = steps, outputs
        self._keys = {key: f"w{i}" for i, key in enumerate(sorted(arrays))}
        for key, name in self._keys.items():
            weight = torch.from_numpy(np.array(arrays[key], np.float32))
            if weight.ndim == 4:
                weight = weight.contiguous(memory_format=torch.channels_last)
            self.register_parameter(name, nn.Parameter(weight, requires_grad=False))
        self._last_use = {name: i for i, step in enumerate(steps) for name in _inputs(step)}

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """The outputs for images (n, 3, rows, columns), float32, scaled as the network expects."""
        values = {"in": pixels}
        for number, step in enumerate(self._steps):
            values[_output(step)] = _KINDS[step[0]](self, values, *step[1:])
            for name in _inputs(step):
                if self._last_use[name] == number and name not in self._outputs:
                    del values[name]
        return [values[name] for name in self._outputs]

    def _array(self, key: str) -> Tensor:
        array: Tensor = getattr(self, self._keys[key])
        return array

    def _activate(self, x: Tensor, act: str, key: str = "") -> Tensor:
        if act == "relu":
            return F.relu(x, inplace=True)
        if act == "relu6":
            return F.relu6(x, inplace=True)
        return F.prelu(x, self._array(key + ".slope")) if act == "prelu" else x

    def _conv(self, values: dict[str, Tensor], *step: Any) -> Tensor:
        source, _, key, stride, pads, groups, act = step
        x, weight = values[source], self._array(key)
        bias = self._array(key + ".bias") if key + ".bias" in self._keys else None
        even = len(set(pads)) == 1
        x = x if even else F.pad(x, pads)
        y = F.conv2d(x, weight, bias, stride, pads[0] if even else 0, groups=groups)
        return self._activate(y, act, key)

    def _dense(self, values: dict[str, Tensor], source: str, _: str, key: str, act: str) -> Tensor:
        y = F.linear(values[source], self._array(key), self._array(key + ".bias"))
        return self._activate(y, act, key)

    def _sum(self, values: dict[str, Tensor], a: str, b: str, _: str, act: str) -> Tensor:
        return self._activate(values[a] + values[b], act)


def _inputs(step: Step) -> list[str]:
    return list(dict.fromkeys(step[1:3])) if step[0] == "sum" else [step[1]]


def _output(step: Step) -> str:
    name: str = step[_OUTPUT_PLACES.get(step[0], 2)]
    return name


def _step(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda network, values, source, *_: function(values[source])


def _pool(network: Network, values: dict[str, Tensor], source: str, _: str, size: int) -> Tensor:
    return F.max_pool2d(values[source], size, 2, ceil_mode=True)


def _shuffle(x: Tensor) -> Tensor:
    """Depth to space with TensorFlow's order: channels of one corner are adjacent."""
    n, channels, rows, columns = x.shape
    corners = x.reshape(n, 2, 2, channels // 4, rows, columns).permute(0, 3, 4, 1, 5, 2)
    return corners.reshape(n, channels // 4, rows * 2, columns * 2)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


_KINDS: dict[str, Callable[..., Tensor]] = {
    "conv": Network._conv,
    "dense": Network._dense,
    "sum": Network._sum,
    "pool": _pool,
    "mean": _step(lambda x: x.mean((2, 3))),
    "relu": _step(F.relu),
    "columns": _step(lambda x: x.permute(0, 3, 2, 1).flatten(1)),
    "shuffle": _step(_shuffle),
    "double": _step(_double),
}
