"""imgsearch serve"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click

from imgsearch.cli.group import Context, common, context, model_options


@click.command("serve", short_help="Serve a web page to search and view pictures.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Port to listen on; 0 selects a free one.",
)
@click.option("--watch", is_flag=True, help="Index changes in the folders of the library.")
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--new-token",
    is_flag=True,
    help="Create a new access token, replacing any older one, and show it once.",
)
@click.option(
    "--token-file",
    type=click.Path(),
    default="",
    metavar="FILE",
    help="Require the token in this file, such as a secret of a container.",
)
@click.option("--require-token", is_flag=True, help="Also require the token on this machine.")
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="Additional host name of the server."
)
@click.option(
    "--trust-proxy",
    multiple=True,
    metavar="ADDRESS",
    help="Proxy, by IP address or network, that reports the client's address (X-Forwarded-For).",
)
@click.option(
    "--root-path",
    default="",
    metavar="PATH",
    help="Path below which a proxy serves the page, such as /photos.",
)
@click.option(
    "--allow-origin",
    multiple=True,
    metavar="ORIGIN",
    help="Other site whose pages may use the API with the token, such as https://app.example.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 1e6),
    default=100.0,
    show_default=True,
    help="Maximum number of searches per second and client.",
)
@click.option(
    "--embed",
    is_flag=True,
    help="Encode texts and pictures for other programs (OpenAI's and Immich's requests).",
)
@model_options
@common
def command(
    host: str,
    port: int,
    watch: bool,
    open_page: bool,
    new_token: bool,
    token_file: str,
    require_token: bool,
    allow_host: tuple[str, ...],
    trust_proxy: tuple[str, ...],
    root_path: str,
    allow_origin: tuple[str, ...],
    rate: float,
    embed: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Serve a web page and an HTTP API to search the library and view its pictures.

    By default the server listens on this machine only. With another --host, clients need the token
    that --new-token creates; so do clients behind a proxy named with --trust-proxy. Connections are
    not encrypted: on an untrusted network, use a tunnel or a proxy with TLS. Stop with Ctrl-C.

    With --watch, the index follows pictures that are added, changed or deleted, as with 'imgsearch
    watch'. With --embed, other programs may use the model of the library: an OpenAI client, Immich.

    \b
    imgsearch serve --open
    imgsearch serve --host 0.0.0.0 --new-token
    imgsearch serve --trust-proxy 127.0.0.1 --allow-host photos.example --root-path /photos
    """
    from imgsearch.errors import MissingExtra
    from imgsearch.writing import close_to_others

    ctx = context(library, quiet, verbose)
    trusted = ",".join(trust_proxy) or None
    settings = ctx.settings(**flags, trust_proxy=trusted)
    try:
        from imgsearch.web.hosts import checked_origin
        from imgsearch.web.proxies import Proxies, checked_root_path, parsed_networks
        from imgsearch.web.server import Place, serve
        from imgsearch.web.tokens import new_token as make_token
    except ModuleNotFoundError as error:
        raise MissingExtra("imgsearch serve", "web") from error
    proxies = Proxies(parsed_networks(settings.trust_proxy), checked_root_path(root_path))
    origins = tuple(map(checked_origin, allow_origin))
    if new_token and token_file:
        raise click.UsageError("--new-token and --token-file cannot be used together.")
    if new_token:
        click.echo(f"Token: {make_token(settings.library)}")
        if note := close_to_others(settings.library):
            ctx.say(note)
        ctx.say("It is not shown again. It gives access to all pictures of this library.")
    required = require_token or new_token
    place = Place(host, port, allow_host, required, proxies, origins, token_file, embed)
    with suppress(KeyboardInterrupt):  # the usual way to stop it
        serve(settings, place, lambda url: _announce(ctx, url, open_page), rate, ctx.say, watch)


def _announce(ctx: Context, url: str, open_page: bool) -> None:
    click.echo(f"Serving on {url}")
    ctx.say("Stop with Ctrl-C.")
    if open_page:
        click.launch(url)
