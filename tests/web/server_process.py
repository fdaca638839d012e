"""A real server process on the loopback interface, and ways to talk to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.cli.calls import start

API = "/api/v1"
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Reply:
    """The answer to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: bytes | None,
    headers: Mapping[str, str] | None,
) -> Reply:
    """Send one request on a connection, which is closed afterwards."""
    try:
        connection.request(method, target, body, dict(headers or {}))
        answer = connection.getresponse()
        lowered = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, lowered, answer.read())
    finally:
        connection.close()


@dataclass
class Served:
    """A running server and its client."""

    url: str
    process: subprocess.Popen[bytes]
    printed: str = ""

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> Reply:
        """Send a request; list values of the query become repeated parameters."""
        values = [
            (name.rstrip("_"), str(each))
            for name, value in query.items()
            for each in (value if isinstance(value, list | tuple) else [value])
        ]
        target = f"{path}?{urlencode(values)}" if values else path
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        return exchange(connection, method, target, body, headers)

    def get(self, path: str, **query: Any) -> Any:
        """Send a request that must succeed, and return its JSON."""
        reply = self.ask(API + path, **query)
        assert reply.status == 200, (reply.status, reply.body)
        return reply.json

    def get_with(self, token: str, path: str) -> Any:
        """Like `get`, with a token."""
        reply = self.ask(API + path, headers={"Authorization": f"Bearer {token}"})
        assert reply.status == 200, (reply.status, reply.body)
        return reply.json

    def post(self, path: str, value: object, **headers: str) -> Reply:
        """Send JSON."""
        all_headers = {"Content-Type": "application/json"} | headers
        return self.ask(API + path, "POST", json.dumps(value).encode(), all_headers)

    def send_pictures(self, *pictures: bytes, **fields: str) -> Reply:
        """Search with example pictures."""
        edge = "edge0123456789"
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="{name.rstrip("_")}"\r\n\r\n'
            f"{value}\r\n".encode()
            for name, value in fields.items()
        ]
        for picture in pictures:
            head = f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
            parts.append(head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + picture + b"\r\n")
        body = b"".join([*parts, f"--{edge}--\r\n".encode()])
        headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        return self.ask(f"{API}/search", "POST", body, headers)

    def raw(self, data: bytes, seconds: float = 30.0) -> bytes:
        """Send raw bytes; return the answer up to the end of the connection."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def id_of(self, name: str) -> int:
        """The id of the picture with this file name."""
        hits = self.get("/search", name=name)["hits"]
        assert len(hits) == 1, hits
        image_id: int = hits[0]["id"]
        return image_id

    def stop(self) -> int:
        """Stop the server like a service manager; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Events:
    """An event stream of a server."""

    def __init__(self, served: Served, path: str = "/index/events") -> None:
        self._connection = socket.create_connection(("127.0.0.1", served.port), TIMEOUT_SECONDS)
        head = f"GET {API}{path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self._connection.sendall(head.encode())
        self._lines = self._connection.makefile("rb")

    def until(self, is_last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """The events up to the first for which `is_last` is true."""
        events = []
        deadline = time.monotonic() + TIMEOUT_SECONDS
        for line in self._lines:  # comments come all the time, so the socket never times out
            assert time.monotonic() < deadline, events
            if line.startswith(b"data: "):
                events.append(json.loads(line[6:]))
                if is_last(events[-1]):
                    return events
        raise AssertionError(f"the stream ended: {events}")

    def close(self) -> None:
        self._lines.close()
        self._connection.close()


def ends(reply: Reply) -> Callable[[dict[str, Any]], bool]:
    """A function that is true for the last event of the run started by this reply."""
    assert reply.status == 202, reply.body
    run, last = reply.json["run"], ("done", "interrupted", "failed")
    return lambda event: event["run"] == run and event["state"] in last


@contextmanager
def serving(library: object, *options: object) -> Iterator[Served]:
    """A server on a free port, stopped at the end."""
    with tempfile.TemporaryFile() as errors:
        process = start(
            "--library", library, "serve", "--port", 0, "--threads", 1, *options,
            prelude="", stderr=errors,
        )  # fmt: skip
        try:
            printed = ""
            assert process.stdout is not None
            for line in process.stdout:
                printed += os.fsdecode(line)
                if line.startswith(b"Serving on "):
                    yield Served(os.fsdecode(line).split()[-1], process, printed)
                    break
            else:
                errors.seek(0)
                raise AssertionError(f"the server did not start: {printed} {errors.read()!r}")
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(60)
            assert process.stdout is not None
            process.stdout.close()


def in_a_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in its own thread, because browser tests leave a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
