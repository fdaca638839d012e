"""imgsearch doctor"""

from __future__ import annotations

import json

import click

from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import plain


@click.command("doctor", short_help="Check the installation and the library.")
@click.option(
    "--deep",
    is_flag=True,
    help="Also read 200 pictures, drawn at random, and compare them with the library.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@common
def command(deep: bool, as_json: bool, library: str | None, quiet: bool, verbose: bool) -> int:
    """Check the installation and the library, and suggest fixes.

    The exit status is 1 if anything needs fixing.

    \b
    imgsearch doctor
    imgsearch doctor --deep
    imgsearch --library /data/imgsearch doctor --json
    """
    from imgsearch.doctor import check_to_plain, examine

    lib = context(library, quiet, verbose).library()
    try:
        checks = examine(lib, deep)
    finally:
        lib.close()
    if as_json:
        click.echo(json.dumps([check_to_plain(check) for check in checks], indent=2))
    else:
        for check in checks:
            click.echo(f"{check.verdict:<5} {check.name:<12} {plain(check.finding)}")
            if check.fix:
                click.echo(f"{'':<18} -> {plain(check.fix)}")
    return int(any(check.verdict == "wrong" for check in checks))
