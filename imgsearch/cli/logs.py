"""The log on stderr."""

from __future__ import annotations

import logging

from imgsearch.cli.terminal import plain


class PlainFormatter(logging.Formatter):
    """Formats records without characters that a terminal would interpret.

    They quote queries, names of files and paths of requests, which come from others.
    """

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record), keep="\n\t")


def set_up_logging(verbose: bool) -> None:
    """Log errors, and with -v also the messages of imgsearch."""
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter(logging.BASIC_FORMAT))
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    logging.getLogger("imgsearch").setLevel(logging.INFO if verbose else logging.ERROR)
