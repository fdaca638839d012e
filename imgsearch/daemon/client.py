"""Sends searches to a process that has the library open already, if there is one.

After any failure on the way (no daemon, another version or other settings, a broken connection, no
answer), this process opens the library: the same answer, later. Only errors about the request are
raised.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from imgsearch import errors
from imgsearch.daemon import address, wire
from imgsearch.errors import ImgSearchError
from imgsearch.searching.hits import SearchResult
from imgsearch.searching.request import SearchRequest, Term, request_to_plain
from imgsearch.settings import Settings

CONNECT_TIMEOUT_SECONDS = 1.0
GREETING_TIMEOUT_SECONDS = 3.0
ANSWER_TIMEOUT_SECONDS = 60.0
"""Includes loading the model."""
_PRIVATE_PATHS = ("/dev/", "/proc/")
"""Paths with another meaning in another process."""

Note = Callable[[str], None]


class Unanswered(Exception):
    """No daemon has answered, so this process has to."""


class Daemon:
    """A connection to a process that answers requests for a library."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def ask(
        self, what: str, seconds: float = ANSWER_TIMEOUT_SECONDS, **values: Any
    ) -> dict[str, Any]:
        """The answer to a message.

        Raises
        ------
        Unanswered
            There is none.
        ImgSearchError
            The error that the library raised.
        """
        try:
            self._connection.settimeout(seconds)
            wire.send(self._connection, {"ask": what, **values})
            answer: Any = wire.receive(self._connection, seconds)
        except (OSError, EOFError, wire.BadFrame) as error:
            raise Unanswered(str(error) or "it has gone") from error
        if not isinstance(answer, dict) or "failed" in answer:
            raise Unanswered(str(answer))
        if "error" in answer:
            raise _error(*answer["error"])
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _error(kind: str, message: str, hint: str) -> ImgSearchError:
    """The error of the other process; of the base class if its own takes other arguments."""
    error_class = getattr(errors, kind, ImgSearchError)
    with suppress(TypeError):
        error = error_class(message, hint)
        if isinstance(error, ImgSearchError):
            return error
    return ImgSearchError(message, hint)


def connect(library: str) -> Daemon | None:
    """A connection to the process that listens for this library; None if there is none."""
    if not address.have_sockets():
        return None
    path = address.socket_path(library)
    if not os.path.exists(path) or not address.is_private(path):
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(CONNECT_TIMEOUT_SECONDS)
        connection.connect(path)
        if address.is_own(connection):
            return Daemon(connection)
    except OSError:  # a socket that a killed process left, among others
        pass
    connection.close()
    return None


def search(
    settings: Settings, request: SearchRequest, note: Note, detail: Note
) -> SearchResult | None:
    """The answer of a daemon with the same version and settings; None if there is none.

    Parameters
    ----------
    note, detail : callable
        Get notes of the library, and notes about who answers.

    Raises
    ------
    ImgSearchError
        The error that the library raised for the request.
    """
    if settings.daemon == "off" or not all(map(_can_travel, request.terms)):
        return None
    daemon = connect(settings.library)
    if daemon is None:
        return None
    with closing(daemon):
        if not _greeted(daemon, settings, detail):
            return None
        try:
            return _answer(daemon, settings, request, note)
        except (Unanswered, LookupError, TypeError, ValueError, AttributeError) as error:
            detail(f"The daemon has not answered: {error}.")
            return None


def _can_travel(term: Term) -> bool:
    """False for pixels, and for a path that only this process can read."""
    try:
        path = "" if term.path is None else os.path.realpath(term.path)
    except ValueError:  # a NUL in the path
        return False
    return term.image is None and not path.startswith(_PRIVATE_PATHS)


def _greeted(daemon: Daemon, settings: Settings, detail: Note) -> bool:
    try:
        answer = daemon.ask("hello", GREETING_TIMEOUT_SECONDS, **address.greeting(settings))
    except (Unanswered, ImgSearchError) as error:
        detail(f"The daemon is not used: {error}.")
        return False
    if answer.get("differs"):
        detail(f"The daemon is not used, it has another {' and '.join(answer['differs'])}.")
        return False
    detail(f"Process {answer.get('pid')} answers, which has the library open.")
    return True


def _answer(daemon: Daemon, settings: Settings, request: SearchRequest, note: Note) -> SearchResult:
    if request.instruction is None:
        request = replace(request, instruction=settings.instruction)
    verbose = logging.getLogger("imgsearch").isEnabledFor(logging.INFO)
    plain = request_to_plain(request)
    answer = daemon.ask("search", request=plain, verbose=verbose)
    result = wire.result_from_plain(answer["result"])
    notes = [str(each) for each in answer["notes"]]
    for name, message in answer["logged"]:
        logging.getLogger(str(name)).info("%s", message)
    for each in notes:
        note(each)
    return result
