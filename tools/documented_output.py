"""Writes the outputs that pages show after "$ imgsearch ...", from the program itself.

python -m tools.documented_output build/demo-library README.md docs/TOUR.md docs/SEARCH.md

A command is run again only if the page shows an output for it, so that pages can also name commands
that change something, or never end.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

BLOCK = re.compile(r"(?<=^```\n)\$ .*?(?=^```$)", re.M | re.S)
PROGRAM = "imgsearch"


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
    return f"{command}\n{run(arguments)}"


def output_of(library: str, arguments: list[str]) -> str:
    """What the command prints for a library: its results, then its notes."""
    command = [sys.executable, "-m", PROGRAM, "--library", library, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout + done.stderr


if __name__ == "__main__":
    for name in sys.argv[2:]:
        path = Path(name)
        before = path.read_text(encoding="utf-8")
        after = rewritten(before, lambda arguments: output_of(sys.argv[1], arguments))
        path.write_text(after, encoding="utf-8")
        print(f"{name}: {'as before' if after == before else 'rewritten'}")
