"""Host names, origins, rates and tokens, without a server."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress

import pytest

from imgsearch.catalog import open_catalog
from imgsearch.web import guard
from imgsearch.web.hosts import cross_site, hosts_for, is_loopback, name_of
from imgsearch.web.rate_limits import Buckets, Rate
from imgsearch.web.tokens import MAX_SESSIONS, Door, new_token, stored_hash
from tests.web.server_process import in_a_loop


@pytest.mark.parametrize(
    "header, name",
    [
        ("localhost", "localhost"),
        ("LOCALHOST:8765", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:8765", "::1"),
        ("[::1]evil", ""),
        ("evil@localhost", ""),
        ("localhost:99999999", ""),
        ("localhost/x", ""),
        ("localhost#", ""),
        ("", ""),
        ("\u0131", ""),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    assert name_of(header) == name


def test_the_host_names_that_a_server_accepts() -> None:
    local, wide = hosts_for("127.0.0.1"), hosts_for("0.0.0.0", ["photos.example"])
    assert local.knows("localhost:8765") and local.knows("[::1]") and local.knows("127.0.0.1")
    assert not any(map(local.knows, ("10.0.0.1", "photos.example", "localhost.evil.example")))
    assert wide.knows("192.0.2.7:8765") and wide.knows("Photos.Example")
    assert not wide.knows("evil.example")
    assert [is_loopback(host) for host in ("localhost", "127.8.8.8", "::1")] == [True] * 3
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "photos", "")] == [False] * 4


@pytest.mark.parametrize(
    "method, headers, refused",
    [
        ("POST", {}, False),
        ("POST", {"origin": "http://localhost:1"}, False),
        ("POST", {"origin": "http://localhost:2"}, True),
        ("POST", {"origin": "null"}, True),
        ("POST", {"origin": "http://localhost:1", "sec-fetch-site": "cross-site"}, True),
        ("GET", {"origin": "http://evil.example"}, False),  # GET relies on Sec-Fetch-Site
        ("GET", {"sec-fetch-site": "none"}, False),
        ("GET", {"sec-fetch-site": "same-origin"}, False),
        ("GET", {"sec-fetch-site": "same-site"}, True),
        ("DELETE", {"origin": "http://evil.example"}, True),
    ],
)
def test_requests_of_other_sites_are_detected(
    method: str, headers: dict[str, str], refused: bool
) -> None:
    assert cross_site(method, {"host": "localhost:1", **headers}) is refused


def test_a_bucket_empties_and_refills(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    buckets = Buckets({"any": Rate(2, 3)})
    assert [buckets.wait_s("a", "any") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait_s("b", "any") == 0, "each client has its own bucket"
    now[0] += 0.5
    assert [buckets.wait_s("a", "any") for _ in range(2)] == [0, 0.5]
    now[0] += 1000
    assert [buckets.wait_s("a", "any") for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_token_can_be_created_before_the_library(tmp_path) -> None:
    folder = tmp_path / "library"
    assert stored_hash(str(folder)) == ""
    first, second = new_token(str(folder)), new_token(str(folder))
    open_catalog(str(folder), create=True).close()
    door = Door(stored_hash(str(folder)))
    assert door.locked and door.fits(second) and not door.fits(first)
    assert len(second) >= 43, "256 bits"
    (folder / "server-token.json").write_text('{"sha256": 7}')
    assert stored_hash(str(folder)) == ""


def test_sessions_expire_and_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    door = Door("0" * 64)
    first = door.open_session()
    assert door.knows(first) and not door.knows(first + "x") and not door.knows("")
    now[0] += 31 * 86_400
    assert not door.knows(first)
    second = door.open_session()
    for _ in range(MAX_SESSIONS):
        door.open_session()
    assert not door.knows(second)
    assert not Door("").locked and not Door("").fits("")


def test_a_body_that_does_not_arrive_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_TIMEOUT_SECONDS", 0.05)

    async def reads(scope: guard.Scope, receive: guard.Receive, send: guard.Send) -> None:
        with suppress(Exception):  # like a framework that turns it into its own answer
            await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    messages: list[guard.Message] = []

    async def send(message: guard.Message) -> None:
        messages.append(message)

    async def nothing() -> guard.Message:
        await asyncio.sleep(60)
        raise AssertionError

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/index",
        "headers": [(b"host", b"localhost"), (b"content-length", b"5")],
        "client": ("127.0.0.1", 1),
    }
    in_a_loop(guard.Guard(reads, hosts_for("127.0.0.1"), Door(""), 100)(scope, nothing, send))
    assert [message["status"] for message in messages if "status" in message] == [408]


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic " + base64.b64encode(b"frame:a:bc").decode(), "a:bc"),
        ("Basic " + base64.b64encode(b"abc").decode(), ""),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), ""),
        ("Basic not base64", ""),
        ("Digest abc", ""),
        ("abc", ""),
        ("", ""),
    ],
)
def test_the_token_in_an_authorization_header(authorization: str, token: str) -> None:
    assert guard.token_of(authorization) == token


def test_requests_that_do_the_work_of_many_searches_count_as_many() -> None:
    limits, batch = guard.rates(16.0), guard.kind_of("POST", "/api/v1/search/batch")
    assert limits[batch].per_second == limits["search"].per_second / guard.BATCH_SEARCHES
    assert batch == guard.kind_of("POST", "/v1/embeddings") != guard.kind_of("POST", "/predict")
    assert all(rate.at_once >= 1 for rate in guard.rates(0.1).values())
