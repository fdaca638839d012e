"""imgsearch models"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli import completion, model_switch, model_trial
from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import count_of, plain, size_of

if TYPE_CHECKING:
    from imgsearch.cli.group import Context
    from imgsearch.encoders.download import Download
    from imgsearch.model_card import ModelCard

FIELDS = (
    "name",
    "summary",
    "languages",
    "limits",
    "licence",
    "hub",
    "text_hub",
    "parameters",
    "dimension",
    "query_instruction",
    "document_instruction",
    "visual_tokens",
    "bf16_bytes",
    "speed",
    "needs",
)


@click.group(
    "models",
    invoke_without_command=True,
    short_help="List the models and their abilities; download one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@common
@click.pass_context
def command(
    ctx: click.Context, as_json: bool, library: str | None, quiet: bool, verbose: bool
) -> None:
    """List the models that --model accepts by name, and what each can and cannot find.

    --model also accepts the path of a folder, or the OWNER/NAME of a downloaded model on the
    Hugging Face hub. Code that comes with a model is never run.

    \b
    imgsearch models
    imgsearch models recommend
    imgsearch models download siglip2-base
    """
    options = context(library, quiet, verbose)
    if ctx.invoked_subcommand:
        return
    models = options.library().models.listed()
    if as_json:
        click.echo(json.dumps([_entry(card, obstacle) for card, obstacle in models], indent=2))
        return
    for card, obstacle in models:
        click.echo(plain(card.name))
        for line in _lines(card, obstacle):
            click.echo(click.wrap_text(plain(line), 96, "  ", "  "))


def _language_codes(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> list[str] | None:
    from imgsearch.encoders.recommendation import primary_language

    codes = None if value is None else [primary_language(each) for each in value.split(",")]
    if codes is not None and not all(codes):
        raise click.BadParameter(f"{value!r} is not a list of codes such as en,de,pt-BR.")
    return codes


@command.command("download", short_help="Download and verify a model; resumes.")
@click.argument("name", shell_complete=completion.models)
@click.option("--revision", metavar="REV", help="Branch, tag or commit. Default: the main branch.")
@common
def download(
    name: str, revision: str | None, library: str | None, quiet: bool, verbose: bool
) -> None:
    """Download the model NAME, or OWNER/NAME of the Hugging Face hub, and verify it.

    It uses the network even if HF_HUB_OFFLINE is set; HF_ENDPOINT selects a mirror. It downloads
    safetensors weights and the configuration, but no code, and skips files that are already on this
    machine. Each file is compared with the hub's checksum. The downloaded revision stays in use
    until you download again.

    \b
    imgsearch models download gme-qwen2-vl-2b
    imgsearch models download someone/some-clip --revision 0123abc
    """
    ctx = context(library, quiet, verbose)
    for item in ctx.library().models.download(name, revision, progress=not ctx.quiet):
        _print(ctx, item)


@command.command("recommend", short_help="Name the model that suits this machine, and why.")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--languages",
    metavar="CODE,...",
    callback=_language_codes,
    help="Languages that you search in, such as en,de. Default: English and your system's.",
)
@click.option(
    "--pictures",
    type=click.IntRange(0),
    help="Size of the library. Default: the pictures that it has now.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@common
def recommend(
    device: str | None,
    languages: list[str] | None,
    pictures: int | None,
    form: str,
    library: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Name the model that suits this machine, your languages and the size of your library.

    One line, with the reason. Nothing is downloaded or changed. A new library does not use the
    model unless you name it: by default it uses gme-qwen2-vl-2b if its weights are on this machine
    and a GPU can hold it, else the built-in model.

    \b
    imgsearch models recommend
    imgsearch models recommend --languages en,de --pictures 50000 --format json
    """
    ctx = context(library, quiet, verbose)
    with ctx.library(device=device) as lib:
        found = lib.recommended_model(languages, pictures)
        here = lib.models.is_here(found.model)
        in_use = bool(lib.roots()) and lib.model == found.model
    if form == "json":
        names = {"pictures": found.images, "here": here}
        entry = asdict(found)
        del entry["images"]
        click.echo(json.dumps(entry | names))
        return
    click.echo(f"{found.model} {plain(found.reason)}.")
    if in_use:
        ctx.say("This library uses it.")
    else:
        step = "try" if here else "download"
        ctx.say(f"To {step} it: imgsearch models {step} {found.model}")


@command.command("forget", short_help="Delete the vectors of a model that is no longer in use.")
@click.argument("name")
@common
def forget(name: str, library: str | None, quiet: bool, verbose: bool) -> None:
    """Delete the vectors of the model NAME from the library, after a switch to another one.

    The index of the model shrinks at once. The catalog keeps its size, and later runs use the free
    space in it. The downloaded model stays on this machine.

    \b
    imgsearch models forget builtin
    imgsearch models forget siglip2-base --library ~/other-library
    """
    ctx = context(library, quiet, verbose)
    with ctx.library() as lib:
        count = lib.forget_model(name)
    ctx.say(f"Deleted {count_of(count, 'vector')} of {plain(name)}.")


command.add_command(model_trial.command)
command.add_command(model_switch.command)


def _print(ctx: Context, item: Download) -> None:
    if item.unchecked:
        names = ", ".join(item.unchecked)
        ctx.say(f"The hub has no checksums for {names}: only the sizes were compared.")
    if not ctx.quiet:
        click.echo(
            f"Downloaded {plain(item.name)}: revision {item.commit} of {item.hub},"
            f" {count_of(item.files, 'file')}, {size_of(item.size)}, checked."
        )
        click.echo(plain(item.path))


def _entry(card: ModelCard, obstacle: str) -> dict[str, Any]:
    entry = {name: getattr(card, name) for name in FIELDS}
    return entry | {"dimensions": _dimensions(card), "here": not obstacle}


def _lines(card: ModelCard, obstacle: str) -> list[str]:
    fields = (
        ("", card.summary),
        ("Languages: ", card.languages),
        ("Limits: ", card.limits),
        ("Licence: ", card.licence),
        ("Size: ", _size(card)),
        ("Shorter vectors: ", _dimensions(card)),
        ("Visual tokens of a picture: ", _visual_tokens(card)),
        ("Speed: ", card.speed),
        ("Instruction for queries: ", card.query_instruction),
        ("Instruction for pictures: ", card.document_instruction),
        ("Weights: ", _presence(card, obstacle)),
    )
    return [label + text for label, text in fields if text]


def _size(card: ModelCard) -> str:
    """ "2.21 billion parameters, vectors of 1536 numbers, 4.4 GB in bf16 (2 bytes each)"."""
    parts = []
    if card.parameters:
        parts.append(f"{_count(card.parameters)} parameters")
    if card.dimension:
        parts.append(f"vectors of {card.dimension} numbers")
    if card.parameters:
        parts.append(f"weights {size_of(card.bf16_bytes)} in bf16 (2 bytes each)")
    return ", ".join(parts)


def _dimensions(card: ModelCard) -> str:
    """ "64 to 2048 numbers", or "" if there is only one length."""
    from imgsearch.encoders.capabilities import describe_dimensions

    if not card.dimensions:
        return ""
    return f"{describe_dimensions(card.dimensions)} numbers"


def _visual_tokens(card: ModelCard) -> str:
    """ "up to 1280, or ...", or "" if the model has no such number."""
    if not card.visual_tokens:
        return ""
    return f"up to {card.visual_tokens}, or index --visual-tokens N; the work grows with them"


def _presence(card: ModelCard, obstacle: str) -> str:
    if not obstacle:
        return "on this machine"
    if card.hub and obstacle.endswith("not on this machine"):
        return f"not on this machine; to download: imgsearch models download {card.name}"
    return f"not usable: {obstacle}"


def _count(number: int) -> str:
    return f"{number / 1e9:.2f} billion" if number >= 1e9 else f"{number / 1e6:.0f} million"
