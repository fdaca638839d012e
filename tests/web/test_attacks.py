"""Attacks on a real server process."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI

from imgsearch.web import connections, guard
from imgsearch.web.hosts import hosts_for
from imgsearch.web.problems import handle_problems
from imgsearch.web.tokens import FILE, Door
from tests.cli.calls import Place, process
from tests.conftest import PHOTOS, full_only
from tests.web.server_process import API, TIMEOUT_SECONDS, Served, in_a_loop, serving

pytestmark = [pytest.mark.slow, full_only]

NAMES = (
    "crab.jpg",
    "<img src=x onerror=alert(1)>.jpg",
    'quote".jpg',
    "line\r\nSet-Cookie: a=b.jpg",
    os.fsdecode(b"not-utf8-\xff.jpg"),
)
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder with malicious file names and a link, and a secret file next to it."""
    folder = tmp_path_factory.mktemp("attacked")
    photos = folder / "photos"
    (photos / "sub").mkdir(parents=True)
    for name in NAMES:
        shutil.copy(PHOTOS / "crab.jpg", photos / name)
    others = {
        "pipe.jpg": "owl.jpg",
        "swapped.jpg": "bison.jpg",
        "gone.jpg": "lemurs.jpg",
        "new.jpg": "moose.jpg",
    }
    for name, source in {**others, "sub/inner.jpg": "horses.heic"}.items():
        shutil.copy(PHOTOS / source, photos / name)
    outside = folder / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"the secret")
    shutil.copy(PHOTOS / "moose.jpg", outside / "inner.jpg")
    shutil.copy(PHOTOS / "koala.jpg", outside / "koala.jpg")
    (photos / "link.jpg").symlink_to(outside / "koala.jpg")
    place = Place(photos, folder / "library")
    result = process("--library", place.library, "index", photos, "-q")
    assert result.status == 0, result.err
    return place


@pytest.fixture(scope="module")
def served(place: Place) -> Iterator[Served]:
    with serving(place.library, "--rate", 100_000) as served:
        yield served


def _status(served: Served, headers: dict[str, str], method: str = "GET") -> int:
    body = b"{}" if method == "POST" else None
    return served.ask(f"{API}/search", method, body, JSON | headers).status


# Other sites


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example",
                                  "localhost@evil.example", "[::1]evil", "", "10.0.0.1:{port}",
                                  "localhost:{port}/x", "localhost:x"])  # fmt: skip
def test_dns_rebinding_is_refused_by_the_host_name(served: Served, host: str) -> None:
    name = host.format(port=served.port)
    for path in ("/", "/static/index.html", f"{API}/search", f"{API}/thumb/1"):
        reply = served.raw(
            f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
        )
        assert reply.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")), (path, reply[:80])
    for good in (f"localhost:{served.port}", f"127.0.0.1:{served.port}", "[::1]", "LOCALHOST"):
        assert _status(served, {"Host": good}) == 200


def test_a_request_without_a_host_or_with_two_is_refused(served: Served) -> None:
    for head in ("HTTP/1.1\r\n", "HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
                 "HTTP/1.0\r\n"):  # fmt: skip
        reply = served.raw(f"GET {API}/status {head}Connection: close\r\n\r\n".encode())
        assert reply[8:].startswith((b" 400", b" 403")), reply[:80]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1",
                                    "https://127.0.0.1.evil.example", "file://"])  # fmt: skip
def test_a_post_from_another_site_is_refused(served: Served, origin: str) -> None:
    assert _status(served, {"Origin": origin}, "POST") == 403
    for path, method in (("/index", "POST"), ("/index", "DELETE"), ("/session", "POST")):
        reply = served.ask(API + path, method, b"{}", JSON | {"Origin": origin})
        assert reply.status == 403, path
    own = f"http://127.0.0.1:{served.port}"
    assert _status(served, {"Origin": own}, "POST") == 200


def test_another_site_cannot_embed_pictures_or_read_answers(served: Served) -> None:
    for site in ("cross-site", "same-site"):
        assert _status(served, {"Sec-Fetch-Site": site}) == 403
        for path in ("/thumb/1", "/original/1", "/status", "/index/events"):
            assert served.ask(API + path, headers={"Sec-Fetch-Site": site}).status == 403
    reply = served.ask(f"{API}/thumb/1", headers={"Sec-Fetch-Site": "same-origin"})
    assert reply.status == 200
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    # No answer permits requests of other sites.
    reply = served.ask(
        f"{API}/search", "OPTIONS",
        headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
    )  # fmt: skip
    assert not any(name.startswith("access-control") for name in reply.headers)


def test_every_answer_has_the_security_headers(served: Served) -> None:
    for path in ("/", "/static/index.html", f"{API}/search", f"{API}/nothing", "/static/none.js",
                 f"{API}/thumb/1", f"{API}/original/1", f"{API}/original/999"):  # fmt: skip
        headers = served.ask(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY"
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'self'" in policy or "default-src 'none'; sandbox" in policy
        assert "server" not in headers
    page = served.ask("/").body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+\s*=|<style|\sstyle\s*=|javascript:", page)
    refused = served.raw(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert b"nosniff" in refused


# Files


@pytest.mark.parametrize("path", [
    "/static/../application.py", "/static/..%2fapplication.py", "/static/%2e%2e/application.py",
    "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/..%5c..%5capplication.py",
    "/static/.hidden.js", "/static/index.html%00.js", "/static/x/../../application.py",
    "/static/", "/static/.", "/../../etc/passwd", "//etc/passwd", f"{API}/original/..%2f..%2fx",
    f"{API}/original/%2fetc%2fpasswd", f"{API}/thumb/../../catalog.sqlite",
    f"{API}/images/1%2f..%2f2",
])  # fmt: skip
def test_no_path_leaves_the_folder(served: Served, path: str) -> None:
    reply = served.raw(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert reply[8:].startswith((b" 404", b" 400")), reply[:200]
    assert b"root:" not in reply
    assert b"import " not in reply


def _statuses(served: Served, image_id: int) -> list[int]:
    """The statuses of all requests that read the file of a picture."""
    ways = (("/original/", {}), ("/thumb/", {"size": 512}), ("/original/", {"as_": "jpeg"}))
    ranged = served.ask(f"{API}/original/{image_id}", headers={"Range": "bytes=0-"}).status
    head = served.ask(f"{API}/original/{image_id}", "HEAD").status
    statuses = [served.ask(f"{API}{way}{image_id}", **query).status for way, query in ways]
    assert (ranged, head) == ({200: 206}.get(statuses[0], statuses[0]), statuses[0])
    return statuses


def test_a_link_out_of_the_folders_is_not_followed(served: Served, place: Place) -> None:
    linked = served.id_of("link.jpg")  # indexed, because it is in the user's folder
    reply = served.ask(f"{API}/original/{linked}")
    assert reply.status == 404
    assert "leads out" in reply.json["error"]
    assert _statuses(served, linked) == [404, 404, 404]
    # A picture replaced by a link after it was indexed.
    swapped = served.id_of("swapped.jpg")
    target = place.photos / "swapped.jpg"
    target.unlink()
    target.symlink_to(place.photos.parent / "outside" / "secret.txt")
    reply = served.ask(f"{API}/original/{swapped}")
    assert reply.status == 404
    assert b"the secret" not in reply.body
    assert _statuses(served, swapped) == [404, 404, 404]
    # A folder in its path replaced by a link.
    inner = served.id_of("inner.jpg")
    assert served.ask(f"{API}/original/{inner}").status == 200
    (place.photos / "sub").rename(place.photos / "was")
    (place.photos / "sub").symlink_to(place.photos.parent / "outside")
    assert _statuses(served, inner) == [404, 404, 404]
    # A link within the folder is followed.
    (place.photos / "sub").unlink()
    (place.photos / "sub").symlink_to(place.photos / "was")
    assert _statuses(served, inner) == [200, 200, 200]


def test_a_picture_that_became_a_pipe_or_was_removed_does_not_block(
    served: Served, place: Place
) -> None:
    ids = {name: served.id_of(name) for name in ("pipe.jpg", "gone.jpg")}
    (place.photos / "gone.jpg").unlink()
    (place.photos / "pipe.jpg").unlink()
    os.mkfifo(place.photos / "pipe.jpg")
    for image_id in ids.values():
        started = time.monotonic()
        assert _statuses(served, image_id) == [404, 404, 404]
        assert time.monotonic() - started < 30
    assert "pipe" in served.ask(f"{API}/original/{ids['pipe.jpg']}").json["error"]


def test_a_changed_file_is_not_cached_under_its_old_hash(served: Served, place: Place) -> None:
    image_id = served.id_of("new.jpg")
    old_hash = served.get(f"/images/{image_id}")["content_hash"]
    shutil.copy(PHOTOS / "koala.jpg", place.photos / "new.jpg")
    reply = served.ask(f"{API}/thumb/{image_id}", v=old_hash)
    assert reply.status == 200
    assert "immutable" not in reply.headers["cache-control"]


def test_malicious_names_are_only_data(served: Served) -> None:
    reply = served.ask(f"{API}/search", type="jpeg", limit=100)
    assert reply.headers["content-type"] == "application/json"
    hits = {hit["name"]: hit["id"] for hit in reply.json["hits"]}
    assert set(NAMES[:4]) <= set(hits)
    assert "not-utf8-\\xff.jpg" in hits
    for name, image_id in hits.items():
        if name not in ("crab.jpg", *NAMES, "not-utf8-\\xff.jpg"):
            continue
        headers = served.ask(f"{API}/original/{image_id}").headers
        assert "set-cookie" not in headers
        disposition = headers["content-disposition"]
        pattern = r"inline; filename\*=UTF-8''[A-Za-z0-9%._~-]+"
        assert re.fullmatch(pattern, disposition), disposition


# Uploads and long requests


def _png(width: int, height: int) -> bytes:
    """A tiny file whose header claims a large picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    return start + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def test_uploads_are_limited_in_pixels_and_bytes(served: Served) -> None:
    reply = served.send_pictures(_png(20_000, 20_000))
    assert reply.status == 400, reply.body
    assert "pixel" in reply.json["error"].lower() or "MP" in reply.json["error"]
    head = f"POST {API}/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {guard.MAX_UPLOAD_BYTES + 1}\r\nConnection: close\r\n\r\n"
    assert served.raw(request.encode()).startswith(b"HTTP/1.1 413")
    assert served.post("/index", {"path": "x" * (guard.MAX_BODY_BYTES + 1)}).status == 413
    deep = b"[" * 60_000
    assert served.ask(f"{API}/index", "POST", deep, JSON).status == 400


def test_a_body_without_an_end_is_cut_off(served: Served) -> None:
    head = (f"POST {API}/index HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n").encode()  # fmt: skip
    piece = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
        sent = len(head)
        connection.sendall(head)
        reply = b""
        try:
            while sent < 20 * guard.MAX_BODY_BYTES:
                connection.sendall(piece)
                sent += len(piece)
            reply = connection.recv(65536)
        except OSError:  # the server has already closed the connection
            with suppress(OSError):
                reply = connection.recv(65536)
    assert sent < 20 * guard.MAX_BODY_BYTES or reply.startswith(b"HTTP/1.1 413"), reply[:100]


def test_many_endless_uploads_do_not_block_searches(served: Served) -> None:
    head = (f"POST {API}/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n").encode()  # fmt: skip
    picture = (PHOTOS / "crab.jpg").read_bytes()
    connections = [socket.create_connection(("127.0.0.1", served.port), 30) for _ in range(12)]
    try:
        for connection in connections:
            connection.sendall(head)
        refused = 0
        for connection in connections:
            connection.settimeout(1.0)
            with suppress(TimeoutError):
                refused += connection.recv(100).startswith(b"HTTP/1.1 503")
        assert refused == len(connections) - guard.MAX_UPLOADS
        assert served.send_pictures(picture).status == 503
        assert served.get("/search", q="a crab")["hits"]
    finally:
        for connection in connections:
            connection.close()
    for _ in range(100):
        if (reply := served.send_pictures(picture)).status == 200:
            break
        time.sleep(0.1)
    assert reply.json["hits"]


def test_a_file_that_kills_its_decoder_costs_only_its_request(served: Served) -> None:
    for data in (b"\xff\xd8\xff\xe0" + b"\0" * 100, b"GIF89a", b"\0" * 1000, b"RIFF0000WEBP",
                 (PHOTOS / "owl.jpg").read_bytes()[:3000]):  # fmt: skip
        reply = served.send_pictures(data)
        assert reply.status in (200, 400)
        assert "Traceback" not in reply.body.decode()
    assert served.send_pictures((PHOTOS / "crab.jpg").read_bytes()).json["hits"]


def test_urls_and_results_are_limited(served: Served) -> None:
    assert served.ask(f"{API}/search", q="x" * 40_000).status == 414
    assert served.ask(f"{API}/search", q="x" * 60_000).status in (400, 414, 431)
    assert served.ask(f"{API}/search", q="x" * 10_001).status == 400
    assert served.ask(f"{API}/search", limit=100_000).status == 400
    assert served.ask(f"{API}/search", and_=["x"] * 33).status == 400
    assert served.ask(f"{API}/thumb/1", size=1_000_000).status == 400
    big = f"GET / HTTP/1.1\r\nHost: localhost\r\nX: {'x' * connections.MAX_HEAD_BYTES}\r\n"
    answer = b""
    with suppress(ConnectionError):  # closed before everything was sent
        answer = served.raw(big.encode() * 2)
    assert answer == b"" or answer[8:].startswith(b" 4")
    assert served.get("/status")["images"]


def test_a_request_sent_byte_by_byte_is_disconnected(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slowloris: many connections that never finish their first line."""

    def drip(start: bytes, result: list[float]) -> None:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", served.port), 60) as connection:
            connection.settimeout(0.5)
            connection.sendall(start)
            while time.monotonic() - began < 3 * connections.HEAD_TIMEOUT_SECONDS:
                try:
                    connection.sendall(b"X")
                    if connection.recv(100) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
        result.append(time.monotonic() - began)

    durations: list[float] = []
    first = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    starts = [b"G"] * 30 + [b""] * 5 + [first + b"G"] * 5
    threads = [threading.Thread(target=drip, args=(each, durations)) for each in starts]
    for thread in threads:
        thread.start()
    assert served.get("/status")["images"], "other clients are served meanwhile"
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
    assert len(durations) == len(starts)
    assert max(durations) < 2.5 * connections.HEAD_TIMEOUT_SECONDS


def test_a_client_is_limited_to_its_rate(light: Place) -> None:
    with serving(light.library, "--rate", 2) as served:
        statuses = [served.ask(f"{API}/search", limit=1).status for _ in range(12)]
        assert statuses[:3] == [200, 200, 200]
        assert 429 in statuses
        reply = next(r for _ in range(50) if (r := served.ask(f"{API}/search")).status == 429)
        assert int(reply.headers["retry-after"]) >= 1
        assert served.ask(f"{API}/health").status == 200, "other requests have their own limit"


def test_errors_contain_no_traceback(served: Served, place: Place) -> None:
    replies = [
        served.ask(f"{API}/search", where="((((" * 1000),
        served.ask(f"{API}/search", inside="\0", in_="\0"),
        served.ask(f"{API}/search", cursor="\u0000"),
        served.ask(f"{API}/search", near="nan,inf"),
        served.ask(f"{API}/search", "POST", b"\xff\xfe", JSON),
        served.ask(f"{API}/search", "POST", b"[" * 30_000, JSON),
        served.ask(f"{API}/search", "POST", b"--x", {"Content-Type": "multipart/form-data"}),
        served.ask(
            f"{API}/search", "POST", b"\0", {"Content-Type": "multipart/form-data; boundary="}
        ),
        served.ask(f"{API}/search", "POST", json.dumps({"q": "\ud800"}).encode(), JSON),
    ]
    for reply in replies:
        assert 400 <= reply.status < 500, reply.body
        text = reply.body.decode()
        assert "Traceback" not in text
        assert ".py" not in text


def test_an_internal_error_is_answered_briefly_and_logged_once(caplog) -> None:
    app = FastAPI()
    handle_problems(app)

    @app.get("/fault")
    def fail() -> None:
        raise ZeroDivisionError("a secret detail")

    server = guard.Guard(app, hosts_for("localhost"), Door(""), 5)
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http", "method": "GET", "path": "/fault", "raw_path": b"/fault",
        "headers": [(b"host", b"localhost")], "query_string": b"", "scheme": "http",
        "client": ("127.0.0.1", 1), "http_version": "1.1",
    }  # fmt: skip
    in_a_loop(server(scope, receive, send))
    assert [each["type"] for each in messages] == ["http.response.start", "http.response.body"]
    assert messages[0]["status"] == 500
    assert {"error", "hint"} <= set(json.loads(messages[1]["body"]))
    assert b"secret" not in messages[1]["body"]
    assert [record.name for record in caplog.records] == ["imgsearch.web"]


def test_invented_methods_share_one_label(served: Served) -> None:
    for number in range(3):
        served.ask(f"{API}/status", f"ODD{number}")
    assert b"ODD" not in served.ask(f"{API}/metrics").body


# Tokens


def test_other_machines_need_the_token(light: Place) -> None:
    library = light.library
    refused = process("--library", library, "serve", "--host", "0.0.0.0", "--port", 0)
    assert refused.status == 1
    assert "--new-token" in refused.err
    with serving(library, "--host", "0.0.0.0", "--new-token") as served:
        token = re.search(r"^Token: (\S+)$", served.printed, re.MULTILINE)
        assert token is not None
        _try_tokens(served, token[1])
    stored = (library / FILE).read_bytes()
    assert token[1].encode() not in stored
    assert stat.S_IMODE((library / FILE).stat().st_mode) == 0o600
    with serving(library, "--require-token") as served:
        assert token[1] not in served.printed, "it is shown only once"
        assert served.get_with(token[1], "/status")["locked"]
    # On this machine the token is required, too, if the user asks for it.
    with serving(library, "--host", "localhost", "--new-token") as served:
        bearer = {"Authorization": f"Bearer {token[1]}"}
        assert served.ask(f"{API}/status", headers=bearer).status == 401, (
            "the old token has expired"
        )


def _try_tokens(served: Served, token: str) -> None:
    for path in ("/search", "/status", "/thumb/1", "/original/1", "/metrics", "/openapi.json",
                 "/index/events", "/facets", "/images/1"):  # fmt: skip
        assert served.ask(API + path).status == 401, path
    assert served.ask("/").status == 200
    assert served.ask(f"{API}/health").status == 200
    for wrong in ("", "x", token[:-1], token + "x", token.swapcase()):
        headers = {"Authorization": f"Bearer {wrong}"}
        assert served.ask(f"{API}/status", headers=headers).status == 401
    assert served.get_with(token, "/status")["images"]
    reply = served.post("/session", {"token": "x"})
    assert reply.status == 401
    assert "set-cookie" not in reply.headers
    reply = served.post("/session", {"token": token})
    cookie = reply.headers["set-cookie"]
    assert reply.status == 204
    for part in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert part.lower() in cookie.lower()
    assert token not in cookie
    pair = cookie.split(";")[0]
    assert served.ask(f"{API}/status", headers={"Cookie": pair}).status == 200
    for forged in (pair[:-1], pair + "x", "imgsearch_session=", f"imgsearch_session={token}"):
        assert served.ask(f"{API}/status", headers={"Cookie": forged}).status == 401
    # An unknown host name is refused, an IP address is accepted.
    bearer = {"Authorization": f"Bearer {token}"}
    assert served.ask(f"{API}/status", headers=bearer | {"Host": "evil.example"}).status == 403
    assert served.ask(f"{API}/status", headers=bearer | {"Host": "192.0.2.1"}).status == 200
    # Guessing is slow.
    assert 429 in [served.post("/session", {"token": "x"}).status for _ in range(8)]


def test_an_upload_leaves_no_files(served: Served, place: Place) -> None:
    before = set(os.listdir(place.library))
    served.send_pictures((PHOTOS / "crab.jpg").read_bytes())
    assert set(os.listdir(place.library)) - before <= {"thumbnails"}
