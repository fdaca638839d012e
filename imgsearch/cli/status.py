"""imgsearch status"""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import click

from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import count_of, plain


@click.command("status", short_help="Say what is in the library.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@common
def command(as_json: bool, library: str | None, quiet: bool, verbose: bool) -> None:
    """Say what is in the library, and how the last run of the indexer ended.

    \b
    imgsearch status
    imgsearch --library /data/imgsearch status --json
    """
    with closing(context(library, quiet, verbose).overview()) as overview:
        found = overview.summary()
    click.echo(json.dumps(found, indent=2) if as_json else _text(found))


def _text(found: dict[str, Any]) -> str:
    lines = [
        f"Library   {plain(found['library'])} ({found['bytes'] / 1e6:.1f} MB)",
        f"Pictures  {found['images']} in {count_of(found['roots'], 'folder')}; "
        f"{count_of(found['skipped'], 'file')} skipped",
    ]
    for space in found["spaces"]:
        mark = ", used for searches" if space["default"] else ""
        lines.append(
            f"Model     {plain(space['model'])}: {count_of(space['images'], 'picture')}"
            f"{_variant(space, found['spaces'])}{mark}"
        )
    run = found["last_run"]
    if run:
        lines.append(f"Last run  {run['outcome']}, started {run['started_at'].replace('T', ' ')}")
    return "\n".join(lines)


def _variant(space: dict[str, Any], spaces: list[dict[str, Any]]) -> str:
    """What tells a space from others of the same model; "" where there is no other."""
    if sum(other["model"] == space["model"] for other in spaces) == 1:
        return ""
    told = f", told {space['instruction']!r}" if space["instruction"] else ""
    return f", vectors of {space['dimension']} numbers{plain(told)}"
