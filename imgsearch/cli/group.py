"""The command group, with the options and the context that all commands share."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsearch import __version__
from imgsearch.cli.completion import DEVICES, folders, indexes, models, values
from imgsearch.cli.terminal import plain

if TYPE_CHECKING:
    from imgsearch.catalog.overview import Overview
    from imgsearch.library import Library
    from imgsearch.searching.hits import SearchResult
    from imgsearch.searching.request import SearchRequest
    from imgsearch.settings import Settings

COMMANDS = (
    "index",
    "watch",
    "search",
    "similar",
    "similarity",
    "saved",
    "dupes",
    "status",
    "skipped",
    "roots",
    "clusters",
    "map",
    "sample",
    "models",
    "eval",
    "serve",
    "serve-model",
    "mcp",
    "doctor",
    "optimize",
    "export",
    "import",
    "merge",
    "backup",
    "restore",
    "migrate",
    "bench",
    "daemon",
)

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Context:
    """Flags of every command, and the library that they select."""

    flags: dict[str, Any] = field(default_factory=dict)
    quiet: bool = False
    verbose: bool = False
    checked: bool = False
    """The rights on the library folder were checked in this call."""

    def library(self, **flags: Any) -> Library:
        """The library of this call; `flags` as the command names them."""
        from imgsearch.library import Library

        return Library(self.settings(**flags), self.say)

    def settings(self, **flags: Any) -> Settings:
        """The settings of this call; `flags` as the command names them.

        Every command starts here, so a library of an earlier version that other users can read is
        closed here.
        """
        from imgsearch.settings import load_settings

        settings = load_settings({**self.flags, **flags})
        if not self.checked:
            self.checked = True
            self._close_to_others(settings.library)
        return settings

    def _close_to_others(self, library: str) -> None:
        from imgsearch.writing import close_to_others, is_open_to_others

        if is_open_to_others(library):
            from imgsearch.catalog.sqlite_file import FILE

            if os.path.isfile(os.path.join(library, FILE)):  # or else the wrong folder is named
                self.say(close_to_others(library))

    def session(self, no_daemon: bool = False, **flags: Any) -> Session:
        """Searches of one call; close it after use."""
        off = "off" if no_daemon else None
        return Session(self.settings(**flags, daemon=off), self)

    def overview(self) -> Overview:
        """The contents of the library, without loading the code that searches or changes it.

        Raises
        ------
        LibraryMissing, CatalogError
            There is none, or it cannot be read.
        """
        from imgsearch.catalog.overview import Overview

        settings = self.settings()
        overview = Overview(settings.library, settings.catalog)
        if not overview.ready:
            overview.close()
            self.library().upgrade()
            overview = Overview(settings.library, settings.catalog)
        return overview

    def folder(self, hint: str) -> str:
        """The folder of a library whose catalog is a file in it.

        Raises
        ------
        CatalogError
            The catalog lies on a server; `hint` says what to do instead.
        """
        from imgsearch.errors import CatalogError

        settings = self.settings()
        if settings.catalog:
            raise CatalogError("the catalog of this library lies on a server, not in a file", hint)
        return settings.library

    def say_verbose(self, note: str) -> None:
        """A note on stderr with -v."""
        if self.verbose:
            self.say(note)

    def say(self, note: str) -> None:
        """A note on stderr, unless -q was given."""
        if not self.quiet:
            with suppress(OSError):  # a closed stderr must not stop the command
                click.echo(plain(note, keep="\n"), err=True)


class Session:
    """Searches of one call, answered by a daemon that has the library open, or in this process."""

    def __init__(self, settings: Settings, ctx: Context) -> None:
        self._settings, self._ctx = settings, ctx
        self._library: Library | None = None

    @property
    def library(self) -> Library:
        """The library in this process, opened when first needed."""
        if self._library is None:
            from imgsearch.library import Library

            self._library = Library(self._settings, self._ctx.say)
        return self._library

    def search(self, request: SearchRequest) -> SearchResult:
        """The result; errors are those of `Library.search`."""
        from imgsearch.daemon import client

        result = client.search(self._settings, request, self._ctx.say, self._ctx.say_verbose)
        return self.library.search(request) if result is None else result

    def close(self) -> None:
        """Close the library, if it was opened."""
        if self._library is not None:
            self._library.close()


class LazyGroup(click.Group):
    """Imports a command's file only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"imgsearch.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f" Did you mean {near[0]!r}?" if near and " " not in args[0] else ""
            hint += f" To search: imgsearch search {' '.join(args)}"
            raise click.UsageError(error.message + hint, ctx) from None


def _catalog(ctx: click.Context, option: click.Parameter, url: str | None) -> None:
    """Keep the place of the catalog for whatever the command opens."""
    if without_password(ctx, option, url) is not None:
        ctx.ensure_object(Context).flags["catalog"] = url


def common(function: F) -> F:
    """Options that may stand before or behind the command."""
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="Report more, on stderr."),
        click.option("-q", "--quiet", is_flag=True, help="Print results and errors only."),
        click.option(
            "--library",
            metavar="DIR",
            shell_complete=folders,
            help="Folder of the library. Default: $IMGSEARCH_LIBRARY, else your data folder.",
        ),
        click.option(
            "--catalog",
            metavar="URL",
            expose_value=False,
            callback=_catalog,
            help="Where the catalog lies, if not in the library: postgresql://user@host/database.",
        ),
    ):
        function = option(function)
    return function


def model_option(function: F) -> F:
    """The option of commands that compare stored vectors and load no model."""
    return click.option(
        "--model",
        metavar="NAME",
        shell_complete=models,
        help="Name or folder of a model; see 'imgsearch models'.",
    )(function)


def workers_option(function: F) -> F:
    """The option for the number of decoder processes."""
    return click.option("--workers", type=click.IntRange(1, 256), help="Decoder processes.")(
        function
    )


def model_options(function: F) -> F:
    """Options that choose and run a model."""
    return model_option(run_options(function))


def run_options(function: F) -> F:
    """Options that run a model."""
    for option in (
        click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of the model."),
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "bf16", "fp16", "autocast"]),
            help="Compute precision of the model. auto: bf16 where the device supports it.",
        ),
        click.option(
            "--device",
            metavar="NAME",
            shell_complete=values(*DEVICES),
            help="auto, cpu, cuda, cuda:N or mps.",
        ),
    ):
        function = option(function)
    return function


def index_option(function: F) -> F:
    """The options for the kind of index."""
    return click.option(
        "--index",
        metavar="KIND",
        shell_complete=indexes,
        callback=without_password,
        help="auto, flat (exact), ivf, faiss-gpu (as auto, on GPUs) or torch (exact, on a GPU where"
        " there is one). auto is exact up to 100 000 pictures, and ivf from there. Or a server:"
        " postgresql://user@host/database or milvus://host:19530/database.",
    )(function)


def without_password(ctx: click.Context, option: click.Parameter, kind: str | None) -> str | None:
    """Refuse a password on the command line, where other users can read it."""
    from imgsearch.settings import Settings, has_password

    if kind and has_password(kind):
        name, where = option.name or "", "~/.pgpass or PGPASSWORD"
        if hasattr(Settings, name):
            where = f"~/.pgpass, PGPASSWORD, MILVUS_TOKEN, IMGSEARCH_{name.upper()} or config.toml"
        raise click.BadParameter(
            f"other users could read a password on the command line; put it into {where}.",
            ctx,
            option,
        )
    return kind


def context(library: str | None, quiet: bool, verbose: bool) -> Context:
    """The context of the running command, with the options that follow it."""
    ctx = click.get_current_context().find_object(Context)
    assert ctx is not None
    if library is not None:
        ctx.flags["library"] = library
    ctx.quiet |= quiet
    ctx.verbose |= verbose
    _set_up_logging(ctx)
    return ctx


def _set_up_logging(ctx: Context) -> None:
    """Other packages warn only with -v: their warnings are not about the user's pictures."""
    import warnings

    from imgsearch.cli.logs import set_up_logging

    if not ctx.verbose:
        warnings.simplefilter("ignore")
    set_up_logging(ctx.verbose)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="imgsearch")
@common
@click.pass_context
def cli(ctx: click.Context, library: str | None, quiet: bool, verbose: bool) -> None:
    """Search your own pictures by words or by an example picture, on your own machine.

    \b
    imgsearch index ~/Pictures        make them searchable; run it again after changes
    imgsearch search a dog on a beach
    imgsearch similar photo.jpg
    """
    ctx.ensure_object(Context)
    context(library, quiet, verbose)
