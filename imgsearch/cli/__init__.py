"""The command line. Only this room prints and exits."""

from __future__ import annotations


def main() -> None:
    """The console script. Decoder processes import this file too, so it imports nothing."""
    from imgsearch.cli.boundary import run

    run()
