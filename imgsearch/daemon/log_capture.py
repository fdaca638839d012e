"""The log of one request, for the process that sent it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def captured_log(enabled: bool) -> Iterator[list[tuple[str, str]]]:
    """Pairs of logger and message, for a process that runs with -v while this one does not.

    Only the thread that owns the library may use it, so that no two captures overlap.
    """
    lines: list[tuple[str, str]] = []
    if not enabled:
        yield lines
        return
    logger, handler = logging.getLogger("imgsearch"), logging.Handler()
    handler.emit = lambda record: lines.append((record.name, record.getMessage()))  # type: ignore[method-assign]
    level, logger.propagate = logger.level, logger.isEnabledFor(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = True
