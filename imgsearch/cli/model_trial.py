"""imgsearch models try"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli import completion, contact_sheet
from imgsearch.cli.group import Context, common, context
from imgsearch.cli.terminal import count_of, plain, size_of

if TYPE_CHECKING:
    from imgsearch.evaluation.trial import Trial
    from imgsearch.library import Library
    from imgsearch.searching.hits import Hit

SIDE_PIXELS = 200
"""Longer side of a picture on the page."""
TEMPLATE = f"""\
{contact_sheet.HEAD}<h1>{{{{ title }}}}</h1>
<table>
<tr>{{% for heading in headings %}}<th>{{{{ heading }}}}</th>{{% endfor %}}</tr>
{{% for row in rows %}}
<tr>{{% for cell in row %}}<td>{{{{ cell }}}}</td>{{% endfor %}}</tr>
{{% endfor %}}
</table>
{{% for query, sides in searches %}}
<h1>{{{{ query }}}}</h1>
<div class="sides">
{{% for model, entries in sides %}}
<section>
<p class="faint">{{{{ model }}}}</p>
{contact_sheet.ENTRIES}</section>
{{% endfor %}}
</div>
{{% endfor %}}
</body>
</html>
"""
HEADINGS = ("model", "per picture", "whole library", "vectors on disk")


@click.command("try", short_help="Try a model on some of your pictures, beside the one in use.")
@click.argument("name", shell_complete=completion.models)
@click.argument("queries", nargs=-1, metavar="[QUERY]...")
@click.option(
    "--html",
    "target",
    type=click.Path(),
    metavar="FILE",
    help="Write the pictures side by side to a page.",
)
@click.option(
    "--pictures",
    type=click.IntRange(2, 5000),
    default=200,
    show_default=True,
    help="Pictures to try it on.",
)
@click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
@common
def command(
    name: str,
    queries: tuple[str, ...],
    target: str | None,
    pictures: int,
    device: str | None,
    library: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Try the model NAME on a sample of your pictures, beside the model in use.

    Both models encode the sample, which is drawn evenly from the folders and years of the library,
    and search it for each QUERY; by default for the words of your last search and of your saved
    ones, and for some general ones. It prints the measured time per picture, an estimate for the
    whole library, and the best pictures of both. Nothing in the library changes.

    \b
    imgsearch models try siglip2-base --html try.html
    imgsearch models try siglip2-base 'a dog on a beach' 'birthday cake' --pictures 500
    """
    from imgsearch.evaluation.trial import try_model

    ctx = context(library, quiet, verbose)
    if target is not None:
        contact_sheet.require_writable(target)
    with ctx.library(device=device) as lib:
        trial = try_model(lib, name, queries, pictures, note=ctx.say)
        count = lib.catalog.count()
        click.echo(_text(trial, count))
        if target is not None:
            _write_page(lib, trial, target, count)
            ctx.say(f"Wrote {target}.")
    _say_next(ctx, name)


def _say_next(ctx: Context, name: str) -> None:
    ctx.say(f"To use it for the whole library: imgsearch models switch {plain(name)}")


def _rows(trial: Trial) -> list[tuple[str, ...]]:
    return [
        (
            plain(side.model),
            f"{1000 * side.seconds_per_image:.0f} ms",
            f"about {_duration(side.library_seconds)}",
            f"about {size_of(side.library_bytes)}",
        )
        for side in trial.sides
    ]


def _title(trial: Trial, images: int) -> str:
    return f"{count_of(trial.images, 'picture')} of {images} in the library"


def _text(trial: Trial, images: int) -> str:
    """A table of times and sizes, and the names that both find for each query."""
    table = [HEADINGS, *_rows(trial)]
    parts = [_title(trial, images), _columns(table)]
    for query, *found in zip(trial.queries, *(side.hits for side in trial.sides), strict=True):
        names = [
            (side.model, *map(_name, hits)) for side, hits in zip(trial.sides, found, strict=True)
        ]
        parts.append(f"{plain(query)!r}\n{_columns(list(zip_longest(*names, fillvalue='')))}")
    return "\n\n".join(parts)


def _name(hit: Hit) -> str:
    return plain(hit.image.file.path)


def _columns(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(f"  {line}" for line in lines)


def _write_page(lib: Library, trial: Trial, target: str, images: int) -> None:
    from imgsearch.writing import replace_file

    shown = {hit.image.id: hit for side in trial.sides for hits in side.hits for hit in hits}
    thumbnails = lib.thumbnails(list(shown.values()), SIDE_PIXELS)

    def entries(hits: list[Hit]) -> list[dict[str, Any]]:
        return [contact_sheet.entry(hit, thumbnails[hit.image.id]) for hit in hits]

    def sides(number: int) -> list[tuple[str, list[dict[str, Any]]]]:
        return [(plain(side.model), entries(side.hits[number])) for side in trial.sides]

    searches = [(plain(query), sides(number)) for number, query in enumerate(trial.queries)]
    page = contact_sheet.rendered(
        TEMPLATE,
        title=_title(trial, images),
        headings=HEADINGS,
        rows=_rows(trial),
        searches=searches,
    )
    replace_file(target, page)


def _duration(seconds: float) -> str:
    """ "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
