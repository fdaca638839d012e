"""Questions to a process that has the library open already, and none lost if it has not.

Whatever goes wrong on the way (no daemon, another version or other settings, a broken connection,
an answer that does not come) ends with this process opening the library itself: the same answer,
later. Only errors that are about the question come back as such.
"""

from __future__ import annotations

import logging
import os
import socket
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from imgsearch import errors
from imgsearch.daemon import address, wire
from imgsearch.errors import ImgSearchError
from imgsearch.filters.tree import Filter
from imgsearch.finding import Finder, LocalFinder
from imgsearch.model_card import ModelCard
from imgsearch.records import Hit, Query, Term
from imgsearch.searching.trace import Explanation
from imgsearch.settings import Settings

if TYPE_CHECKING:
    from imgsearch.library import Library

CONNECT_SECONDS = 1.0
GREETING_SECONDS = 3.0
ANSWER_SECONDS = 60.0
"""So long an answer is waited for, the model's loading included."""
_SPECIAL = ("/dev/", "/proc/")
"""Paths that mean something else to another process."""

Say = Callable[[str], None]
T = TypeVar("T")


class Unanswered(Exception):
    """The question has to be answered here."""


class Daemon:
    """A connection to a process that listens for questions about a library."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def ask(self, what: str, seconds: float = ANSWER_SECONDS, **values: Any) -> dict[str, Any]:
        """The answer to a question.

        Raises
        ------
        Unanswered
            There is none.
        ImgSearchError
            What the library says of the question.
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
        """Hang up."""
        self._connection.close()


def _error(kind: str, message: str, hint: str) -> ImgSearchError:
    """The error that the other process met; one of a kind that has to be made in another way is
    told in the same words."""
    found = getattr(errors, kind, ImgSearchError)
    with suppress(TypeError):
        error = found(message, hint)
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
        connection.settimeout(CONNECT_SECONDS)
        connection.connect(path)
        if address.is_own(connection):
            return Daemon(connection)
    except OSError:  # a socket that a killed process left, among others
        pass
    connection.close()
    return None


def find_with(
    settings: Settings, open_library: Callable[[], Library], say: Say, tell: Say
) -> Finder:
    """Who answers the questions of a call: a daemon that would answer as this process does, or
    this process.

    Parameters
    ----------
    say, tell : callable
        Get notes for the user: those of the library, and who answers.
    """
    if settings.daemon == "off":
        return LocalFinder(open_library())
    daemon = connect(settings.library)
    if daemon is None:
        return LocalFinder(open_library())
    try:
        greeted = daemon.ask("hello", GREETING_SECONDS, **address.greeting(settings))
    except (Unanswered, ImgSearchError) as error:
        tell(f"The daemon is not asked: {error}.")
        daemon.close()
        return LocalFinder(open_library())
    if greeted.get("differs"):
        tell(f"The daemon is not asked, it has another {' and '.join(greeted['differs'])}.")
        daemon.close()
        return LocalFinder(open_library())
    tell(f"Process {greeted.get('pid')} answers, which has the library open.")
    return RemoteFinder(daemon, settings.instruction, open_library, say, tell)


class RemoteFinder:
    """A `Finder` that asks a daemon, and from the first question that it does not answer on, a
    library in this process."""

    def __init__(
        self,
        daemon: Daemon,
        instruction: str,
        open_library: Callable[[], Library],
        say: Say,
        tell: Say,
    ) -> None:
        self.instruction = instruction
        self._daemon: Daemon | None = daemon
        self._open, self._say, self._tell = open_library, say, tell
        self._local: LocalFinder | None = None

    @property
    def library(self) -> Library:
        return self._here().library

    def picture(self, path: str, weight: float = 1.0) -> Term:
        place = os.path.join(os.getcwd(), path)
        if not os.path.realpath(place).startswith(_SPECIAL):
            # A file that cannot be used is told of here: as the user has named it.
            with suppress(Unanswered, ImgSearchError):
                return self._term("picture", weight, path=place)
        return self._here().picture(path, weight)

    def given(self, data: bytes, name: str, weight: float = 1.0) -> Term:
        if len(data) < wire.MOST_BYTES // 2:
            with suppress(Unanswered, ImgSearchError):
                return self._term("given", weight, data=b64encode(data).decode(), name=name)
        return self._here().given(data, name, weight)

    def result(self, rank: int, weight: float = 1.0) -> Term:
        try:
            return self._term("result", weight, rank=rank)
        except Unanswered:
            return self._here().result(rank, weight)

    def result_path(self, rank: int) -> str:
        return self._here().result_path(rank)  # only who reads the file here asks for it

    def last_terms(self) -> list[Term]:
        def read(answer: dict[str, Any]) -> list[Term]:
            return [wire.term_from_plain(each) for each in answer["terms"]]

        try:
            return self._ask("last_terms", read)
        except Unanswered:
            return self._here().last_terms()

    def find(self, query: Query, unique: bool, told: Explanation) -> tuple[list[Hit], str]:
        def read(answer: dict[str, Any]) -> tuple[list[Hit], str]:
            found = [wire.hit_from_plain(each) for each in answer["hits"]], str(answer["lost"])
            _tell(told, answer["told"])
            return found

        if all(term.image is None for term in query.terms):
            with suppress(Unanswered):
                return self._ask("find", read, query=wire.query_to_plain(query), unique=unique)
        return self._here().find(wire.unpacked_query(query), unique, told)

    def passing(self, where: Filter) -> int:
        try:
            plain = wire.filter_to_plain(where)
            return self._ask("passing", lambda answer: int(answer["count"]), where=plain)
        except Unanswered:
            return self._here().passing(where)

    def card(self) -> ModelCard:
        try:
            return self._ask("card", lambda answer: wire.card_from_plain(answer["card"]))
        except Unanswered:
            return self._here().card()

    def close(self) -> None:
        if self._daemon is not None:
            self._daemon.close()
        if self._local is not None:
            self._local.close()

    def _term(self, what: str, weight: float, **values: Any) -> Term:
        return self._ask(
            what, lambda answer: wire.term_from_plain(answer["term"]), weight=weight, **values
        )

    def _ask(self, what: str, read: Callable[[dict[str, Any]], T], **values: Any) -> T:
        """What `read` makes of the answer; `Unanswered` from the first failure on."""
        if self._daemon is None:
            raise Unanswered
        try:
            verbose = logging.getLogger("imgsearch").isEnabledFor(logging.INFO)
            answer = self._daemon.ask(what, **values, verbose=verbose)
            found, notes = read(answer), [str(note) for note in answer["notes"]]
            logged = [(str(name), str(message)) for name, message in answer["logged"]]
        except (Unanswered, LookupError, TypeError, ValueError, AttributeError) as error:
            self._tell(f"The daemon has not answered: {error}.")
            self._daemon.close()
            self._daemon = None
            raise Unanswered from error
        for name, message in logged:
            logging.getLogger(name).info("%s", message)
        for note in notes:
            self._say(note)
        return found

    def _here(self) -> LocalFinder:
        if self._local is None:
            self._local = LocalFinder(self._open())
        return self._local


def _tell(told: Explanation, found: Any) -> None:
    """Add what the other process did to what this one did."""
    told.passed, told.total, told.method = found["passed"], found["total"], found["method"]
    told.seconds.update(found["seconds"])
