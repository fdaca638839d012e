"""The generated pages of the docs, written by `make docs`: docs/CLI.md and docs/SETTINGS.md.

python -m imgsearch.cli.reference docs
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from typing import Any

import click

from imgsearch.cli.group import cli
from imgsearch.settings import Settings, variable_name

MAX_COLUMNS = 100
HEAD = """\
# Commands

Written by `make docs` from what `--help` prints; a test fails when it is out of date.
"""
SETTINGS_HEAD = """\
# Settings

Written by `make docs` from `imgsearch/settings.py`; a test fails when it is out of date.

A command-line option overrides an environment variable, which overrides the configuration file,
which overrides the default. The file is `config.toml` in your configuration folder
(`~/.config/imgsearch` on Linux); `IMGSEARCH_CONFIG` names another one.
"""


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command and subcommand with its full name, the group itself first."""
    settings: dict[str, Any] = {**cli.context_settings, "terminal_width": MAX_COLUMNS}
    context = click.Context(cli, info_name="imgsearch", **settings)
    yield from _below(cli, "imgsearch", context)


def _below(
    command: click.Command, name: str, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield name, command, context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            assert inner is not None
            below = click.Context(inner, context, info_name=each, terminal_width=MAX_COLUMNS)
            yield from _below(inner, f"{name} {each}", below)


def reference() -> str:
    """The page of all commands, docs/CLI.md."""
    parts = [HEAD]
    for name, command, context in commands():
        parts.append(f"## {name}\n\n```\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def settings_reference() -> str:
    """The page of all settings, docs/SETTINGS.md."""
    return "\n".join([SETTINGS_HEAD, *map(_setting, fields(Settings))])


def _setting(setting: Field[Any]) -> str:
    meaning = textwrap.fill(setting.metadata["doc"], MAX_COLUMNS, break_on_hyphens=False)
    facts = {
        "Default": _default(setting.default),
        "Environment variable": f"`{variable_name(setting.name)}`",
        "Values": _values(setting),
    }
    if setting.metadata["unit"]:
        facts["Unit"] = setting.metadata["unit"]
    items = (f"- {name}: {fact}" for name, fact in facts.items())
    lines = "\n".join(
        textwrap.fill(item, MAX_COLUMNS, subsequent_indent="  ", break_on_hyphens=False)
        for item in items
    )
    return f"## {setting.name}\n\n{meaning}\n\n{lines}\n"


def _default(value: object) -> str:
    return "empty" if value in ("", ()) else f"`{value}`"


def _values(setting: Field[Any]) -> str:
    if setting.metadata["limits"] is None:
        return str(setting.metadata["values"])
    lowest, highest = setting.metadata["limits"]
    kind = "whole numbers" if isinstance(setting.default, int) else "numbers"
    return f"{kind} from {lowest:.0f} to {highest:.0f}"


PAGES: dict[str, Callable[[], str]] = {"CLI.md": reference, "SETTINGS.md": settings_reference}
"""File name in docs/ -> function that writes its text."""


if __name__ == "__main__":
    for name, text in PAGES.items():
        with open(os.path.join(sys.argv[1], name), "w", encoding="utf-8") as page:
            page.write(text())
