"""Checks gme-Qwen2-VL with random weights on a device.

    python benchmarks/gme_checks.py --device cuda                    # about 4 minutes
    python benchmarks/gme_checks.py --device cpu --tiny

Checks that a batch is halved and no input lost when memory is nearly full, measures memory over
10,000 texts and 2,000 pictures, and the agreement of bfloat16, float16 and autocast with float32.
Agreement with random weights is only an indication: trained weights spread vectors differently.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import numpy as np
import psutil
import torch
from precision import nearest

from imgsearch.bench.random_gme import random_weights
from imgsearch.encoders.gme.encoder import GmeEncoder
from imgsearch.model_card import EncoderOptions

MIB = 1 << 20
NOUNS = ["harbour", "dog", "train", "bread", "mountain", "child", "lamp", "river", "snow", "violin"]
ADJECTIVES = ["red", "old", "wooden", "tiny", "wet", "bright", "empty", "two", "blurred", "painted"]


def open_encoder(args: argparse.Namespace, precision: str) -> GmeEncoder:
    gc.collect()
    if args.device.startswith("cuda"):
        torch.cuda.empty_cache()
    name = "gme-tiny" if args.tiny else args.architecture
    options = EncoderOptions(device=args.device, precision=precision, batch_size=args.batch)
    return random_weights(name, options)


def sentences(count: int, seed: int = 0) -> list[str]:
    numbers = np.random.default_rng(seed)
    return [
        f"a {numbers.choice(ADJECTIVES)} {numbers.choice(NOUNS)} beside"
        f" {numbers.choice(ADJECTIVES)} {numbers.choice(NOUNS)}s, number {i}"
        for i in range(count)
    ]


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    """Coloured patches with noise, similar enough that ranks are not trivial."""
    numbers = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        rough = numbers.integers(0, 200, (7, 7, 3), dtype=np.uint8)
        grain = numbers.integers(0, 56, (448, 448, 3), dtype=np.uint8)
        found.append(rough.repeat(64, axis=0).repeat(64, axis=1) + grain)
    return found


def agreement(args: argparse.Namespace) -> None:
    texts, images = sentences(args.pictures // 2), pictures(args.pictures)
    exact = {}
    for precision in ("fp32", "bf16", "fp16", "autocast"):
        encoder = open_encoder(args, precision)
        found = {"text": encoder.encode_texts(texts), "image": encoder.encode_images(images)}
        exact = exact or found
        for kind, vectors in found.items():
            cosine = np.einsum("nd,nd->n", vectors, exact[kind])
            print(f"{precision:8} {kind:5}: cosine to fp32 {cosine.min():.5f} at least,", end=" ")
            print(f"{np.median(cosine):.5f} median", flush=True)
        for kind, vectors in found.items():
            want = nearest(exact[kind], exact["image"])
            have = nearest(vectors, found["image"])
            first = np.mean(want[:, 0] == have[:, 0])
            both = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(want, have, strict=True)])
            print(f"{precision:8} {kind:5} to image: top-1 {first:.1%}, recall@10 {both:.1%}")


def growth(args: argparse.Namespace) -> None:
    """Print memory after a tenth of the work and at its end."""
    encoder = open_encoder(args, "auto")
    texts, images = sentences(1000), pictures(100)
    work = (
        ("texts", encoder.encode_texts, texts, 10),
        ("images", encoder.encode_images, images, 20),
    )
    for kind, encode, inputs, rounds in work:
        begin = time.monotonic()
        for turn in range(rounds):
            encode(inputs)
            if turn in (rounds // 10 - 1, rounds - 1):
                print(f"{(turn + 1) * len(inputs):6} {kind}: {memory(args)}", flush=True)
        print(f"{rounds * len(inputs) / (time.monotonic() - begin):.0f} {kind}/s")


def memory(args: argparse.Namespace) -> str:
    gc.collect()
    host = f"{psutil.Process().memory_info().rss / MIB:.0f} MiB in the process"
    if not args.device.startswith("cuda"):
        return host
    now, most = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    held = torch.cuda.memory_reserved()
    return (
        f"{now / MIB:.1f} MiB allocated, {most / MIB:.1f} at the peak, {held / MIB:.0f} reserved,"
        f" {host}"
    )


def full_device(args: argparse.Namespace) -> None:
    """Leave memory for a few pictures and encode many in one batch."""
    encoder = open_encoder(args, "bf16" if args.device.startswith("cuda") else "fp32")
    images = pictures(2 * args.batch)
    encoder.batch_size = 4
    expected = encoder.encode_images(images)
    for room in args.rooms:
        encoder.batch_size = args.batch
        try:
            with little_room(args.device, room * MIB):
                found = encoder.encode_images(images)
            cosine = np.einsum("nd,nd->n", found, expected).min()
            print(
                f"{room} MiB free: batch {args.batch} became {encoder.batch_size},"
                f" {len(found)} of {len(images)} vectors, cosine {cosine:.5f} at least"
            )
        except Exception as error:
            print(f"{room} MiB free: {type(error).__name__}: {error}")


@contextmanager
def little_room(device: str, room: int) -> Iterator[None]:
    """A context with little memory: a tensor fills the GPU, or the process may not grow."""
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info()
        ballast = torch.empty(max(0, free - room), dtype=torch.uint8, device=device)
        try:
            yield
        finally:
            del ballast
            torch.cuda.empty_cache()
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + room, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--architecture", default="gme-qwen2-vl-2b")
    parser.add_argument("--tiny", action="store_true", help="a small network")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pictures", type=int, default=2000, help="for the agreement")
    parser.add_argument("--rooms", type=int, nargs="*", default=[3000, 300, 150, 60])
    args = parser.parse_args()
    full_device(args)
    growth(args)
    agreement(args)


if __name__ == "__main__":
    main()
