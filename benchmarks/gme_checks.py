"""Does gme-Qwen2-VL's architecture hold what it promises on a device? With random weights.

    python benchmarks/gme_checks.py --device cuda                    # about 4 minutes
    python benchmarks/gme_checks.py --device cpu --tiny

Where memory is nearly full: is the batch halved and no input lost? Memory over 10,000 texts and
2,000 pictures. Agreement of bfloat16, float16 and autocast with float32.
Agreement with random weights is a lead only: trained weights spread their vectors differently.
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

from imgsearch.bench.random_gme import random_weights
from imgsearch.encoders.gme.encoder import GmeEncoder
from imgsearch.model_card import EncoderOptions

MIB = 1 << 20
NOUNS = ["harbour", "dog", "train", "bread", "mountain", "child", "lamp", "river", "snow", "violin"]
LOOKS = ["red", "old", "wooden", "tiny", "wet", "bright", "empty", "two", "blurred", "painted"]


def open_encoder(given: argparse.Namespace, precision: str) -> GmeEncoder:
    gc.collect()
    if given.device.startswith("cuda"):
        torch.cuda.empty_cache()
    name = "gme-tiny" if given.tiny else given.architecture
    options = EncoderOptions(device=given.device, precision=precision, batch_size=given.batch)
    return random_weights(name, options)


def sentences(count: int, seed: int = 0) -> list[str]:
    numbers = np.random.default_rng(seed)
    return [
        f"a {numbers.choice(LOOKS)} {numbers.choice(NOUNS)} beside {numbers.choice(LOOKS)}"
        f" {numbers.choice(NOUNS)}s, number {i}"
        for i in range(count)
    ]


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    """Patches of colour with noise on them: alike enough that ranks are not trivial."""
    numbers = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        rough = numbers.integers(0, 200, (7, 7, 3), dtype=np.uint8)
        grain = numbers.integers(0, 56, (448, 448, 3), dtype=np.uint8)
        found.append(rough.repeat(64, axis=0).repeat(64, axis=1) + grain)
    return found


def nearest(left: np.ndarray, right: np.ndarray, same: bool) -> np.ndarray:
    scores = left @ right.T
    if same:
        np.fill_diagonal(scores, -2)
    return np.argsort(-scores, axis=1)[:, :10]


def agreement(given: argparse.Namespace) -> None:
    texts, images = sentences(given.pictures // 2), pictures(given.pictures)
    exact = {}
    for precision in ("fp32", "bf16", "fp16", "autocast"):
        encoder = open_encoder(given, precision)
        found = {"text": encoder.encode_texts(texts), "image": encoder.encode_images(images)}
        exact = exact or found
        for kind, vectors in found.items():
            cosine = np.einsum("nd,nd->n", vectors, exact[kind])
            print(f"{precision:8} {kind:5}: cosine to fp32 {cosine.min():.5f} at least,", end=" ")
            print(f"{np.median(cosine):.5f} median", flush=True)
        for kind, vectors in found.items():
            want = nearest(exact[kind], exact["image"], kind == "image")
            have = nearest(vectors, found["image"], kind == "image")
            first = np.mean(want[:, 0] == have[:, 0])
            both = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(want, have, strict=True)])
            print(f"{precision:8} {kind:5} to image: top-1 {first:.1%}, recall@10 {both:.1%}")


def growth(given: argparse.Namespace) -> None:
    """Memory after a tenth of the work and at its end."""
    encoder = open_encoder(given, "auto")
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
                print(f"{(turn + 1) * len(inputs):6} {kind}: {memory(given)}", flush=True)
        print(f"{rounds * len(inputs) / (time.monotonic() - begin):.0f} {kind}/s")


def memory(given: argparse.Namespace) -> str:
    gc.collect()
    host = f"{psutil.Process().memory_info().rss / MIB:.0f} MiB in the process"
    if not given.device.startswith("cuda"):
        return host
    now, most = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    held = torch.cuda.memory_reserved()
    return (
        f"{now / MIB:.1f} MiB allocated, {most / MIB:.1f} at the peak, {held / MIB:.0f} reserved,"
        f" {host}"
    )


def full_device(given: argparse.Namespace) -> None:
    """Leave room for a batch of a few pictures and ask for many at once."""
    encoder = open_encoder(given, "bf16" if given.device.startswith("cuda") else "fp32")
    images = pictures(2 * given.batch)
    encoder.batch_size = 4
    expected = encoder.encode_images(images)
    for room in given.rooms:
        encoder.batch_size = given.batch
        try:
            with little_room(given.device, room * MIB):
                found = encoder.encode_images(images)
            cosine = np.einsum("nd,nd->n", found, expected).min()
            print(
                f"{room} MiB free: batch {given.batch} became {encoder.batch_size},"
                f" {len(found)} of {len(images)} vectors, cosine {cosine:.5f} at least"
            )
        except Exception as error:
            print(f"{room} MiB free: {type(error).__name__}: {error}")


@contextmanager
def little_room(device: str, room: int) -> Iterator[None]:
    """Memory is scarce: a large tensor fills the GPU, or the process may not grow further."""
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
    parser.add_argument("--tiny", action="store_true", help="a cut-down network")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pictures", type=int, default=2000, help="for the agreement")
    parser.add_argument("--rooms", type=int, nargs="*", default=[3000, 300, 150, 60])
    given = parser.parse_args()
    full_device(given)
    growth(given)
    agreement(given)


if __name__ == "__main__":
    main()
