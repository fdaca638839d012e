"""How many times as fast one model is as another, on pictures of one size.

    python benchmarks/two_models.py siglip2-base siglip2-base-32

Architectures with random weights, on one thread. The two take turns, and the times are those of the
process, so that other programs on the machine matter little. Prints the ratio of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from imgsearch.bench.measurement import sample_pictures
from imgsearch.bench.random_models import random_encoder
from imgsearch.model_card import EncoderOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs=2)
    parser.add_argument("--pictures", type=int, default=4, help="per call")
    parser.add_argument("--side", type=int, default=256, help="of a picture, in pixels")
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoder_options = EncoderOptions(device="cpu", precision="fp32", threads=1)
    encoders = {name: random_encoder(name, encoder_options) for name in options.models}
    pictures = sample_pictures(options.pictures, options.side)
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(options.rounds + 1):
        for name, encoder in encoders.items():
            start = time.process_time()
            encoder.encode_images(pictures)
            times[name].append(time.process_time() - start)
    slow, fast = (statistics.median(times[name][1:]) for name in options.models)
    print(f"{options.models[1]} is {slow / fast:.1f} times as fast as {options.models[0]}")


if __name__ == "__main__":
    main()
