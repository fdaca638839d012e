"""Fetching one picture, from a server of this test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from imgsearch.sources import web
from imgsearch.sources.files import Unusable


class Answers(BaseHTTPRequestHandler):
    """What each path does."""

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        targets = {
            "/file": "file:///etc/passwd",
            "/ftp": "ftp://localhost/x",
            "/loop": "/loop",
            "/here": "/good%20one",
            "/private": f"http://localhost:{port}/good",
        }
        if self.path in targets:
            self.send_response(302)
            self.send_header("Location", targets[self.path])
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
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as served:
        served.daemon_threads = True
        served.handle_error = lambda *_: None  # clients hang up
        thread = Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def test_the_bytes_of_a_picture(server):
    assert web.fetch(server + "/good") == b"data"
    assert web.fetch(server.replace("http", "HTTP") + "/good ö?a=ü#b") == b"data"
    assert web.fetch(server + "/here") == b"data", "a redirect to the host that was typed"


@pytest.mark.parametrize(("path", "reason"), [
    ("/none", "the server answers 404 Not Found"),
    ("/file", "Redirection to url 'file:///etc/passwd' is not allowed"),
    ("/ftp", "neither http nor https"),
    ("/private", "redirects to localhost, an address of a private network"),
    ("/loop", "the server answers 302"),
    ("/short", "the connection ended before the picture did"),
])  # fmt: skip
def test_what_is_refused(server, path, reason):
    with pytest.raises(Unusable, match=reason):
        web.fetch(server + path)


def test_the_bounds(server):
    with pytest.raises(Unusable, match="more than 0 MiB"):
        web.fetch(server + "/good", most_bytes=3)
    assert web.fetch(server + "/good", most_bytes=4) == b"data"
    for path in ("/slow", "/slow_headers"):
        started = time.monotonic()
        with pytest.raises(Unusable, match=r"longer than 0\.3 seconds"):
            web.fetch(server + path, seconds=0.3)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("url", ["ftp://localhost/x", "file:///etc/passwd", "data:,x", "http://"])
def test_other_schemes(url):
    with pytest.raises(Unusable, match="no http or https address"):
        web.fetch(url)


@pytest.mark.parametrize(("host", "private"), [
    ("127.0.0.1", True), ("10.1.2.3", True), ("169.254.169.254", True), ("::1", True),
    ("::ffff:127.0.0.1", True), ("fe80::1", True), ("0.0.0.0", True), ("8.8.8.8", False),
    ("2001:4860:4860::8888", False),
])  # fmt: skip
def test_private_addresses(host, private):
    assert web._private(host) == private
