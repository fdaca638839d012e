"""imgsearch mcp"""

from __future__ import annotations

from typing import Any

import click

from imgsearch.cli.group import common, context, model_options


@click.command("mcp", short_help="Serve the library to MCP clients.")
@model_options
@common
def command(library: str | None, quiet: bool, verbose: bool, **flags: Any) -> None:
    """Serve the library by the Model Context Protocol, over stdin and stdout.

    An MCP client starts this command itself, as configured in its settings. The tools
    search_images, similar_images, get_image, saved_searches and library_status, the resources
    (the library, saved searches, pictures by id) and the prompts are read-only and show only
    pictures below the folders of the library.

    \b
    imgsearch mcp
    imgsearch --library /data/imgsearch mcp --model builtin

    \b
    {"mcpServers": {"pictures": {"command": "imgsearch", "args": ["mcp"]}}}
    """
    from imgsearch.errors import MissingExtra

    ctx = context(library, quiet, verbose)
    settings = ctx.settings(**flags)
    try:
        from imgsearch.mcp_server import run
    except ModuleNotFoundError as error:
        raise MissingExtra("imgsearch mcp", "mcp") from error
    run(settings)
