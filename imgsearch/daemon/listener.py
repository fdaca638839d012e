"""The server of the daemon: a resident library answers requests of its owner's other processes.

One thread accepts connections, and each connection has a thread that reads its messages and writes
the answers, so that a slow one delays nobody. The searches themselves run one after another in the
thread that owns the library (`serving.resident`).
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, MutableSequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any

from filelock import FileLock, Timeout

from imgsearch import __version__
from imgsearch.daemon import address, client, wire
from imgsearch.daemon.log_capture import captured_log
from imgsearch.encoders.registry import canonical
from imgsearch.errors import CatalogError, ImgSearchError, LibraryBusy
from imgsearch.library import Library
from imgsearch.searching.request import SearchRequest, request_from_plain
from imgsearch.serving.resident import Closed, Overloaded, Resident
from imgsearch.settings import Settings

MAX_CONNECTIONS = 64
MAX_WAITING_CONNECTIONS = 32
"""Connections that wait to be accepted; the system refuses more."""
GREETING_TIMEOUT_SECONDS = 5.0
MESSAGE_TIMEOUT_SECONDS = 60.0
"""Limit for a silent connection, for sending a message and for taking an answer."""
CLOSE_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.2
"""Interval between checks whether the client is still waiting."""

Answer = dict[str, Any]


class _ClientLeft(Exception):
    """The client closed its connection before the answer was there."""


class Listener:
    """The socket of a library that is open in this process.

    Parameters
    ----------
    resident : Resident
        Closing the listener leaves it open.
    settings : Settings
        The settings of the resident library.
    notes : sequence of str
        The notes of that library are appended here.
    stop : callable or None
        Called when a client asks this process to end; None if clients may not.

    Raises
    ------
    NoSockets
        This system has no Unix-domain sockets.
    LibraryBusy
        Another process listens for this library.
    CatalogError
        The folder for the socket cannot be made, or others can open it.
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
        self._room = threading.Semaphore(MAX_CONNECTIONS)
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
        """Seconds since the last search."""
        return time.monotonic() - self._used

    def close(self, timeout_s: float = CLOSE_TIMEOUT_SECONDS) -> None:
        """Accept no more messages, answer those in hand, and remove the socket."""
        self._closing.set()
        with suppress(OSError):
            os.unlink(self.path)
        with suppress(OSError):  # wakes the thread that waits for connections
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        until = time.monotonic() + timeout_s
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
                connection.close()  # the client answers its own request
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                if address.is_own(connection):
                    self._converse(connection)
        except (OSError, EOFError, wire.BadFrame, _ClientLeft):
            pass  # the client has gone, or its message makes no sense
        finally:
            self._room.release()

    def _converse(self, connection: socket.socket) -> None:
        seconds = GREETING_TIMEOUT_SECONDS
        while not self._closing.is_set():
            message = wire.receive(connection, seconds)
            self._busy.add(threading.current_thread())
            try:
                seconds = MESSAGE_TIMEOUT_SECONDS
                self._reply(connection, self._answer(message, connection))
                self._answered += 1
            finally:
                self._busy.discard(threading.current_thread())

    def _reply(self, connection: socket.socket, answer: Answer) -> None:
        connection.settimeout(MESSAGE_TIMEOUT_SECONDS)
        try:
            wire.send(connection, answer)
        except wire.BadFrame as error:  # too long; nothing of it was sent
            wire.send(connection, {"failed": str(error)})

    def _answer(self, message: Any, connection: socket.socket) -> Answer:
        try:
            return self._dispatch(str(message["ask"]), message, connection)
        except (Overloaded, Closed) as error:
            return {"failed": str(error)}
        except ImgSearchError as error:
            return {"error": [type(error).__name__, str(error), error.hint]}
        except _ClientLeft:
            raise
        except Exception as error:  # the client then opens the library itself
            return {"failed": f"{type(error).__name__}: {error}"}

    def _dispatch(self, what: str, message: Any, connection: socket.socket) -> Answer:
        if what == "hello":
            return self._hello(message, connection)
        if what == "status":
            return self._status()
        if what == "stop":
            return self._stopped()
        if what != "search":
            raise KeyError(what)
        self._used = time.monotonic()
        request = request_from_plain(message["request"])
        verbose = bool(message.get("verbose"))
        # One by one, not batched: in bfloat16 a neighbour could change the last digits of a score.
        future = self._resident.submit(lambda library: self._search(library, request, verbose))
        answer: Answer = _result(future, connection)
        self._used = time.monotonic()
        return answer

    def _search(self, library: Library, request: SearchRequest, verbose: bool) -> Answer:
        """In the thread that owns the library."""
        self._notes.clear()
        with captured_log(verbose) as logged:
            result = library.search(request)
        return {
            "result": wire.result_to_plain(result),
            "notes": list(self._notes),
            "logged": logged,
        }

    def _hello(self, message: Any, connection: socket.socket) -> Answer:
        differs = address.difference(self._greeting, message)
        if differs == ["model"]:
            model = message["settings"]["model"]
            future = self._resident.submit(lambda library: _is_its_model(library, model))
            same = _result(future, connection)
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

    def _stopped(self) -> Answer:
        if self._stop is None:
            raise ImgSearchError(
                f"process {os.getpid()} has the library open, and cannot be stopped like that",
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
    """Let other processes of this user search a resident library; close the listener after use.

    For parameters and errors see `Listener`.
    """
    return Listener(resident, settings, notes, stop)


def running(library: str) -> Answer | None:
    """The status of the process that listens for a library; None if there is none."""
    daemon = client.connect(library)
    if daemon is None:
        return None
    try:
        return daemon.ask("status", client.GREETING_TIMEOUT_SECONDS)
    except (client.Unanswered, ImgSearchError):
        return None
    finally:
        daemon.close()


def stop(library: str, seconds: float = 2 * CLOSE_TIMEOUT_SECONDS) -> int | None:
    """Stop the daemon of a library and wait for its end; its process id, None if there is none.

    Raises
    ------
    ImgSearchError
        It keeps running.
    """
    daemon = client.connect(library)
    if daemon is None:
        return None
    try:
        pid = int(daemon.ask("stop", client.GREETING_TIMEOUT_SECONDS)["pid"])
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
    raise ImgSearchError(f"process {pid} keeps running", "It may be busy: try again in a moment.")


def _result(future: Future[Any], connection: socket.socket) -> Any:
    """The result of a job, which is cancelled if its client leaves or has waited for too long."""
    until = time.monotonic() + client.ANSWER_TIMEOUT_SECONDS
    try:
        while not wait([future], POLL_SECONDS).done:
            if _left(connection):
                raise _ClientLeft
            if time.monotonic() > until:
                raise TimeoutError
        return future.result()
    finally:
        future.cancel()


def _left(connection: socket.socket) -> bool:
    """True if the other end has closed the connection."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable) and not connection.recv(1, socket.MSG_PEEK)


def _is_its_model(library: Library, model: str) -> bool:
    """True if a process with that model in its settings, or none, would use the library's."""
    if model:
        return canonical(model) == library.model
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
            f"the folder {folder} is open to others, who could use a daemon in it",
            "Remove it, or close it to others: chmod 700.",
        )


def _lock_file(path: str) -> str:
    return f"{path}.lock"


def _locked(path: str, library: str) -> FileLock:
    """The lock of the listening process; the system frees it however the process ends."""
    # The listener may be closed in another thread than the one that made it.
    lock = FileLock(_lock_file(path), mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        other = running(library)
        who = f"process {other['pid']}" if other else "another process"
        raise LibraryBusy(
            f"{who} already has this library open for others",
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
        listening.listen(MAX_WAITING_CONNECTIONS)
    except BaseException:
        listening.close()
        raise
    return listening
