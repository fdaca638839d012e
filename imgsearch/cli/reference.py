"""The help of every command as one page of Markdown: `make docs`.

python -m imgsearch.cli.reference docs/CLI.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from imgsearch.cli.group import cli

WIDTH = 100
HEAD = """\
# Commands

Written by `make docs` from what `--help` prints; a test fails when it is out of date.
"""


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command and subcommand with its full name, the group itself first."""
    settings: dict[str, Any] = {**cli.context_settings, "terminal_width": WIDTH}
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
            below = click.Context(inner, context, info_name=each, terminal_width=WIDTH)
            yield from _below(inner, f"{name} {each}", below)


def reference() -> str:
    """The page."""
    parts = [HEAD]
    for name, command, context in commands():
        parts.append(f"## {name}\n\n```\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as page:
        page.write(reference())
