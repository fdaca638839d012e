"""Bounds on connections, ambiguous framings, and the end of a server under load."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from imgsearch.web import connections, guard, index_routes
from imgsearch.web.connections import Connections, Use
from imgsearch.web.proxies import Proxies, parsed_networks
from tests.cli.calls import Place, start
from tests.conftest import full_only
from tests.web.server_process import API, Served, in_a_loop

pytestmark = [pytest.mark.slow, full_only]

SEARCH = f"POST {API}/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
EVENTS = f"GET {API}/index/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@contextmanager
def opened(
    port: int, count: int, data: bytes, client: str = "127.0.0.1"
) -> Iterator[list[socket.socket]]:
    """Connections of a client to a port, each of which has sent this."""
    with ExitStack() as stack:
        held = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), 30, (client, 0))
            held.append(stack.enter_context(connection))
            with suppress(OSError):
                held[-1].sendall(data)
        yield held


class FakeTransport(asyncio.Transport):
    """The end of a connection of a client with this address."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class Held:
    """A connection as `Connections` sees it."""

    def __init__(self, address: str, use: Use = Use.SILENT) -> None:
        self.client, self.use, self.key = (address, 1), use, ""
        self.transport = FakeTransport(address)


def _admit(bound: Connections, *held: Held) -> list[bool]:
    return [bound.admit(each) for each in held]  # type: ignore[arg-type]


def test_a_client_at_its_bound_loses_its_own_least_used_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS_PER_CLIENT", 3)
    bound = Connections(Proxies())
    other = Held("192.0.2.9")
    mine = [Held("192.0.2.1", use) for use in (Use.SENDING, Use.SILENT, Use.IDLE)]
    more = [Held("192.0.2.1", Use.ANSWERING) for _ in range(4)]
    assert _admit(bound, other, *mine) == [True] * 4
    assert _admit(bound, more[0]) == [True]
    assert [each.transport.aborted for each in mine] == [False, True, False]
    assert _admit(bound, more[1]) == [True]
    assert [each.transport.aborted for each in mine] == [False, True, True]
    assert _admit(bound, more[2]) == [True]
    assert [each.transport.aborted for each in mine] == [True, True, True]
    assert _admit(bound, more[3]) == [False], "what is being answered is not closed for another"
    assert not other.transport.aborted
    bound.remove(more[0])  # type: ignore[arg-type]
    bound.remove(more[0])  # type: ignore[arg-type]
    assert _admit(bound, more[3]) == [True]


def test_at_the_total_bound_the_largest_client_loses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)
    bound = Connections(Proxies())
    # One site has a network of 64 bits of IPv6, with as many addresses.
    crowd = [Held(f"2001:db8::{number:x}") for number in (1, 2, 3)]
    small = Held("192.0.2.1")
    assert _admit(bound, small, *crowd, Held("192.0.2.2"), Held("2001:db8:0:1::1")) == [True] * 6
    assert [each.transport.aborted for each in crowd] == [True, True, False]
    assert not small.transport.aborted


def test_connections_of_a_trusted_proxy_have_the_total_bound_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS_PER_CLIENT", 1)
    bound = Connections(Proxies(parsed_networks("10.0.0.0/8")))
    through = [Held("10.1.2.3") for _ in range(5)]
    assert _admit(bound, *through) == [True] * 5
    assert not any(each.transport.aborted for each in through)


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nX: ", b"", f"{SEARCH}Content-Length: 100\r\n\r\n{{".encode()],
    ids=["half a head", "nothing", "half a body"],
)
def test_a_client_with_600_connections_keeps_nobody_out(server: Served, data: bytes) -> None:
    """Nobody else: the client itself is refused with 429 while 128 of its requests are waiting."""
    with opened(server.port, 600, data, "127.0.0.50"):
        assert [server.ask(f"{API}/health").status for _ in range(20)] == [200] * 20
        assert server.get("/status")["images"]


def test_a_burst_cannot_pass_the_bound_on_event_streams(server: Served) -> None:
    clients = [f"127.0.0.{number}" for number in range(2, 22)]
    with ExitStack() as stack:
        held: list[socket.socket] = []
        for client in clients:
            held += stack.enter_context(opened(server.port, 10, EVENTS, client))
        answers = Counter(connection.recv(100)[9:12] for connection in held)
        bound = index_routes.MAX_WATCHERS
        assert answers == {b"200": bound, b"503": 200 - bound}
        assert server.ask(f"{API}/health").status == 200
    for _ in range(100):  # closed streams make room
        with opened(server.port, 1, EVENTS) as held:
            if held[0].recv(100)[9:12] == b"200":
                return
        time.sleep(0.1)
    raise AssertionError("no stream is open, and none is admitted")


def test_one_client_leaves_event_streams_for_others(server: Served) -> None:
    bound = index_routes.MAX_WATCHERS_PER_CLIENT
    with opened(server.port, 2 * bound, EVENTS, "127.0.0.30") as held:
        answers = Counter(connection.recv(100)[9:12] for connection in held)
        assert answers == {b"200": bound, b"429": bound}
        with opened(server.port, 1, EVENTS, "127.0.0.31") as [other]:
            assert other.recv(100)[9:12] == b"200"


CHUNKED = "Transfer-Encoding: chunked\r\n"
NEXT = f"GET {API}/health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "head, body",
    [
        (f"{SEARCH}Content-Length: 5\r\n{CHUNKED}\r\n", "0\r\n\r\n"),
        (f"{SEARCH}{CHUNKED}content-length: 5\r\n\r\n", "0\r\n\r\n"),
        (f"{SEARCH}Content-Length: 2\r\nContent-Length: 2\r\n\r\n", "{}"),
        (f"{SEARCH}Content-Length: 2, 2\r\n\r\n", "{}"),
        (f"{SEARCH}Content-Length: 2\r\nContent-Length: 3\r\n\r\n", "{}"),
        (f"{SEARCH}Content-Length: +2\r\n\r\n", "{}"),
        (f"{SEARCH}Content-Length : 2\r\n\r\n", "{}"),
        (f"{SEARCH}X: a\r\n b\r\nContent-Length: 2\r\n\r\n", "{}"),
        (f"{SEARCH}X: a\nContent-Length: 2\r\n\r\n", "{}"),
        (f"{SEARCH}Transfer-Encoding: gzip, chunked\r\n\r\n", "0\r\n\r\n"),
        (f"{SEARCH}{CHUNKED}{CHUNKED}\r\n", "0\r\n\r\n"),
        (f"{SEARCH.replace('1.1', '1.0')}{CHUNKED}\r\n", "0\r\n\r\n"),
        (f"{SEARCH}{CHUNKED}\r\n", "x\r\n\r\n"),
        ("GET /\r\n\r\n", ""),
    ],
)
def test_an_ambiguous_request_is_refused_and_the_connection_closed(
    server: Served, head: str, body: str
) -> None:
    reply = server.raw((head + body + NEXT).encode())
    assert reply.startswith(b"HTTP/1.1 400 "), reply[:200]
    assert reply.count(b"HTTP/1.1 ") == 1, "the connection is closed, so nothing can be smuggled"
    assert b"application/problem+json" in reply
    # The same as the second request of a connection, in one packet.
    reply = server.raw((NEXT + head + body + NEXT).encode())
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert reply.count(b"HTTP/1.1 400") == 1 and reply.count(b"HTTP/1.1 ") == 2


def test_ordinary_requests_in_one_packet_are_all_answered(server: Served) -> None:
    post = f"{SEARCH}Content-Length: 2\r\n\r\n{{}}"
    chunks = f"{SEARCH}{CHUNKED}\r\n2\r\n{{}}\r\n0\r\n\r\n"
    last = NEXT.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    reply = server.raw((NEXT + post + chunks + last).encode())
    assert reply.count(b"HTTP/1.1 200") == 4, reply[:300]


def test_a_client_that_leaves_writes_no_traceback_and_sigterm_drains(demo: Place) -> None:
    """Under load: searches, pictures, half a request, an event stream and half a head."""
    process = start(
        "--library", demo.library, "serve", "--port", 0, "--threads", 1, "--rate", 100_000
    )
    assert process.stdout is not None and process.stderr is not None
    line = next(each for each in process.stdout if each.startswith(b"Serving on "))
    served = Served(line.split()[-1].decode(), process)
    served.get("/search", q="a dog")
    half = f"{SEARCH}Content-Length: 5000\r\n\r\n{{".encode()
    index = half.replace(b"/search", b"/index")
    for data in (half, index, f"{SEARCH}{CHUNKED}\r\n2\r\n{{".encode()) * 3:
        with opened(served.port, 1, data):
            time.sleep(0.02)
    statuses: Counter[object] = Counter()
    stopping = threading.Event()

    def load(number: int) -> None:
        for each in range(100_000):
            paths = (f"/search?q=dog+{number}+{each}", "/thumb/3?size=1024", "/original/5?as=jpeg")
            try:
                statuses[served.ask(API + paths[each % 3]).status] += 1
            except OSError:
                statuses["closed"] += 1
            if stopping.is_set():
                return

    threads = [threading.Thread(target=load, args=(number,)) for number in range(12)]
    with (
        opened(served.port, 1, half) as held,
        opened(served.port, 1, EVENTS),
        opened(served.port, 1, b"GET / HTTP/1.1\r\nX: "),
    ):
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        stopping.set()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        seconds = time.monotonic() - began
        answer = held[0].recv(10_000)
    for thread in threads:
        thread.join(30)
    errors = process.stderr.read().decode()
    process.stdout.close()
    process.stderr.close()
    assert answer.startswith(b"HTTP/1.1 503 ") and b"The server is stopping." in answer
    assert set(statuses) <= {200, 503, "closed"} and statuses[200], statuses
    assert "Traceback" not in errors and "Exception" not in errors, errors
    assert seconds < guard.DRAIN_SECONDS + 3, "2.3 s where nothing else runs"


def test_a_client_that_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WRITE_TIMEOUT_SECONDS", 0.05)

    async def large(scope: guard.Scope, receive: guard.Receive, send: guard.Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})

    async def run() -> None:
        import uvicorn
        from uvicorn.server import ServerState

        bound, state, loop = Connections(Proxies()), ServerState(), asyncio.get_running_loop()
        config = uvicorn.Config(large, lifespan="off", log_config=None)  # type: ignore[arg-type]
        listener = await loop.create_server(
            lambda: connections.ClientProtocol(
                bound, config=config, server_state=state, app_state={}
            ),
            "127.0.0.1",
        )
        _, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(10):
            while not state.total_requests and not state.tasks:
                await asyncio.sleep(0.01)
            while state.connections:
                await asyncio.sleep(0.01)
        writer.close()
        listener.close()

    in_a_loop(run())
