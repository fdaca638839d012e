"""Uses of hits besides printing them: pages, previews, collections, the desktop."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsearch.cli.colors import CHOICES, is_colored, painted
from imgsearch.cli.completion import files, folders
from imgsearch.cli.group import Context, Session, common, index_option, model_options
from imgsearch.cli.search_options import cut_off_options, gathered, result_options, unique_option

if TYPE_CHECKING:
    from imgsearch.searching.hits import Hit, SearchResult

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Output:
    """Options for the output of hits, under their names on the command line."""

    unique: bool = False
    color: str = "auto"
    preview: bool = False
    html: str | None = None
    copy_to: str | None = None
    link_to: str | None = None
    open_them: bool = False

    def deliver(self, ctx: Context, session: Session, result: SearchResult, form: str) -> int:
        """Print the hits and do with them what the options say; the exit status."""
        hits, title = result.hits, result.text
        if not self._previewed(ctx, session, hits):
            self._print(hits, form, ctx.verbose)
        steps = (self._page, self._copied, self._linked, self._opened)
        return max(step(ctx, session, hits, title) for step in steps)

    def _print(self, hits: Sequence[Hit], form: str, verbose: bool) -> None:
        from imgsearch.cli.render import render, render_table

        if form == "table":
            render_table(hits, painted if is_colored(self.color) else None, reasons=verbose)
        else:
            render(hits, form)

    def _previewed(self, ctx: Context, session: Session, hits: Sequence[Hit]) -> bool:
        if not self.preview:
            return False
        from imgsearch.cli.preview import show

        return show(ctx, session.library, hits)

    def _page(self, ctx: Context, session: Session, hits: Sequence[Hit], title: str) -> int:
        if self.html is None:
            return 0
        from imgsearch.cli.contact_sheet import write_sheet

        return write_sheet(ctx, session.library, hits, self.html, title)

    def _copied(self, ctx: Context, session: Session, hits: Sequence[Hit], title: str) -> int:
        if self.copy_to is None:
            return 0
        from imgsearch.cli.collect import Copies, collect

        return collect(ctx, session.library, hits, Copies(self.copy_to))

    def _linked(self, ctx: Context, session: Session, hits: Sequence[Hit], title: str) -> int:
        if self.link_to is None:
            return 0
        from imgsearch.cli.collect import Links, collect

        return collect(ctx, session.library, hits, Links(self.link_to))

    def _opened(self, ctx: Context, session: Session, hits: Sequence[Hit], title: str) -> int:
        if not self.open_them:
            return 0
        from imgsearch.cli.desktop import open_pictures

        return open_pictures(ctx, hits)


def page_option(contents: str = "small pictures") -> Callable[[F], F]:
    """The option `--html`."""
    return click.option(
        "--html", metavar="FILE", shell_complete=files, help=f"Write a page with {contents}."
    )


def collect_options(pictures: str = "the pictures") -> Callable[[F], F]:
    """The options `--copy-to` and `--link-to`."""

    def decorate(function: F) -> F:
        for flag, verb in (("--link-to", "Link"), ("--copy-to", "Copy")):
            what = f"{verb} {pictures} into a folder."
            function = click.option(flag, metavar="DIR", shell_complete=folders, help=what)(
                function
            )
        return function

    return decorate


def output_options(function: F) -> F:
    """Options for further uses of hits; the command gets one `output`."""
    function = _gathered(function)
    for option in (
        click.option("--open", "open_them", is_flag=True, help="Open the pictures on the desktop."),
        collect_options(),
        page_option(),
        click.option(
            "--preview", is_flag=True, help="Show small pictures, in terminals that can do so."
        ),
        click.option(
            "--color",
            type=click.Choice(CHOICES),
            default="auto",
            show_default=True,
            help="Colours in tables, and links to the pictures. NO_COLOR turns auto off.",
        ),
        unique_option,
    ):
        function = option(function)
    return function


def query_options(function: F) -> F:
    """All options of a command that finds pictures; the function gets `options`, `filters` and
    `output`, and those of the model and the library by name."""
    for option in (
        gathered,
        common,
        index_option,
        model_options,
        cut_off_options,
        output_options,
        result_options,
    ):
        function = option(function)
    return function


def _gathered(function: F) -> F:
    """The function, called with one `Output` in place of the single options."""

    @functools.wraps(function)
    def gather(**values: Any) -> Any:
        output = Output(**{each.name: values.pop(each.name) for each in fields(Output)})
        if output.preview and values["form"] != "table":
            raise click.UsageError("--preview shows a table, and goes with no other --format.")
        return function(output=output, **values)

    return gather  # type: ignore[return-value]
