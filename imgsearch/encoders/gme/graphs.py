"""CUDA graphs: all launches of one batch recorded once, and replayed for batches of that shape.

A single query keeps a fast GPU busy for less time than Python needs to launch its thousand small
kernels. A recorded graph starts them all at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Features = dict[str, Any]


class Replay:
    """A function of features that records itself per shape, and replays.

    Parameters
    ----------
    embed : callable
        Features on a CUDA device to a tensor. Must launch the same work for the same shapes, and
        never wait for the device.
    most : int
        Recordings to keep; the one unused for the longest time goes first. Each keeps the memory
        of one batch.
    """

    def __init__(self, embed: Callable[[Features], Tensor], most: int = 8) -> None:
        self._embed, self._most = embed, most
        self._recorded: OrderedDict[Any, tuple[Features, torch.cuda.CUDAGraph, Tensor]]
        self._recorded = OrderedDict()

    def __call__(self, features: Features) -> Tensor:
        """The same as `embed(features)`, in memory of its own."""
        key = tuple((name, _shape(value)) for name, value in sorted(features.items()))
        if key not in self._recorded:
            while len(self._recorded) >= self._most:
                self._recorded.popitem(last=False)
            self._recorded[key] = self._record(features)
        self._recorded.move_to_end(key)
        inputs, graph, output = self._recorded[key]
        for name, value in _tensors(features).items():
            inputs[name].copy_(value, non_blocking=True)
        graph.replay()
        return output.clone()

    def _record(self, features: Features) -> tuple[Features, torch.cuda.CUDAGraph, Tensor]:
        inputs = features | {name: value.clone() for name, value in _tensors(features).items()}
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries set themselves up on the first calls
            for _ in range(2):
                self._embed(inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # "thread_local": meanwhile another thread may pin the memory of the next batch.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            output = self._embed(inputs)
        return inputs, graph, output


def _tensors(features: Features) -> dict[str, Tensor]:
    return {name: value for name, value in features.items() if isinstance(value, Tensor)}


def _shape(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, Tensor) else repr(value)
