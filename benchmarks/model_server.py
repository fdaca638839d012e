"""Time of a text, and of pictures, by a local model and by a server of it, in turn in one run.

    imgsearch serve-model NAME                     # in another terminal, or on another machine
    python benchmarks/model_server.py NAME [triton://host:8001 triton+http://host:8000] [--images]

The medians and tenth percentiles are printed as ratios to the local model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from imgsearch.encoders import triton
from imgsearch.encoders.registry import Registry, canonical
from imgsearch.model_card import EncoderOptions
from imgsearch.settings import Settings

URLS = ["triton://127.0.0.1:8001", "triton+http://127.0.0.1:8000"]
PICTURES = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("urls", nargs="*", default=URLS)
    parser.add_argument("--images", action="store_true", help="also time 32 pictures")
    parser.add_argument("--count", type=int, default=150)
    options = parser.parse_args()
    name = canonical(options.model)
    encoders = {"local": Registry(Settings(threads=1)).encoder(name)}
    encoders |= {url: triton.load(name, EncoderOptions(source=url)) for url in options.urls}
    text = {key: (lambda e=e: e.encode_texts(["a dog on a beach"])) for key, e in encoders.items()}
    report("one text", text, options.count)
    if options.images:
        noise = np.random.default_rng(0).integers(0, 256, (PICTURES, 320, 384, 3), np.uint8)
        images = {key: (lambda e=e: e.encode_images(list(noise))) for key, e in encoders.items()}
        report(f"{PICTURES} pictures", images, max(3, options.count // 50))


def report(what: str, calls: dict[str, Callable[[], object]], count: int) -> None:
    """Time the calls in turn, and print them against the local one."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(count + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number:  # the first one warms up
                took[name].append(1e3 * (time.perf_counter() - start))
    for times in took.values():
        times.sort()
    local = took["local"]
    for name, times in took.items():
        tenth, median = times[count // 10], times[count // 2]
        print(
            f"{what}, {name}: {median:.1f} ms, {median - local[count // 2]:+.1f} ms,"
            f" {median / local[count // 2]:.2f} of local (tenth {tenth / local[count // 10]:.2f})"
        )


if __name__ == "__main__":
    main()
