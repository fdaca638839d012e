"""imgsearch serve"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click

from imgsearch.cli.group import Context, common, context, model_options


@click.command("serve", short_help="Open a page to search and look at the pictures.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Port to listen on; 0 for any that is free.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--new-token",
    is_flag=True,
    help="Make the token that others need, in place of an older one, and show it once.",
)
@click.option("--require-token", is_flag=True, help="Ask for the token on this machine, too.")
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="Another name that the server goes by."
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 1e6),
    default=100.0,
    show_default=True,
    help="Searches a second that one client may make.",
)
@model_options
@common
def command(
    host: str,
    port: int,
    open_page: bool,
    new_token: bool,
    require_token: bool,
    allow_host: tuple[str, ...],
    rate: float,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Serve a page, and an HTTP API, to search the library and to look at its pictures.

    It listens on this machine only, unless --host says otherwise; then whoever wants in needs the
    token, which --new-token makes. The connection is not encrypted: for use over an untrusted
    network put a tunnel or a proxy with TLS before it. Stop with Ctrl-C.

    \b
    imgsearch serve --open
    imgsearch serve --host 0.0.0.0 --new-token
    """
    from imgsearch.errors import MissingExtra
    from imgsearch.settings import load_settings

    ctx = context(library, quiet, verbose)
    settings = load_settings({**ctx.flags, **flags})
    try:
        from imgsearch.web.server import Place, serve
        from imgsearch.web.tokens import new_token as make_token
    except ModuleNotFoundError as error:
        raise MissingExtra("imgsearch serve", "web") from error
    if new_token:
        click.echo(f"Token: {make_token(settings.library)}")
        ctx.say("It is not shown again. Whoever has it sees all pictures of this library.")
    place = Place(host, port, allow_host, require_token or new_token)
    with suppress(KeyboardInterrupt):  # which is how it is meant to be stopped
        serve(settings, place, lambda url: _started(ctx, url, open_page), rate, ctx.say)


def _started(ctx: Context, url: str, open_page: bool) -> None:
    click.echo(f"Serving on {url}")
    ctx.say("Stop with Ctrl-C.")
    if open_page:
        click.launch(url)
