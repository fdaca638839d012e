"""The table of what no GPU has run: its commands exist and take the options given to them."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from imgsearch.bench.random_models import ARCHITECTURES
from imgsearch.cli.group import cli
from tests.conftest import CHECKOUT

PAGE = CHECKOUT / "docs" / "PERFORMANCE.md"
if not PAGE.exists():
    pytest.skip("only in a checkout: docs/ is not here", allow_module_level=True)

TABLE = PAGE.read_text(encoding="utf-8").partition("### What no GPU has run")[2]
COMMANDS = [
    words
    for row in re.findall(r"^\| [^|]+ \| (`.+) \|$", TABLE.partition("\nThe durations")[0], re.M)
    for command in re.findall(r"`([^`]+)`", row)
    for part in command.split(" && ")
    for words in [shlex.split(part)]
]


def test_the_table_has_every_preset_that_needs_a_gpu_or_has_random_weights():
    named = {word for words in COMMANDS for word in words}
    assert set(ARCHITECTURES) - {"gme-cut", "gme-tiny", "qwen3-vl-tiny"} <= named


@pytest.mark.parametrize(
    "words", [each for each in COMMANDS if each[0] == "imgsearch"], ids=" ".join
)
def test_a_command_of_ours_can_be_given(words, monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    # With the settings of the group: a command keeps its help option from its first context.
    context: click.Context = click.Context(cli, info_name="imgsearch", **cli.context_settings)
    name, command, rest = cli.resolve_command(context, words[1:])
    assert command is not None
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name, command, rest = command.resolve_command(click.Context(command, context), rest)
        assert command is not None
    command.make_context(name, rest, parent=context, resilient_parsing=False)


@pytest.mark.parametrize("words", [each for each in COMMANDS if each[0] == "python"], ids=" ".join)
def test_a_script_exists_and_has_the_options(words):
    files = [word for word in words if word.endswith(".py")]
    assert len(files) == 1
    text = (CHECKOUT / files[0]).read_text(encoding="utf-8")
    assert all(f'"{word}"' in text for word in words if word.startswith("--"))


def test_no_other_program_is_needed():
    assert {words[0] for words in COMMANDS} <= {"imgsearch", "python", "pip", "curl"}
