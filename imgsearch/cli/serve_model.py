"""imgsearch serve-model"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any

import click

from imgsearch.cli import completion
from imgsearch.cli.group import Context, common, context, run_options
from imgsearch.cli.terminal import plain

PORT = click.IntRange(1, 65535)


@click.command("serve-model", short_help="Serve a model to other machines, with NVIDIA Triton.")
@click.argument("model", shell_complete=completion.models)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--http-port", type=PORT, default=8000, show_default=True, help="Port for HTTP.")
@click.option("--grpc-port", type=PORT, default=8001, show_default=True, help="Port for gRPC.")
@click.option(
    "--pytriton",
    type=click.Path(),
    default="",
    metavar="DIR",
    help="Virtual environment with nvidia-pytriton. Default: pytriton in the folder of this one.",
)
@click.option(
    "--write-repository",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Serve nothing: write a model repository for a Triton of your own into this folder.",
)
@run_options
@common
def command(
    model: str,
    host: str,
    http_port: int,
    grpc_port: int,
    pytriton: str,
    write_repository: str | None,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Serve a model with NVIDIA Triton (KServe v2), so that other machines need not run it.

    They name the server in config.toml, as docs/SCALE.md shows. By default it listens on this
    machine only. There is no password and no encryption: with another --host, use a private
    network. The settings document_instruction, dimension and visual_tokens apply. Stop with Ctrl-C.

    \b
    imgsearch serve-model gme-qwen2-vl-2b
    imgsearch serve-model gme-qwen2-vl-2b --host 10.0.0.5 --device cuda
    imgsearch serve-model gme-qwen2-vl-2b --device cuda --write-repository /srv/triton
    """
    from imgsearch.encoders import model_repository
    from imgsearch.encoders.registry import canonical
    from imgsearch.encoders.triton_server import Listening, default_environment, serve

    if http_port == grpc_port:
        raise click.UsageError("--http-port and --grpc-port must differ.")
    ctx = context(library, quiet, verbose)
    settings = ctx.settings(**flags)
    where = Listening(host, http_port, grpc_port, pytriton or default_environment())
    name = canonical(model)
    encoder = model_repository.served_encoder(name, settings)
    if write_repository is not None:
        for part in model_repository.write_repository(encoder, settings, write_repository):
            click.echo(plain(os.path.join(write_repository, part)))
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), open(os.devnull, "w") as nowhere:  # the usual way to stop it
        log = sys.stderr if ctx.verbose else nowhere
        serve(encoder, where, lambda: _announce(ctx, name, where), log)


def _announce(ctx: Context, name: str, where: Any) -> None:
    click.echo(f"Serving {name} on {' and '.join(where.urls)}")
    ctx.say("Stop with Ctrl-C.")
