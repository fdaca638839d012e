"""Searches whose client does not wait for them."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import Future
from urllib.parse import quote

import pytest
from starlette.requests import Request
from starlette.types import Message

from imgsearch.web.problems import ClientLeft
from imgsearch.web.search_routes import while_connected
from tests.web.server_process import API, Served, in_a_loop

ABANDONED = 120


def _client(*messages: Message) -> Request:
    """A client that sends these messages and then nothing more."""
    left = list(messages)

    async def receive() -> Message:
        if left:
            return left.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    return Request({"type": "http"}, receive)


def test_a_job_is_cancelled_when_its_client_leaves() -> None:
    async def work() -> None:
        job: Future[int] = Future()
        gone = _client({"type": "http.request"}, {"type": "http.disconnect"})
        with pytest.raises(ClientLeft):
            await while_connected(gone, job)
        assert job.cancelled()
        answered: Future[int] = Future()
        answered.set_result(7)
        assert await while_connected(_client(), answered) == 7

    in_a_loop(work())


def _metric(server: Served, start: str) -> float:
    lines = server.ask(f"{API}/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(start))


@pytest.mark.parametrize("route", ["/facets", "/start", "/clusters", "/dupes", "/saved"])
def test_no_route_works_for_clients_that_left(server: Served, route: str) -> None:
    """They leave while other jobs are in the queue."""
    left = f'imgsearch_request_seconds_count{{method="GET",route="{route}",status="499"}}'
    counted, until = _metric(server, left), time.monotonic() + 60
    while not _metric(server, left) > counted and time.monotonic() < until:
        for path in [route] * 60:
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                head = f"GET {API}{path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
                connection.sendall(head.encode())
    assert _metric(server, left) > counted


def test_searches_of_clients_that_left_are_not_made(server: Served) -> None:
    left = 'imgsearch_request_seconds_count{method="GET",route="/search",status="499"}'
    texts, counted = _metric(server, "imgsearch_texts_encoded_total"), _metric(server, left)
    for number in range(ABANDONED):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            text = quote(f"a search that nobody waits for, number {number}")
            head = f"GET {API}/search?q={text} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
            connection.sendall(head.encode())
    assert server.get("/search", q="a walrus")["hits"]
    until = time.monotonic() + 60
    while not _metric(server, left) > counted and time.monotonic() < until:
        time.sleep(0.05)
    assert _metric(server, left) > counted
    assert _metric(server, "imgsearch_texts_encoded_total") - texts < ABANDONED / 2


def test_what_is_typed_becomes_parameters_of_a_search(server: Served) -> None:
    found = server.get("/query", text="a cat camera:canon -people rating>=9 type:banana")
    (fault,) = found.pop("faults")
    assert found == {
        "q": "a cat",
        "not": ["people"],
        "filters": {"camera": ["canon"], "where": ["rating >= 9"]},
    }
    assert fault["text"] == "type:banana" and "banana" in fault["error"] and fault["hint"]
    assert server.get("/search", q="a cat", **found["filters"])["total"] == 0


def test_suggestions_are_bounded(server: Served) -> None:
    found = server.get("/suggest", text="camera:", limit=2)["suggestions"]
    assert [each["kind"] for each in found] == ["camera"] * 2
    assert found[0]["count"] >= found[1]["count"] > 0
    listed = server.get("/search", camera=found[0]["value"], limit=1)
    assert listed["total"] == found[0]["count"]
    assert server.ask(f"{API}/suggest", text="a", limit=99).status == 400
    assert server.ask(f"{API}/suggest", text="a" * 2001).status == 400
