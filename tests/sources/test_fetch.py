"""Fetching one picture from a local test server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from imgsearch.sources import fetch
from imgsearch.sources.guarded_files import Unusable
from imgsearch.sources.public_addresses import is_public

TARGETS = {
    "/file": "file:///etc/passwd",
    "/ftp": "ftp://localhost/x",
    "/loop": "/loop",
    "/here": "/good%20one",
    "/private": "http://localhost:PORT/good",
}


class Handler(BaseHTTPRequestHandler):
    """Responds to each path with one kind of behaviour."""

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        if self.path in TARGETS:
            self.send_response(302)
            self.send_header("Location", TARGETS[self.path].replace("PORT", str(port)))
            self.end_headers()
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(60):
                self.wfile.write(b"x")
                time.sleep(0.05)
        elif self.path == "/slow_headers":
            for _ in range(60):
                self.wfile.write(b"H")
                time.sleep(0.05)
        elif self.path.startswith("/good") or self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", "9" if self.path == "/short" else "4")
            self.end_headers()
            self.wfile.write(b"data")
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # clients hang up
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def test_it_returns_the_bytes_of_a_picture(server):
    assert fetch.fetch(server + "/good") == b"data"
    assert fetch.fetch(server.replace("http", "HTTP") + "/good ö?a=ü#b") == b"data"
    assert fetch.fetch(server + "/here") == b"data", "a redirect to the host that was typed"


@pytest.mark.parametrize(("path", "reason"), [
    ("/none", "the server answered 404 Not Found"),
    ("/file", "Redirection to url 'file:///etc/passwd' is not allowed"),
    ("/ftp", "neither http nor https"),
    ("/private", "redirects to localhost, an address of a private network"),
    ("/loop", "the server answered 302"),
    ("/short", "the connection ended before the whole picture was received"),
])  # fmt: skip
def test_failures_have_a_reason(server, path, reason):
    with pytest.raises(Unusable, match=reason):
        fetch.fetch(server + path)


def test_size_and_time_are_limited(server):
    with pytest.raises(Unusable, match="more than 0 MiB"):
        fetch.fetch(server + "/good", max_bytes=3)
    assert fetch.fetch(server + "/good", max_bytes=4) == b"data"
    for path in ("/slow", "/slow_headers"):
        started = time.monotonic()
        with pytest.raises(Unusable, match=r"longer than 0\.3 seconds"):
            fetch.fetch(server + path, seconds=0.3)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("url", ["ftp://localhost/x", "file:///etc/passwd", "data:,x", "http://"])
def test_other_schemes_are_refused(url):
    with pytest.raises(Unusable, match="not an http or https address"):
        fetch.fetch(url)


@pytest.mark.parametrize(("address", "public"), [
    ("127.0.0.1", False), ("10.1.2.3", False), ("169.254.169.254", False), ("0.0.0.0", False),
    ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False), ("8.8.8.8", True),
    ("::1", False), ("::", False), ("fe80::1", False), ("fe80::1%eth0", False), ("fc00::1", False),
    ("fec0::1", False), ("ff02::1", False), ("2001:4860:4860::8888", True),
    ("2001:4860:4860::8888%eth0", False),
    ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True),  # mapped
    ("::127.0.0.1", False),  # "compatible", which is obsolete
    ("2002:7f00:1::", False), ("2002:c0a8:101::1", False), ("2002:808:808::1", True),  # 6to4
    ("64:ff9b::7f00:1", False), ("64:ff9b::10.0.0.1", False), ("64:ff9b::808:808", True),  # NAT64
    ("64:ff9b:1::808:808", False), ("2001:0:808:808::1", False),  # local NAT64, Teredo
])  # fmt: skip
def test_public_addresses(address, public):
    assert is_public(address) == public


@pytest.fixture
def look_ups(monkeypatch):
    """Host -> its successive addresses, of which the last one stays; and the hosts looked up."""
    answers: dict[str, list[str]] = {}
    hosts: list[str] = []

    def look_up(host: str, port: int, *_: object, **__: object) -> list[object]:
        hosts.append(host)
        if host not in answers:
            raise socket.gaierror(-2, "Name or service not known")
        address = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answers, hosts


@pytest.fixture
def connections(monkeypatch) -> list[tuple[str, int]]:
    """The addresses of connections; those to public ones fail, because there is no network."""
    places: list[tuple[str, int]] = []
    connect = socket.socket.connect

    def record(self: socket.socket, place: tuple[str, int]) -> None:
        places.append(place)
        if place[0] != "127.0.0.1":
            raise ConnectionRefusedError(111, "Connection refused")
        connect(self, place)

    monkeypatch.setattr(socket.socket, "connect", record)
    return places


def test_a_name_is_resolved_only_once(server, look_ups, connections):
    """A second look-up of the typed host would return another address."""
    port = int(server.rpartition(":")[2])
    look_ups[0]["typed.example"] = ["127.0.0.1", "10.0.0.1"]
    assert fetch.fetch(f"http://typed.example:{port}/here") == b"data", (
        "a redirect to the same host"
    )
    assert connections == [("127.0.0.1", port)] * 2
    assert look_ups[1].count("typed.example") == 1


def test_a_redirect_connects_to_the_checked_address(server, look_ups, connections, monkeypatch):
    port = int(server.rpartition(":")[2])
    look_ups[0]["typed.example"] = ["127.0.0.1"]
    look_ups[0]["rebinding.example"] = ["8.8.8.8", "127.0.0.1"]
    monkeypatch.setitem(TARGETS, "/away", "http://rebinding.example:PORT/good")
    with pytest.raises(Unusable, match="refused"):
        fetch.fetch(f"http://typed.example:{port}/away")
    assert connections == [("127.0.0.1", port), ("8.8.8.8", port)], "not this machine's"
    with pytest.raises(Unusable, match="an address of a private network"):
        fetch.fetch(f"http://typed.example:{port}/away")
    assert connections[2:] == [("127.0.0.1", port)]


def test_https_is_checked_as_well(look_ups, connections):
    look_ups[0]["typed.example"] = ["8.8.4.4"]
    with pytest.raises(Unusable, match="refused"):
        fetch.fetch("https://typed.example/x")
    assert connections == [("8.8.4.4", 443)]
    with pytest.raises(Unusable, match="no host of that name"):
        fetch.fetch("https://unknown.example/x")


def test_a_proxy_may_be_private(server, look_ups, connections, monkeypatch):
    port = int(server.rpartition(":")[2])
    look_ups[0]["proxy.local"] = ["127.0.0.1"]
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", f"http://proxy.local:{port}")
    with pytest.raises(Unusable, match="404"):  # this server does not handle absolute addresses
        fetch.fetch("http://typed.example/good")
    assert connections == [("127.0.0.1", port)]
    monkeypatch.setitem(TARGETS, "http://typed.example/", "http://proxy.local:PORT/good")
    look_ups[0]["typed.example"] = ["8.8.8.8"]
    with pytest.raises(Unusable, match=r"redirects to proxy\.local, an address of a private"):
        fetch.fetch("http://typed.example/")
