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
    double  in out [act]                   twice the rows and columns, bilinear

act is "", "relu", "relu6" or "prelu" (slopes in key.slope). The input of the network is "in".
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from imgsearch.encoders.builtin.convolution import Convolution

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
    one_size : bool
        True if all images have one size, so that fused convolutions are worth their memory.
    """

    def __init__(
        self,
        steps: list[Step],
        arrays: Mapping[str, NDArray[np.float32]],
        outputs: list[str],
        one_size: bool = False,
    ) -> None:
        super().__init__()
        steps = _doubled_late(steps, arrays, outputs)
        self._steps, self._outputs, self._one_size = steps, outputs, one_size
        self._names: dict[str, str] = {}  # of modules and parameters, by key
        for step in steps:
            if step[0] == "conv":
                self._names[step[3]] = name = f"conv{len(self._names)}"
                self.add_module(name, _convolution(arrays, *step[3:]))
        convolved = {key + end for key in self._names for end in ("", ".bias")}
        for key in sorted(arrays.keys() - convolved):
            self._names[key] = name = f"w{len(self._names)}"
            self.register_parameter(name, _parameter(arrays[key]))
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

    def _weights(self, key: str) -> Any:
        """The `Convolution` or the parameter of that key."""
        return getattr(self, self._names[key])

    def _activate(self, x: Tensor, act: str, key: str = "") -> Tensor:
        if act == "relu":
            return F.relu(x, inplace=True)
        if act == "relu6":
            return F.relu6(x, inplace=True)
        return F.prelu(x, self._weights(key + ".slope")) if act == "prelu" else x

    def _conv(self, values: dict[str, Tensor], *step: Any) -> Tensor:
        source, _, key, _, pads, _, act = step
        x, convolution = values[source], self._weights(key)
        x = x if _even(pads) else F.pad(x, pads)
        y: Tensor = convolution(x) if self._one_size else convolution.plain(x)
        return self._activate(y, act, key) if act == "prelu" else y

    def _dense(self, values: dict[str, Tensor], source: str, _: str, key: str, act: str) -> Tensor:
        y = F.linear(values[source], self._weights(key), self._weights(key + ".bias"))
        return self._activate(y, act, key)

    def _sum(self, values: dict[str, Tensor], a: str, b: str, _: str, act: str) -> Tensor:
        return self._activate(values[a] + values[b], act)


def _convolution(
    arrays: Mapping[str, NDArray[np.float32]],
    key: str,
    stride: int,
    pads: list[int],
    groups: int,
    act: str,
) -> Convolution:
    weight, bias = _parameter(arrays[key]), arrays.get(key + ".bias")
    outputs, inputs, kernel, _ = weight.shape
    padding, act = pads[0] if _even(pads) else 0, act.replace("prelu", "")
    with torch.device("meta"):
        result = Convolution(
            inputs * groups, outputs, kernel, stride, padding, groups, act, bias is not None
        )
    result.weight = weight
    result.bias = None if bias is None else _parameter(bias)
    return result


def _parameter(array: NDArray[np.float32]) -> nn.Parameter:
    values = torch.from_numpy(np.array(array, np.float32))
    if values.ndim == 4:
        values = values.contiguous(memory_format=torch.channels_last)
    return nn.Parameter(values, requires_grad=False)


def _even(pads: list[int]) -> bool:
    return len(set(pads)) == 1


def _doubled_late(
    steps: list[Step], arrays: Mapping[str, NDArray[np.float32]], outputs: list[str]
) -> list[Step]:
    """The same steps, but maps are doubled after a 1 x 1 convolution that follows, not before it.

    The result is the same, because both are linear and interpolate with weights that sum to 1.
    """
    result: list[Step] = []
    for step in steps:
        doubled = result[-1][2] if result and result[-1][0] == "double" else None
        readers = sum(doubled in _inputs(other) for other in steps) + outputs.count(str(doubled))
        if step[0] == "conv" and step[1] == doubled and readers == 1:
            _, _, output, key, stride, pads, groups, act = step
            if stride == 1 and not any(pads) and arrays[key].shape[2:] == (1, 1):
                source = result.pop()[1]
                result.append(["conv", source, doubled, key, stride, pads, groups, ""])
                result.append(["double", doubled, output, act])
                continue
        result.append(step)
    return result


def _inputs(step: Step) -> list[str]:
    return list(dict.fromkeys(step[1:3])) if step[0] == "sum" else [step[1]]


def _output(step: Step) -> str:
    name: str = step[_OUTPUT_PLACES.get(step[0], 2)]
    return name


def _step(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda network, values, source, *_: function(values[source])


def _pool(network: Network, values: dict[str, Tensor], source: str, _: str, size: int) -> Tensor:
    return _maxima(_maxima(values[source], 2, size), 3, size)


def _maxima(x: Tensor, axis: int, size: int) -> Tensor:
    """Maxima of windows along an axis, stride 2. Faster than a pool, which also finds indices."""
    if (x.shape[axis] - size) % 2:  # a last window without its last value
        x = torch.cat([x, x.narrow(axis, -1, 1)], axis)
    count = (x.shape[axis] - size) // 2 + 1
    every = (slice(None),) * axis
    parts = [x[(*every, slice(start, start + 2 * count - 1, 2))] for start in range(size)]
    return functools.reduce(torch.maximum, parts)


def _shuffle(x: Tensor) -> Tensor:
    """Depth to space with TensorFlow's order: channels of one corner are adjacent."""
    n, channels, rows, columns = x.shape
    corners = x.permute(0, 2, 3, 1).reshape(n, rows, columns, 2, 2, channels // 4)
    square = corners.transpose(2, 3).reshape(n, rows * 2, columns * 2, channels // 4)
    return square.permute(0, 3, 1, 2)


def _double(
    network: Network, values: dict[str, Tensor], source: str, _: str, act: str = ""
) -> Tensor:
    large = F.interpolate(values[source], scale_factor=2, mode="bilinear", align_corners=False)
    return network._activate(large, act)


_KINDS: dict[str, Callable[..., Tensor]] = {
    "conv": Network._conv,
    "dense": Network._dense,
    "sum": Network._sum,
    "pool": _pool,
    "mean": _step(lambda x: x.mean((2, 3))),
    "relu": _step(F.relu),
    "columns": _step(lambda x: x.permute(0, 3, 2, 1).flatten(1)),
    "shuffle": _step(_shuffle),
    "double": _double,
}
