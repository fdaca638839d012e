"""The generated pages of the docs, and the examples in the help of every command."""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import fields

import click
import pytest

from imgsearch.cli.group import COMMANDS
from imgsearch.cli.help_sections import SECTIONS
from imgsearch.cli.reference import PAGES, commands, reference
from imgsearch.settings import Settings, variable_name
from tests.conftest import ROOT

ALL_COMMANDS = list(commands())
SUBCOMMANDS = [each for each in ALL_COMMANDS if each[0] != "imgsearch"]
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "entry-points"
]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name):
    assert page(name) == PAGES[name](), "run: make docs"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_docs(command):
    assert f"\n## imgsearch {command}\n" in page("CLI.md")


@pytest.mark.parametrize("setting", fields(Settings), ids=lambda setting: setting.name)
def test_every_setting_is_documented(setting):
    about = setting.metadata
    assert about["doc"].endswith(".")
    assert bool(about["values"]) != bool(about["limits"]), "either values or limits"
    assert bool(about["unit"]) == bool(about["limits"]), "a number has a unit"
    section = page("SETTINGS.md").partition(f"\n## {setting.name}\n")[2].partition("\n## ")[0]
    assert section
    assert f"`{variable_name(setting.name)}`" in section


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (group, name)
        for group in ("imgsearch.encoders", "imgsearch.indexes", "imgsearch.model_servers")
        for name in ENTRY_POINTS[group]
    ],
)
def test_every_entry_point_is_named_in_the_docs(group, name):
    texts = [file.read_text(encoding="utf-8") for file in sorted((ROOT / "docs").glob("*.md"))]
    assert any(f"`{name}`" in text for text in texts), f"no page of docs/ names {name} of {group}"


def test_every_command_is_on_the_page():
    headings = re.findall(r"^## (.+)$", reference(), re.M)
    assert headings == [name for name, _, _ in ALL_COMMANDS]
    assert {name.split()[1] for name in headings[1:]} == set(COMMANDS)
    assert "imgsearch models download" in headings


@pytest.mark.parametrize(
    ("name", "command", "context"), SUBCOMMANDS, ids=[each[0] for each in SUBCOMMANDS]
)
def test_every_command_has_two_examples_that_parse(name, command, context):
    examples = re.findall(r"^  (imgsearch .+)$", command.get_help(context), re.M)
    mine = [shlex.split(line.split(" | ")[0]) for line in examples]
    mine = [words for words in mine if " ".join(_without_library(words)).startswith(name)]
    assert len({tuple(words) for words in mine}) >= 2, examples
    for words in mine:
        rest = _without_library(words)[len(name.split()) :]
        if not (isinstance(command, click.Group) and rest):
            try:
                command.make_context(name, rest, resilient_parsing=False)
            except click.BadParameter as error:  # the example's folder is not on this machine
                assert "does not exist" in error.message


def _without_library(words: list[str]) -> list[str]:
    if "--library" in words:
        at = words.index("--library")
        return words[:at] + words[at + 2 :]
    return words


@pytest.mark.parametrize("name", ["search", "similar"])
def test_every_option_of_a_search_is_below_its_heading(name):
    (entry,) = [each for each in ALL_COMMANDS if each[0] == f"imgsearch {name}"]
    _, command, context = entry
    options = [each for each in command.params if isinstance(each, click.Option)]
    listed = {*(each for names in SECTIONS.values() for each in names)}
    unlisted = {each.name for each in options if not each.name.startswith("filter_")} - listed
    assert unlisted == set(), "in no section of imgsearch.cli.help_sections"
    text = command.get_help(context)
    assert re.findall(r"^([A-Z]\w+):", text, re.M)[1:] == list(SECTIONS)
    filters = text.partition("\nFilters:\n")[2].partition("\n\n")[0]
    assert "--after DATE" in filters
    assert "--like" not in filters
    for option in options:
        assert len(re.findall(rf"^  .*{option.opts[-1]}\b", text, re.M)) >= 1, option.opts
