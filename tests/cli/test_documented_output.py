"""The outputs that README and the tour show are those of the program.

Digits may differ a little: the model computes in another precision on another processor.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

PAGES = ("README.md", "docs/TOUR.md", "docs/SEARCH.md")
BLOCK = re.compile(r"^```\n(.*?)^```$", re.M | re.S)
MAX_PERCENT, MAX_SCORE = 3, 0.01
"""How much a strength and a score may differ."""


def examples_of(page: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a page that is followed by its output."""
    for block in BLOCK.findall((ROOT / page).read_text("utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *output = part.splitlines()
            if output:
                yield command, output


EXAMPLES = [(page, *example) for page in PAGES for example in examples_of(page)]


def test_there_are_examples():
    assert len(EXAMPLES) >= 7


@pytest.mark.parametrize(
    ("page", "command", "expected"), EXAMPLES, ids=[f"{page}: {line}" for page, line, _ in EXAMPLES]
)
def test_the_output_is_that_of_the_program(demo, monkeypatch, page, command, expected):
    monkeypatch.chdir(ROOT)
    program, *arguments = shlex.split(command, comments=True)
    assert program == "imgsearch"
    outcome = demo.call(*arguments)
    lines = (outcome.text + outcome.err).splitlines()
    assert list(map(words, lines)) == list(map(words, expected))
    for line, documented in zip(lines, expected, strict=True):
        for now, then in zip(numbers(line), numbers(documented), strict=True):
            limit = MAX_SCORE if then <= 1 else MAX_PERCENT
            assert abs(now - then) <= limit, (line, documented)


def words(line: str) -> str:
    """The line with its strength and score taken out."""
    return re.sub(r"\d+%|-?\d\.\d{3}", "#", line)


def numbers(line: str) -> list[float]:
    """Strength in percent and score."""
    return [float(each.removesuffix("%")) for each in re.findall(r"\d+%|-?\d\.\d{3}", line)]
