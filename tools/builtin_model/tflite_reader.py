"""Reads a TensorFlow Lite network as steps, for `make_people`; needs the package tflite.

Supports only the operators of MediaPipe's person detector. tensorflow/lite/schema/schema.fbs
describes the format.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.encoders.builtin.small_networks import Step

_ACTS = {0: "", 1: "relu", 3: "relu6"}
_TYPES = {0: "<f4", 1: "<f2", 2: "<i4"}
_VALID = 1  # of enum Padding


def read(data: bytes) -> tuple[list[Step], dict[str, NDArray[Any]]]:
    """The steps of a network, and the arrays that they use."""
    return _Reader(data).read()


class _Reader:
    def __init__(self, data: bytes) -> None:
        import tflite

        self._tflite: Any = tflite
        self._model = tflite.Model.GetRootAsModel(data, 0)
        self._graph = self._model.Subgraphs(0)
        codes = vars(tflite.BuiltinOperator).items()
        self._names = {value: name for name, value in codes if isinstance(value, int)}
        self._sources: dict[int, int] = {}  # a weight and the tensor that it is unpacked from
        self._padded: dict[int, tuple[int, list[int]]] = {}
        self._steps: list[Step] = []
        self._arrays: dict[str, NDArray[Any]] = {}

    def read(self) -> tuple[list[Step], dict[str, NDArray[Any]]]:
        for number in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(number)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            name = self._names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            inputs = [operator.Inputs(i) for i in range(operator.InputsLength())]
            self._add(name, operator, inputs, operator.Outputs(0))
        return self._steps, self._arrays

    def _add(self, name: str, operator: Any, inputs: list[int], output: int) -> None:
        if name in ("DEQUANTIZE", "DENSIFY"):
            self._sources[output] = inputs[0]
        elif name == "PAD":
            pads = self._tensor(inputs[1]).tolist()
            self._padded[output] = (inputs[0], [*pads[2], *pads[1]])
        elif name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            self._conv(name, operator, inputs, output)
        elif name == "ADD":
            act = _ACTS[self._options(operator, "AddOptions").FusedActivationFunction()]
            self._steps.append(["sum", _name(inputs[0]), _name(inputs[1]), _name(output), act])
        elif name in ("DEPTH_TO_SPACE", "RESIZE_BILINEAR"):
            kind = "shuffle" if name == "DEPTH_TO_SPACE" else "double"
            self._steps.append([kind, _name(inputs[0]), _name(output)])
        elif name not in ("RESHAPE", "CONCATENATION"):  # only collect the outputs
            raise ValueError(f"unknown operator: {name}")

    def _conv(self, name: str, operator: Any, inputs: list[int], output: int) -> None:
        deep = name == "DEPTHWISE_CONV_2D"
        options = self._options(operator, "DepthwiseConv2DOptions" if deep else "Conv2DOptions")
        weight = self._tensor(inputs[1]).transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2))
        source, pads = self._padded.get(inputs[0], (inputs[0], None))
        if pads is None:  # "SAME" with stride 1 pads all sides equally
            pads = [0 if options.Padding() == _VALID else weight.shape[-1] // 2] * 4
        key = f"k{output}"
        groups, act = len(weight) if deep else 1, _ACTS[options.FusedActivationFunction()]
        step = [_name(source), _name(output), key, options.StrideH(), pads, groups, act]
        self._steps.append(["conv", *step])
        self._arrays |= {key: weight, key + ".bias": self._tensor(inputs[2])}

    def _options(self, operator: Any, kind: str) -> Any:
        table, options = operator.BuiltinOptions(), getattr(self._tflite, kind)()
        options.Init(table.Bytes, table.Pos)
        return options

    def _tensor(self, number: int) -> NDArray[Any]:
        while number in self._sources:
            number = self._sources[number]
        tensor = self._graph.Tensors(number)
        flat = self._model.Buffers(tensor.Buffer()).DataAsNumpy().view(_TYPES[tensor.Type()])
        shape = [int(n) for n in tensor.ShapeAsNumpy()]
        if tensor.Sparsity() is None:
            return np.asarray(flat.reshape(shape))
        return self._dense(flat, shape, tensor.Sparsity())

    def _dense(self, flat: NDArray[Any], shape: list[int], sparsity: Any) -> NDArray[Any]:
        """Unpack a sparse tensor: each level of its tree is a dimension, or one within blocks."""
        order = sparsity.TraversalOrderAsNumpy()
        blocks = list(sparsity.BlockMapAsNumpy()) if sparsity.BlockMapLength() else []
        levels = [sparsity.DimMetadata(i) for i in range(sparsity.DimMetadataLength())]
        nodes = [([0] * len(shape), 0)]
        for axis, level in zip(order, levels, strict=True):
            if axis < len(shape):
                along = int(axis)
                inner = levels[len(shape) + blocks.index(along)] if along in blocks else None
                width = inner.DenseSize() if inner else 1
            else:
                along, width = int(blocks[axis - len(shape)]), 1
            nodes = [
                ([n + width * at * (i == along) for i, n in enumerate(place)], child)
                for place, node in nodes
                for at, child in self._children(level, node)
            ]
        dense = np.zeros(shape, flat.dtype)
        for place, node in nodes:
            dense[tuple(place)] = flat[node]
        return dense

    def _children(self, level: Any, node: int) -> list[tuple[int, int]]:
        """Index along the dimension and number in the next level of each child of a node."""
        if level.Format() == self._tflite.DimensionType.DENSE:
            size = level.DenseSize()
            return [(i, node * size + i) for i in range(size)]
        starts, places = self._segment(level, "ArraySegments"), self._segment(level, "ArrayIndices")
        return [(int(places[i]), i) for i in range(int(starts[node]), int(starts[node + 1]))]

    def _segment(self, level: Any, which: str) -> NDArray[Any]:
        kinds = {1: "Int32Vector", 2: "Uint16Vector", 3: "Uint8Vector"}
        table = getattr(level, which)()
        vector = getattr(self._tflite, kinds[getattr(level, which + "Type")()])()
        vector.Init(table.Bytes, table.Pos)
        return np.asarray(vector.ValuesAsNumpy())


def _name(tensor: int) -> str:
    return "in" if tensor == 0 else f"v{tensor}"
