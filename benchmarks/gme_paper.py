"""Counts operations and memory traffic of gme-Qwen2-VL without a GPU.

    python benchmarks/gme_paper.py                   # for 64 pictures and for 64 texts

Runs the network on PyTorch's "meta" device, which has shapes but no numbers. Counts the operations
of matrix products and of attention (without those that a causal mask skips), and the bytes that
all other launches read and write. Divided by a rate and a
bandwidth, they give the minimum time of a device if no launch waits for the processor.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from math import prod

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from imgsearch.bench.random_gme import random_model, stand_in_tokenizer
from imgsearch.encoders.gme.folder import COLOURS
from imgsearch.encoders.gme.module import GmeModule
from imgsearch.encoders.gme.prompt import SEARCH_INSTRUCTION

FREE = ("view", "transpose", "slice", "select", "expand", "permute", "split", "chunk", "detach")
FREE += ("unsqueeze", "squeeze", "aten.t.", "alias", "empty", "unbind", "lift")


class Count:
    """Operations of matrix products and attention, bytes and launches of the others."""

    def __init__(self) -> None:
        self.products = self.attention = self.launches = 0
        self.bytes: Counter[str] = Counter()
        self.times: Counter[str] = Counter()


class Fused(TorchFunctionMode):
    """Counts attention and norms as one launch each."""

    def __init__(self, count: Count) -> None:
        super().__init__()
        self.count = count

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.nn.functional.rms_norm:
            self.count.launches += 1
            self.count.bytes["rms_norm"] += 2 * args[0].numel() * args[0].element_size()
            self.count.times["rms_norm"] += 1
            return args[0].view_as(args[0])
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **kwargs)
        query, key = args[:2]
        work = 4 * prod(query.shape) * key.shape[-2]
        self.count.attention += work // 2 if kwargs.get("is_causal") else work
        self.count.launches += 1
        n, heads, asking, head = query.shape
        return query.new_empty(n, asking, heads, head).transpose(1, 2)


class Operations(TorchDispatchMode):
    """Counts every other launch."""

    def __init__(self, count: Count) -> None:
        super().__init__()
        self.count = count

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = str(func)
        if any(free in name for free in FREE):
            return result
        self.count.launches += 1
        if "mm" in name:
            matrices = [a for a in args if isinstance(a, torch.Tensor) and a.ndim > 1][-2:]
            self.count.products += 2 * prod(matrices[0].shape) * matrices[1].shape[-1]
            return result
        touched = [*tree_leaves(args), *tree_leaves(kwargs or {}), *tree_leaves(result)]
        moved = sum(t.numel() * t.element_size() for t in touched if isinstance(t, torch.Tensor))
        if "embedding" in name or "index" in name:
            moved = 2 * result.numel() * result.element_size()
        if (kwargs and "out" in kwargs) or name.split(".")[1].endswith("_"):
            moved -= result.numel() * result.element_size()  # counted twice, as argument and result
        self.count.bytes[name] += moved
        self.count.times[name] += 1
        return result


def count(module: GmeModule, features: dict) -> Count:
    found = Count()
    # not inference_mode, which does not decompose composite operations
    with torch.no_grad(), Fused(found), Operations(found):
        module.embed(features)
    return found


def report(title: str, found: Count, batch: int, rate: float, width: float) -> None:
    work = (found.products + found.attention) / 1e12
    moved = sum(found.bytes.values()) / 1e12
    least, more = work / rate * 1e3, moved / width * 1e3
    whole = least + more
    print(
        f"{title}: {work / batch:.4f} TFLOP each ({found.attention / 1e12 / batch:.4f} of it"
        f" attention), {found.launches} launches;\n  {least:.1f} ms of products at {rate:.0f}"
        f" TFLOP/s, {more:.1f} ms for {moved * 1e3:.1f} GB of the rest at {width} TB/s:"
        f" at most {batch / whole * 1e3:.0f}/s, {least / whole:.0%} of the ceiling"
    )
    for name, size in found.bytes.most_common(9):
        print(f"    {size / 1e9:7.2f} GB x{found.times[name]:<4} {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="gme-qwen2-vl-2b")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=790, help="TFLOP/s of a large product")
    parser.add_argument("--width", type=float, default=4.3, help="TB/s, reads and writes added")
    args = parser.parse_args()
    model = random_model(args.architecture, torch.device("meta"), torch.bfloat16)
    module = GmeModule(model, stand_in_tokenizer(), COLOURS)
    picture = {"image": np.zeros((448, 448, 3), np.uint8)}
    words = {"text": "images that visually match this description " * 3}
    for kind, part in (("pictures of 448 px", picture), ("texts", words)):
        features = module.preprocess([part] * args.batch, prompt=SEARCH_INSTRUCTION)
        tokens = features["input_ids"].shape[1]
        features = {n: v.to("meta") if hasattr(v, "to") else v for n, v in features.items()}
        title = f"{args.batch} {kind}, {tokens} tokens"
        report(title, count(module, features), args.batch, args.rate, args.width)


if __name__ == "__main__":
    main()
