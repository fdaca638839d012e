"""Pictures per second by a Ray cluster and by this machine, in turn in one run.

    python benchmarks/ray_pool.py FOLDER ray://head:10001 --cores 2 [--model builtin] [--runs 5]

Give as many cores as the cluster has: only then the ratio is that of the cost of Ray. Model and
processes are started before the clock. With a cluster of several machines, it is the speed-up.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import closing
from dataclasses import replace
from functools import partial

from imgsearch.encoders.registry import Registry, canonical
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.indexing.indexer import decoder_pool
from imgsearch.indexing.ray_pool import RayPool
from imgsearch.ports import EncoderPool
from imgsearch.records import Encoded, ImageFile
from imgsearch.settings import Settings
from imgsearch.sources.folder_source import FilesystemSource


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("address")
    parser.add_argument("--cores", type=int, required=True)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    files = [each for each in FilesystemSource(options.folder).scan() if type(each) is ImageFile]
    settings = Settings(threads=options.cores, workers=options.cores)
    encoder = Registry(settings).encoder(canonical(options.model))

    def local() -> LocalPool:
        decoder = partial(decoder_pool, settings, measured=True)
        return LocalPool(lambda: encoder, decoder, settings.batch_size or 32)

    # workers and threads of an actor are those of its share of a machine
    remote = replace(settings, encoders=options.address, threads=0, workers=0)
    cluster = RayPool(remote, encoder.space, local(), partial(print, file=sys.stderr))
    with closing(local()) as here, closing(cluster) as there:
        pools: dict[str, EncoderPool] = {"local": here, options.address: there}
        seconds: dict[str, list[float]] = {name: [] for name in pools}
        for run in range(options.runs + 1):
            for name, pool in pools.items():
                start = time.perf_counter()
                results = list(pool.encode_files(files))
                taken = time.perf_counter() - start
                assert len(results) == len(files)
                assert all(type(each) is Encoded for each in results), results
                if run:  # the first one starts the processes
                    seconds[name].append(taken)
    for name, times in seconds.items():
        rates = ", ".join(f"{len(files) / each:.1f}" for each in times)
        print(f"{name}: {rates} pictures/s, median {len(files) / statistics.median(times):.1f}")
    ours, theirs = seconds.values()
    ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    print(f"cluster / local: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
