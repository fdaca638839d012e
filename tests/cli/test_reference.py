"""docs/CLI.md, and the examples in the help of every command."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from imgsearch.cli.group import COMMANDS
from imgsearch.cli.reference import commands, reference
from tests.conftest import ROOT

COMMAND_ENTRIES = list(commands())
LEAVES = [each for each in COMMAND_ENTRIES if each[0] != "imgsearch"]


def test_the_page_is_up_to_date():
    page = (ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
    assert page == reference(), "run: make docs"


def test_every_command_is_on_the_page():
    headings = re.findall(r"^## (.+)$", reference(), re.M)
    assert headings == [name for name, _, _ in COMMAND_ENTRIES]
    assert {name.split()[1] for name in headings[1:]} == set(COMMANDS)
    assert "imgsearch models download" in headings


@pytest.mark.parametrize(("name", "command", "context"), LEAVES, ids=[each[0] for each in LEAVES])
def test_every_command_has_two_examples_that_parse(name, command, context):
    examples = re.findall(r"^  (imgsearch .+)$", command.get_help(context), re.M)
    own = [shlex.split(line.split(" | ")[0]) for line in examples]
    own = [words for words in own if " ".join(_without_library(words)).startswith(name)]
    assert len({tuple(words) for words in own}) >= 2, examples
    for words in own:
        rest = _without_library(words)[len(name.split()) :]
        if not (isinstance(command, click.Group) and rest):
            try:
                command.make_context(name, rest, resilient_parsing=False)
            except click.BadParameter as error:  # the example's folder does not exist here
                assert "does not exist" in error.message


def _without_library(words: list[str]) -> list[str]:
    if "--library" in words:
        at = words.index("--library")
        return words[:at] + words[at + 2 :]
    return words
