"""A resident library answers questions of other processes of its owner: the other end of `client`.

A thread takes connections, and each of them has a thread that reads its questions and writes the
answers, so that a slow one delays nobody. The questions themselves are worked on by the one thread
that owns the library (`resident`), in their turn.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, MutableSequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from filelock import FileLock, Timeout

from imgsearch import __version__
from imgsearch.daemon import address, answering, client, wire
from imgsearch.encoders.registry import canonical
from imgsearch.errors import CatalogError, ImgSearchError, LibraryBusy
from imgsearch.library import Library
from imgsearch.serving.resident import Closed, Overloaded, Resident
from imgsearch.settings import Settings

MOST_CONNECTIONS = 64
QUEUE = 32
"""Connections that wait to be taken; the system refuses more."""
GREETING_SECONDS = 5.0
QUESTION_SECONDS = 60.0
"""So long a connection may be silent, or take to send a question or to take an answer."""
CLOSING_SECONDS = 10.0

Answer = dict[str, Any]


class Listener:
    """The socket of a library that is open in this process.

    Parameters
    ----------
    resident : Resident
        Stays its maker's: closing the listener leaves it open.
    settings : Settings
        Those that the resident library was opened with.
    notes : sequence of str
        What that library has to say while it answers is put in here by whoever opened it.
    stop : callable or None
        Called when somebody asks this process to end; None where it is not to be ended like that.

    Raises
    ------
    NoSockets
        This system has none.
    LibraryBusy
        Another process listens for this library.
    CatalogError
        The place for the socket cannot be made, or is not closed to others.
    """

    def __init__(
        self,
        resident: Resident,
        settings: Settings,
        notes: MutableSequence[str] | None = None,
        stop: Callable[[], None] | None = None,
    ) -> None:
        if not address.have_sockets():
            raise address.NoSockets
        self._resident, self._stop = resident, stop
        self._notes: MutableSequence[str] = [] if notes is None else notes
        self._greeting = address.greeting(settings)
        self._since, self._used, self._answered = time.time(), time.monotonic(), 0
        self._room = threading.Semaphore(MOST_CONNECTIONS)
        self._busy: set[threading.Thread] = set()
        self._closing = threading.Event()
        self.path = address.socket_path(settings.library)
        _make_private(self.path)
        self._lock = _locked(self.path, settings.library)
        try:
            self._socket = _bound(self.path)
        except BaseException:
            self._lock.release()
            raise
        threading.Thread(target=self._accept, daemon=True, name="imgsearch-listener").start()

    @property
    def idle_seconds(self) -> float:
        """How long nobody has asked anything."""
        return time.monotonic() - self._used

    def close(self) -> None:
        """Take no more questions, answer those that were asked, and leave no socket behind."""
        self._closing.set()
        with suppress(OSError):
            os.unlink(self.path)
        with suppress(OSError):  # wakes the thread that waits for connections
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        until = time.monotonic() + CLOSING_SECONDS
        for thread in list(self._busy):
            thread.join(max(0.0, until - time.monotonic()))
        self._lock.release()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if self._closing.is_set():
                    return
                time.sleep(0.1)  # too many open files: some will be closed
                continue
            if not self._room.acquire(blocking=False):
                connection.close()  # who asked does the work itself
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                if address.is_own(connection):
                    self._converse(connection)
        except (OSError, EOFError, wire.BadFrame):
            pass  # it has gone, or makes no sense
        finally:
            self._room.release()

    def _converse(self, connection: socket.socket) -> None:
        seconds = GREETING_SECONDS
        while not self._closing.is_set():
            question = wire.receive(connection, seconds)
            self._busy.add(threading.current_thread())
            try:
                seconds = QUESTION_SECONDS
                self._reply(connection, self._answer(question))
                self._answered += 1
            finally:
                self._busy.discard(threading.current_thread())

    def _reply(self, connection: socket.socket, answer: Answer) -> None:
        connection.settimeout(QUESTION_SECONDS)
        try:
            wire.send(connection, answer)
        except wire.BadFrame as error:  # too long; nothing of it was sent
            wire.send(connection, {"failed": str(error)})

    def _answer(self, question: Any) -> Answer:
        try:
            return self._answered_by(str(question["ask"]), question)
        except (Overloaded, Closed) as error:
            return {"failed": str(error)}
        except ImgSearchError as error:
            return {"error": [type(error).__name__, str(error), error.hint]}
        except Exception as error:  # whatever it is, the asking process finds out by itself
            return {"failed": f"{type(error).__name__}: {error}"}

    def _answered_by(self, what: str, question: Any) -> Answer:
        if what == "hello":
            return self._hello(question)
        if what == "status":
            return self._status()
        if what == "stop":
            return self._asked_to_stop()
        self._used = time.monotonic()
        work = answering.work_for(what)
        found = _result(self._resident.submit(lambda lib: work(lib, question, self._notes)))
        self._used = time.monotonic()
        answer: Answer = found
        return answer

    def _hello(self, question: Any) -> Answer:
        differs = address.difference(self._greeting, question)
        if differs == ["model"]:
            asked = question["settings"]["model"]
            same = _result(self._resident.submit(lambda library: _is_its_model(library, asked)))
            differs = [] if same else differs
        return {"pid": os.getpid(), "differs": differs}

    def _status(self) -> Answer:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "since": self._since,
            "answered": self._answered,
            "idle": self.idle_seconds,
            "can_stop": self._stop is not None,
        }

    def _asked_to_stop(self) -> Answer:
        if self._stop is None:
            raise ImgSearchError(
                f"process {os.getpid()} has the library open, and is not to be stopped like that",
                "It may be 'imgsearch serve': stop it where it was started.",
            )
        self._stop()
        return {"pid": os.getpid()}


def listen(
    resident: Resident,
    settings: Settings,
    notes: MutableSequence[str] | None = None,
    stop: Callable[[], None] | None = None,
) -> Listener:
    """Let other processes of this user ask a resident library; close what is returned.

    For parameters and errors see `Listener`.
    """
    return Listener(resident, settings, notes, stop)


def running(library: str) -> Answer | None:
    """What the process says of itself that listens for a library; None if there is none."""
    daemon = client.connect(library)
    if daemon is None:
        return None
    try:
        return daemon.ask("status", client.GREETING_SECONDS)
    except (client.Unanswered, ImgSearchError):
        return None
    finally:
        daemon.close()


def stop(library: str, seconds: float = 2 * CLOSING_SECONDS) -> int | None:
    """End the daemon of a library, and wait for its end; its process, None if there is none.

    Raises
    ------
    ImgSearchError
        It goes on.
    """
    daemon = client.connect(library)
    if daemon is None:
        return None
    try:
        pid = int(daemon.ask("stop", client.GREETING_SECONDS)["pid"])
    except client.Unanswered as error:
        raise ImgSearchError(f"the daemon does not answer: {error}", "Try again.") from error
    finally:
        daemon.close()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        lock = FileLock(_lock_file(address.socket_path(library)))
        with suppress(Timeout), lock.acquire(timeout=0):
            return pid
        time.sleep(0.05)
    raise ImgSearchError(f"process {pid} goes on", "It may be busy: look again in a moment.")


def _result(future: Future[Any]) -> Any:
    try:
        return future.result(client.ANSWER_SECONDS)
    finally:
        future.cancel()  # nobody waits for it any more


def _is_its_model(library: Library, asked: str) -> bool:
    """True if a process that was asked for that model, or for none, would use the library's."""
    if asked:
        return canonical(asked) == library.model
    default = library.catalog.default_space()
    return default is not None and default.model == library.model


# The place


def _make_private(path: str) -> None:
    folder = os.path.dirname(path)
    try:
        with suppress(FileExistsError):
            os.mkdir(folder, mode=0o700)
    except OSError as error:
        raise CatalogError(
            f"the folder {folder} for the daemon's socket cannot be made: {error.strerror}",
            "Check the permissions of the library folder.",
        ) from error
    if not address.is_private(path):
        raise CatalogError(
            f"the folder {folder} is not yours alone, and a daemon in it could be asked by others",
            "Remove it, or close it to others: chmod 700.",
        )


def _lock_file(path: str) -> str:
    return f"{path}.lock"


def _locked(path: str, library: str) -> FileLock:
    """The lock of the one who listens; the system frees it when the process ends, however."""
    # Whoever closes the listener may be another thread than the one that made it.
    lock = FileLock(_lock_file(path), mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        other = running(library)
        who = f"process {other['pid']}" if other else "another process"
        raise LibraryBusy(
            f"{who} has this library open for others already",
            "Stop it first, if it is a daemon: imgsearch daemon --stop",
        ) from None
    return lock


def _bound(path: str) -> socket.socket:
    with suppress(FileNotFoundError):  # what a killed process left; the lock is ours
        os.unlink(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        os.chmod(path, 0o600)  # the folder kept everybody else out meanwhile
        listening.listen(QUEUE)
    except BaseException:
        listening.close()
        raise
    return listening
