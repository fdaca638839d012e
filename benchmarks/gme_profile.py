"""Profiles gme-Qwen2-VL with random weights on a GPU by kind of kernel.

    python benchmarks/gme_profile.py --device cuda

For batches of 448-px pictures and of texts in bfloat16, prints the time by kind of kernel, the
slowest kernels, the rate of each matrix product of the network alone, and the minimum time that
these products take.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import torch
from gme_gpu import Bench
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

KINDS = (
    ("matrix products", r"gemm|nvjet|cutlass(?!.*attention)|cublas|gemv|splitK"),
    ("attention", r"flash|fmha|attention|cudnn_generated|sdpa"),
    ("compiled", r"triton"),
    ("concatenation", r"CatArray"),
    ("norms", r"layer_norm|rms_norm|LayerNorm|RMSNorm"),
    ("reductions", r"reduce"),
    ("element by element", r"elementwise"),
    ("copies", r"[mM]emcpy|[mM]emset|copy"),
)


def kind_of(name: str) -> str:
    return next((kind for kind, pattern in KINDS if re.search(pattern, name)), "other")


def take_profile(bench: Bench, kind: str, batch: int, label: str, embed=None) -> None:
    embed = embed or bench.module.embed
    features = bench.features(kind, batch)
    with torch.inference_mode():
        for _ in range(3):
            embed(features)
        bench.synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
            for _ in range(2):
                embed(features)
            bench.synchronize()
    names: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for event in trace.events():
        if event.device_type == DeviceType.CUDA:
            names[event.name] += event.device_time_total / 2
            counts[event.name] += 1
    kinds: Counter[str] = Counter()
    for name, spent in names.items():
        kinds[kind_of(name)] += spent
    total = sum(names.values()) or 1.0
    bench.say(
        f"{label} {kind} x{batch}: {total / 1e3:.2f} ms busy, {sum(counts.values()) // 2} kernels"
    )
    for name, spent in kinds.most_common():
        print(f"    {spent / 1e3:8.2f} ms {spent / total:6.1%} {name}")
    for name, spent in names.most_common(14):
        print(f"      {spent / 1e3:8.2f} ms x{counts[name] // 2:<4} {name[:150]}")


def products(bench: Bench, batch: int) -> None:
    """Measure each matrix product of the network on random numbers."""
    tokens, patches = batch * bench.inputs["image"]["input_ids"].shape[1], batch * 1024
    shapes = [
        ("language q", tokens, 1536, 1536, 28),
        ("language k", tokens, 1536, 256, 28),
        ("language v", tokens, 1536, 256, 28),
        ("language o", tokens, 1536, 1536, 28),
        ("language gate", tokens, 1536, 8960, 28),
        ("language up", tokens, 1536, 8960, 28),
        ("language down", tokens, 8960, 1536, 28),
        ("vision qkv", patches, 1280, 3840, 32),
        ("vision proj", patches, 1280, 1280, 32),
        ("vision fc1", patches, 1280, 5120, 32),
        ("vision fc2", patches, 5120, 1280, 32),
        ("merger 1", patches // 4, 5120, 5120, 1),
        ("merger 2", patches // 4, 5120, 1536, 1),
        ("language qkv as one", tokens, 1536, 2048, 0),
        ("language gate, up as one", tokens, 1536, 17920, 0),
    ]
    whole = 0.0
    for name, rows, inner, columns, times in shapes:
        left = torch.randn(rows, inner, device=bench.device, dtype=torch.bfloat16)
        right = torch.randn(columns, inner, device=bench.device, dtype=torch.bfloat16)
        bias = torch.randn(columns, device=bench.device, dtype=torch.bfloat16)
        if "vision" not in name and name not in ("language q", "language qkv as one"):
            bias = None
        spent = time_of(lambda a=left, b=right, c=bias: torch.nn.functional.linear(a, b, c))
        whole += spent * times
        rate = 2 * rows * inner * columns / spent / 1e9
        print(f"    {name:26} {rows} x {inner} x {columns}: {spent:7.3f} ms {rate:6.0f} TFLOP/s")
    bench.say(f"products alone for {batch} pictures: {whole:.1f} ms, {batch / whole * 1e3:.0f}/s")


def time_of(run, times: int = 10) -> float:
    """Milliseconds of one run on the device."""
    for _ in range(3):
        run()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(times):
        run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--architecture", default="gme-qwen2-vl-2b")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--batches", default="1,64")
    parser.add_argument("--compiled", action="store_true", help="also profile the compiled blocks")
    bench = Bench(parser.parse_args())
    bench.open("bf16")
    largest = max(bench.batches)
    if bench.cuda and not bench.arguments.tiny:
        products(bench, largest)
    for kind, batch in (("image", largest), ("image", 1), ("text", 1), ("text", largest)):
        take_profile(bench, kind, batch, "eager")
    if bench.arguments.compiled:
        bench.compile()
        take_profile(bench, "image", largest, "compiled")


if __name__ == "__main__":
    main()
