"""CUDA graphs: all launches of a batch, recorded once and replayed for batches of that shape.

A single query occupies a fast GPU for less time than Python needs to launch its thousand small
kernels. A recorded graph starts all of them with one call.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Features = dict[str, Any]


class Replay:
    """A function of features, recorded once per shape and then replayed.

    Parameters
    ----------
    embed : callable
        Maps features on a CUDA device to a tensor. Must launch the same work for the same shapes,
        and must not wait for the device.
    max_graphs : int
        Recordings to keep; the least recently used one is dropped first. Each holds the memory of
        one batch.
    """

    def __init__(self, embed: Callable[[Features], Tensor], max_graphs: int = 8) -> None:
        self._embed, self._max_graphs = embed, max_graphs
        self._recorded: OrderedDict[Any, tuple[Features, torch.cuda.CUDAGraph, Tensor]]
        self._recorded = OrderedDict()

    def __call__(self, features: Features) -> Tensor:
        """The result of `embed(features)`, in newly allocated memory."""
        key = tuple((name, _shape(value)) for name, value in sorted(features.items()))
        if key not in self._recorded:
            while len(self._recorded) >= self._max_graphs:
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
        with torch.cuda.stream(side):  # libraries initialise themselves during the first calls
            for _ in range(2):
                self._embed(inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # "thread_local": another thread may pin the memory of the next batch meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            output = self._embed(inputs)
        return inputs, graph, output


def _tensors(features: Features) -> dict[str, Tensor]:
    return {name: value for name, value in features.items() if isinstance(value, Tensor)}


def _shape(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, Tensor) else repr(value)
