"""imgsearch mcp"""

from __future__ import annotations

from typing import Any

import click

from imgsearch.cli.group import common, context, model_options


@click.command("mcp", short_help="Offer the library to programs that speak MCP.")
@model_options
@common
def command(library: str | None, quiet: bool, verbose: bool, **flags: Any) -> None:
    """Offer the library as tools of the Model Context Protocol, over stdin and stdout.

    A program that speaks MCP starts this command by itself; its settings name it. The tools
    search_images, similar_images, get_image and library_status only read, and show nothing but
    pictures below the folders of the library.

    \b
    imgsearch mcp
    imgsearch --library /data/imgsearch mcp --model builtin

    \b
    {"mcpServers": {"pictures": {"command": "imgsearch", "args": ["mcp"]}}}
    """
    from imgsearch.errors import MissingExtra
    from imgsearch.settings import load_settings

    ctx = context(library, quiet, verbose)
    settings = load_settings({**ctx.flags, **flags})
    try:
        from imgsearch.mcp_server import run
    except ModuleNotFoundError as error:
        raise MissingExtra("imgsearch mcp", "mcp") from error
    run(settings)
