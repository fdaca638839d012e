"""Writes the outputs that pages show after "$ imgsearch ...", from the program itself.

python -m tools.documented_output build/demo-library README.md docs/TOUR.md docs/EXCHANGE.md

A command is run again only if the page shows an output for it, so that pages can also name commands
that change something, or never end. Those of a page in `APART` write files: they run in a folder of
their own, with a copy of the library.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

BLOCK = re.compile(r"(?<=^```\n)\$ .*?(?=^```$)", re.M | re.S)
PROGRAM = "imgsearch"
APART = ("docs/EXCHANGE.md",)
SHOWN_FOLDER = "/tmp/exchange"  # noqa: S108 - a name in the page, not a folder that is used
_RANDOM = ("backup", "clusters")
_OF_ONE_RUN = re.compile(
    r"\b[0-9a-f]{64}\b|\b\d+(?= bytes\b)|(?<=  )data/photos/\S+$", re.MULTILINE
)
"""Parts of an output that differ in each run: digests and sizes of files with random names, and the
medoids of clusters, as both pictures of a pair are equally near to their mean."""


def rewritten(page: str, run: Callable[[list[str]], str]) -> str:
    """The text of a page with the output of each command as `run` gives it for the arguments."""
    return BLOCK.sub(lambda block: _block(block[0], run), page)


def _block(block: str, run: Callable[[list[str]], str]) -> str:
    parts = re.split(r"^\$ ", block, flags=re.M)[1:]
    return "".join("$ " + _part(part, run) for part in parts)


def _part(part: str, run: Callable[[list[str]], str]) -> str:
    command, _, output = part.partition("\n")
    program, *arguments = shlex.split(command, comments=True) or [""]
    if not output or program != PROGRAM:
        return part
    now = run(arguments)
    same = arguments[0] in _RANDOM and _masked(now) == _masked(output)
    return part if same else f"{command}\n{now}"


def _masked(output: str) -> str:
    return _OF_ONE_RUN.sub("#", output).strip()


def output_of(library: str, arguments: list[str]) -> str:
    """What the command prints for a library: its results, then its notes."""
    command = [sys.executable, "-m", PROGRAM, "--library", library, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout + done.stderr


def output_apart(folder: str, arguments: list[str]) -> str:
    """What the command prints in a folder that has a copy of the library, also if it fails."""
    environment = {**os.environ, "IMGSEARCH_LIBRARY": os.path.join(folder, "library")}
    command = [sys.executable, "-m", PROGRAM, *arguments]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    return (done.stdout + done.stderr).replace(os.path.realpath(folder), SHOWN_FOLDER)


def current(name: str, library: str) -> str:
    """The text of a page with outputs of today."""
    page = Path(name).read_text(encoding="utf-8")
    if not name.endswith(APART):
        return rewritten(page, lambda arguments: output_of(library, arguments))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(library, os.path.join(folder, "library"))
        return rewritten(page, lambda arguments: output_apart(folder, arguments))


if __name__ == "__main__":
    for name in sys.argv[2:]:
        path = Path(name)
        before = path.read_text(encoding="utf-8")
        after = current(name, sys.argv[1])
        path.write_text(after, encoding="utf-8")
        print(f"{name}: {'as before' if after == before else 'rewritten'}")
