"""Compares `imgsearch index` with `find` in a library of 100 000 unchanged files.

The tree consists of small JPEGs with many hard links each, and is indexed by the real command: the
first thousand with the model, the links by their bytes. This takes a few minutes once; --work keeps
it. Both commands are timed as whole processes with a warm cache.

    python benchmarks/rescan.py --work /tmp/rescan
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from itertools import cycle

from PIL import Image

PHOTOS = os.path.join(os.path.dirname(__file__), os.pardir, "data", "photos")
DISTINCT_FILES = 1000


def make(tree: str, count: int) -> None:
    """Create `DISTINCT_FILES` small JPEGs, then links to them up to `count` files."""
    names = sorted(name for name in os.listdir(PHOTOS) if name.endswith(".jpg"))
    for number, name in zip(range(DISTINCT_FILES), cycle(names), strict=False):
        with Image.open(os.path.join(PHOTOS, name)) as photo:
            photo.draft("RGB", (96, 96))
            small = photo.convert("RGB")
        small.thumbnail((96, 96))
        data = io.BytesIO()
        small.save(data, "JPEG", quality=70, comment=str(number).encode())
        with open(_path(tree, number), "wb") as file:
            file.write(data.getvalue())
    index(tree, os.path.dirname(tree))
    for number in range(DISTINCT_FILES, count):
        os.link(_path(tree, number % DISTINCT_FILES), _path(tree, number))
    index(tree, os.path.dirname(tree))


def _path(tree: str, number: int) -> str:
    folder = os.path.join(tree, f"{number // 10_000:03d}", f"{number // 100 % 100:02d}")
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, f"IMG_{number:07d}.jpg")


def index(tree: str, work: str, *before: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *before, "-m", "imgsearch", "-q", "index", tree, "--json"]
    return subprocess.run(
        [*command, "--library", os.path.join(work, "library")],
        check=True, text=True, capture_output=True,
    )  # fmt: skip


def timed(run: object) -> tuple[float, float]:
    """Wall-clock and CPU seconds of child processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    run()  # type: ignore[operator]
    clock = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, help="folder; created if it does not exist")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    tree = os.path.join(os.path.abspath(args.work), "tree")
    if not os.path.isdir(tree):
        make(tree, args.count)

    def find() -> None:
        command = ["find", tree, "-type", "f", "-printf", "%s %T@\\n"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    report = json.loads(index(tree, args.work).stdout)
    assert report["unchanged"] == report["scanned"] == args.count, report
    modules = index(tree, args.work, "-X", "importtime").stderr
    loaded = [name for name in ("torch", "faiss", "PIL.Image") if f" {name}\n" in modules]
    times = [(timed(find), timed(lambda: index(tree, args.work))) for _ in range(args.rounds)]
    print(f"{args.count} unchanged files, medians of {args.rounds}; loads {loaded or 'neither'}")
    for place, name in enumerate(("clock", "processor")):
        a, b = (statistics.median(pair[i][place] for pair in times) for i in (0, 1))
        print(f"{name:10} find {a:.3f} s  index {b:.3f} s  ratio {b / a:.2f}")


if __name__ == "__main__":
    main()
