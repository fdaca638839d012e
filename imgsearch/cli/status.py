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
from imgsearch.vectors import EmbeddingSpace


@click.command("status", short_help="Show what the library contains.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@common
def command(as_json: bool, library: str | None, quiet: bool, verbose: bool) -> None:
    """Show what the library contains, and how the last indexing run ended.

    \b
    imgsearch status
    imgsearch --library /data/imgsearch status --json
    """
    ctx = context(library, quiet, verbose)
    settings = ctx.settings()
    with closing(ctx.overview()) as overview:
        summary = overview.summary()
        folder = os.path.join(summary["library"], "index")
        for space, owner in zip(summary["spaces"], overview.indexed(), strict=True):
            space["index"] = _index(settings.index, folder, *owner)
    texts = summary["texts"]
    texts["wanted"] = (texts["mode"] or settings.ocr) != "off"
    click.echo(json.dumps(summary, indent=2) if as_json else _text(summary))


def _index(kind: str, folder: str, library: str, space: EmbeddingSpace) -> str:
    """The kind of the stored index, in words; a file is read without NumPy."""
    if "://" not in kind:
        return stored_kind(folder, library, space.key, kind)
    from imgsearch.indexing.index_files import described

    return described(kind, folder, library, space)


def _text(summary: dict[str, Any]) -> str:
    lines = [
        f"Library   {plain(summary['library'])} ({summary['bytes'] / 1e6:.1f} MB)",
        *([f"Catalog   {summary['catalog']}"] if "catalog" in summary else []),
        f"Pictures  {summary['images']} in {count_of(summary['roots'], 'folder')}; "
        f"{count_of(summary['skipped'], 'file')} skipped",
    ]
    for space in summary["spaces"]:
        mark = ", used for searches" if space["default"] else ""
        lines.append(
            f"Model     {plain(space['model'])}: {count_of(space['images'], 'picture')}"
            f"{_variant(space, summary['spaces'])}{mark}"
        )
        if space["index"]:
            lines.append(f"Index     {space['index']}")
    texts = summary["texts"]
    if texts["wanted"] or texts["read"] or texts["passed_over"]:
        lines.append(f"Texts     {_texts(texts, summary['images'])}")
    run = summary["last_run"]
    if run:
        lines.append(f"Last run  {run['outcome']}, started {run['started_at'].replace('T', ' ')}")
    return "\n".join(lines)


def _variant(space: dict[str, Any], spaces: list[dict[str, Any]]) -> str:
    """What distinguishes a space from others of the same model; "" if there are no others."""
    same = [other for other in spaces if other["model"] == space["model"]]
    if len(same) == 1:
        return ""
    instruction = f", instruction {space['instruction']!r}" if space["instruction"] else ""
    differ = len({other["visual_tokens"] for other in same}) > 1
    tokens = f", {space['visual_tokens']} visual tokens" if differ else ""
    return f", vectors of {space['dimension']} numbers{tokens}{plain(instruction)}"


def _texts(texts: dict[str, Any], images: int) -> str:
    words = f"{texts['read']} of {count_of(images, 'picture')} read, {texts['with_text']} with text"
    words += f", {texts['passed_over']} passed over" if texts["passed_over"] else ""
    words += f", {texts['seen']} to be read" if texts["seen"] else ""
    words += f", {texts['failed']} failed" if texts["failed"] else ""
    words += f" ({plain('; '.join(texts['engines']))})" if texts["engines"] else ""
    return words + ("" if texts["wanted"] else "; new pictures are not read")
