"""Searches by vectors, several in one request, and those whose client does not wait for them."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import Future
from typing import Any
from urllib.parse import quote

import pytest
from starlette.requests import Request
from starlette.types import Message

from imgsearch.library import Library
from imgsearch.settings import Settings
from imgsearch.web.problems import ClientLeft
from imgsearch.web.search_routes import while_connected
from tests.cli.calls import Place
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


@pytest.mark.parametrize(
    "route",
    ["/facets", "/start", "/clusters", "/dupes", "/saved", "/skipped", "/recent", "/suggest"],
)
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


def _found(answer: Any) -> list[tuple[str, float]]:
    return [(hit["name"], round(hit["score"], 3)) for hit in answer["hits"]]


def test_several_searches_in_one_request_are_answered_as_one_by_one(server: Served) -> None:
    searches = [{"q": "a crab", "limit": 5}, {"q": "an owl", "name": ["o*"]}, {"sort": "name"}]
    reply = server.post("/search/batch", {"searches": searches})
    assert reply.status == 200, reply.body
    batch = reply.json["answers"]
    alone = [server.post("/search", each).json for each in searches]
    assert [_names(each) for each in batch] == [_names(each) for each in alone]
    later = {**searches[2], "cursor": batch[2]["next"]} if batch[2]["next"] else {"sort": "name"}
    assert server.post("/search", later).status == 200


def _names(answer: Any) -> list[str]:
    return [hit["name"] for hit in answer["hits"]]


@pytest.mark.parametrize(
    ("searches", "words"),
    [
        ([], "at least 1"),
        ([{"q": "a"}] * 17, "at most 16"),
        ([{"limit": 500}] * 3, "more than 1000 hits"),
        ([{"q": "a"}, {"where": ["width >"]}], "search 2: "),
        ([{"q": "a", "image": "x"}], "image"),
        ([{"limit": 501}], "limit can be at most 500"),
    ],
    ids=str,
)
def test_batches_are_bounded_and_name_the_search_at_fault(
    server: Served, searches: object, words: str
) -> None:
    reply = server.post("/search/batch", {"searches": searches})
    assert (reply.status, words in reply.json["detail"]) == (400, True), reply.json


def test_a_search_by_the_vector_of_a_picture_finds_what_is_like_it(server: Served) -> None:
    image_id = server.id_of("crab.jpg")
    given = server.get(f"/images/{image_id}/vector")
    body = {"vector": given["vector"], "space": given["space"], "all": True, "limit": 20}
    first = server.post("/search", body).json
    assert _found(first) == _found(server.get(f"/similar/{image_id}", all="true", limit=20))
    second = server.post("/search", body | {"cursor": first["next"]}).json
    assert _names(second) and not set(_names(first)) & set(_names(second))
    packed = server.get(f"/images/{image_id}/vector", encoding_format="base64")["vector"]
    assert _found(server.post("/search", body | {"vector": packed}).json) == _found(first)
    reply = server.send_pictures(vector=packed, space=given["space"], all="true", limit="20")
    assert _found(reply.json) == _found(first)


def test_a_search_by_the_vector_of_a_text_is_that_of_the_text(server: Served, demo: Place) -> None:
    """Also what counts as no match."""
    with Library(Settings(library=str(demo.library))) as library:
        texts = ["a crab on the sand", "invoice number 4711"]
        rows = library.encoder().encode_texts(texts)
        space = library.searcher.space.key
    for text, row in zip(texts, rows, strict=True):
        body = {"vector": row.tolist(), "vector_of": "text", "space": space, "mode": "semantic"}
        answer = server.post("/search", body).json
        expected = server.get("/search", q=text, mode="semantic")
        assert answer["no_match"] == expected["no_match"]
        assert [(hit["name"], hit["strength"]) for hit in answer["hits"]] == [
            (hit["name"], pytest.approx(hit["strength"], abs=0.01)) for hit in expected["hits"]
        ]


def test_vectors_that_cannot_be_of_the_space_are_refused(server: Served) -> None:
    given = server.get(f"/images/{server.id_of('crab.jpg')}/vector")
    vector, space = given["vector"], given["space"]
    for body, words in (
        ({"vector": vector}, "space of the vector is missing"),
        ({"vector": vector, "space": "0123456789ab"}, "not of the space"),
        ({"vector": [1.0], "space": space}, "has 1 numbers"),
        ({"vector": [2 * each for each in vector], "space": space}, "unit vector"),
        ({"vector": [0.0] * len(vector), "space": space}, "unit vector"),
        ({"vector": [float("nan"), *vector[1:]], "space": space}, "vector"),
        ({"vector": [1e300, *vector[1:]], "space": space}, "unit vector"),
        ({"vector": "AAAA", "space": space}, "base64"),
        ({"vector": "!", "space": space}, "base64"),
        ({"vector": [0.1] * 70_000, "space": space}, "too long"),
    ):
        reply = server.post("/search", body)
        assert (reply.status, words in reply.json["detail"]) == (400, True), (words, reply.json)
