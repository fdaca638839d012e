"""imgsearch models"""

from __future__ import annotations

import json

import click

from imgsearch.cli.group import common, context


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@common
def command(as_json: bool, library: str | None, quiet: bool, verbose: bool) -> None:
    """List the models that --model takes, and what each can and cannot find.

    \b
    imgsearch models
    imgsearch index --model ./my-clip-folder ~/Pictures
    """
    from imgsearch.app import model_cards

    context(library, quiet, verbose)
    cards = model_cards()
    if as_json:
        fields = ("name", "summary", "languages", "limits", "licence")
        entries = [{name: getattr(card, name) for name in fields} for card in cards]
        click.echo(json.dumps(entries, indent=2))
        return
    for card in cards:
        click.echo(card.name)
        for label, text in (
            ("", card.summary),
            ("Languages: ", card.languages),
            ("Limits: ", card.limits),
            ("Licence: ", card.licence),
        ):
            if text:
                click.echo(click.wrap_text(f"{label}{text}", 96, "  ", "  "))
