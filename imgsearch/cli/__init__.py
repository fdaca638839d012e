"""The command line. Only this package prints and exits."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script.

    Decoder processes import this file as well, so it imports lazily.
    """
    from imgsearch.cli.boundary import run

    run()
