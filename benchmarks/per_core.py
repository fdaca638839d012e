"""Each core computing pictures of its own, against operators divided among cores, by turns.

    python benchmarks/per_core.py FOLDER [--model clip-vit-b-32] [--precision bf16] [--runs 5]

Files are decoded as in `index`, with a process for each core. A model other than `builtin` has
random weights. Prints pictures per second and processor time, decoder processes included.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from contextlib import ExitStack, closing
from functools import partial

import psutil

from imgsearch.bench.random_models import random_encoder
from imgsearch.encoders import builtin
from imgsearch.encoders.batch_encoder import BatchedEncoder
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.indexing.indexer import decoder_pool
from imgsearch.model_card import EncoderOptions
from imgsearch.records import Encoded, ImageFile
from imgsearch.settings import Settings, usable_cores
from imgsearch.sources.folder_source import FilesystemSource

WAYS = ("divided", "each core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--model", default=builtin.NAME)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    files = [each for each in FilesystemSource(options.folder).scan() if type(each) is ImageFile]
    choice = EncoderOptions(device="cpu", precision=options.precision, threads=usable_cores())
    load = builtin.load if options.model == builtin.NAME else random_encoder
    encoder = load(options.model, choice)
    assert isinstance(encoder, BatchedEncoder)
    core_batch = encoder._core_batch
    decoder = partial(decoder_pool, Settings(), measured=True)
    costs: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    with ExitStack() as stack:
        pools = {
            way: stack.enter_context(closing(LocalPool(lambda: encoder, decoder, 32)))
            for way in WAYS
        }
        for run in range(options.runs + 1):
            for way, pool in pools.items():
                encoder._core_batch = core_batch * (way != WAYS[0])
                cost = cost_of(pool, files)
                if run:  # the first one starts the processes
                    costs[way].append(cost)
    for way, found in costs.items():
        seconds, processor = (statistics.median(each) for each in zip(*found, strict=True))
        rate, each = len(files) / seconds, 1e3 * processor / len(files)
        print(f"{way}: {rate:.1f} pictures/s, {each:.0f} ms of processor time each")
    for number, name in enumerate(("time", "processor time")):
        ratios = [old[number] / new[number] for old, new in zip(*costs.values(), strict=True)]
        print(f"{name}: divided / each core {statistics.median(ratios):.2f}", end="")
        print(f" ({min(ratios):.2f} to {max(ratios):.2f})")


def cost_of(pool: LocalPool, files: list[ImageFile]) -> tuple[float, float]:
    """Seconds by the clock and of all processors."""
    clock, processor = time.perf_counter(), _processor_seconds()
    assert all(type(each) is Encoded for each in pool.encode_files(files))
    return time.perf_counter() - clock, _processor_seconds() - processor


def _processor_seconds() -> float:
    here = psutil.Process(os.getpid())
    times = [each.cpu_times() for each in (here, *here.children())]
    return sum(each.user + each.system for each in times)


if __name__ == "__main__":
    main()
