"""imgsearch status"""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import Any

import click

from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import count_of, plain
from imgsearch.indexes.sealed_files import stored_kind


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
        folder = os.path.join(found["library"], "index")
        for space, (uuid, key) in zip(found["spaces"], overview.index_names(), strict=True):
            space["index"] = stored_kind(folder, uuid, key)
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
        if space["index"]:
            lines.append(f"Index     {space['index']}")
    texts = found["texts"]
    if texts["wanted"] or texts["read"]:
        lines.append(f"Texts     {_texts(texts, found['images'])}")
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


def _texts(texts: dict[str, Any], images: int) -> str:
    words = f"{texts['read']} of {count_of(images, 'picture')} read, {texts['with_text']} with text"
    words += f", {texts['failed']} failed" if texts["failed"] else ""
    words += f" ({plain('; '.join(texts['engines']))})" if texts["engines"] else ""
    return words + ("" if texts["wanted"] else "; new ones are not read")
