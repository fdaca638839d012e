"""Proxies: what is believed of which address, and paths below a prefix."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from imgsearch.errors import ImgSearchError
from imgsearch.web.hosts import checked_origin
from imgsearch.web.proxies import (
    Proxies,
    checked_root_path,
    client_key,
    parsed_networks,
    route_path,
)
from tests.cli.calls import Place, process
from tests.conftest import full_only
from tests.web.fronts import Front, behind_caddy, behind_nginx
from tests.web.server_process import API, Served, serving

Behind = Callable[[Path, int], AbstractContextManager[Front]]
TRUSTED = Proxies(parsed_networks("127.0.0.1, 10.0.0.0/8,fd00::/8"))


def _scope(peer: str, path: str = "/", **headers: str) -> dict[str, Any]:
    pairs = [
        (name.replace("_", "-").encode(), value.encode())
        for name, values in headers.items()
        for value in values.split("|")
    ]
    return {
        "type": "http", "client": (peer, 5), "scheme": "http", "path": path,
        "raw_path": path.encode(), "root_path": "", "headers": pairs,
    }  # fmt: skip


@pytest.mark.parametrize(
    "peer, forwarded, client",
    [
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),  # the first may be forged
        ("127.0.0.1", "198.51.100.1, 203.0.113.7, 10.1.1.1", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1|203.0.113.7", "203.0.113.7"),  # two headers are one list
        ("127.0.0.1", "10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7, unknown, 10.1.1.1", "10.1.1.1"),
        ("127.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("127.0.0.1", "[2001:db8::1]:80", "2001:db8::1"),
        ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("fd00::1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("192.0.2.1", "203.0.113.7", "192.0.2.1"),  # not trusted
        ("127.0.0.2", "203.0.113.7", "127.0.0.2"),
    ],
)
def test_the_client_is_the_last_address_that_is_not_a_trusted_proxy(
    peer: str, forwarded: str, client: str
) -> None:
    assert TRUSTED.resolved(_scope(peer, x_forwarded_for=forwarded))["client"][0] == client


@pytest.mark.parametrize(
    "peer, proto, scheme",
    [
        ("127.0.0.1", "https", "https"),
        ("127.0.0.1", "HTTPS", "https"),
        ("127.0.0.1", "https, http", "http"),
        ("127.0.0.1", "gopher", "http"),
        ("192.0.2.1", "https", "http"),
    ],
)
def test_the_scheme_is_that_of_the_nearest_trusted_proxy(
    peer: str, proto: str, scheme: str
) -> None:
    assert TRUSTED.resolved(_scope(peer, x_forwarded_proto=proto))["scheme"] == scheme


@pytest.mark.parametrize(
    "peer, root_path, header, path, resolved",
    [
        ("127.0.0.1", "/photos", "", "/photos/api", ("/photos", "/photos/api", "/api")),
        ("192.0.2.1", "/photos", "", "/api", ("/photos", "/photos/api", "/api")),
        ("192.0.2.1", "/photos", "", "/photos", ("/photos", "/photos", "")),
        ("192.0.2.1", "/photos", "", "/photoset", ("/photos", "/photos/photoset", "/photoset")),
        ("127.0.0.1", "", "/a/b/", "/x", ("/a/b", "/a/b/x", "/x")),
        ("127.0.0.1", "/photos", "/a", "/x", ("/photos", "/photos/x", "/x")),
        ("192.0.2.1", "", "/a", "/x", ("", "/x", "/x")),
        ("127.0.0.1", "", "//evil.example", "/x", ("", "/x", "/x")),
        ("127.0.0.1", "", "/a\r\nX: y", "/x", ("", "/x", "/x")),
        ("127.0.0.1", "", "/../a", "/x", ("", "/x", "/x")),
        ("127.0.0.1", "", "/" + "a" * 5000, "/x", ("", "/x", "/x")),
    ],
)
def test_a_path_has_its_prefix_once_whether_the_proxy_removes_it_or_not(
    peer: str, root_path: str, header: str, path: str, resolved: tuple[str, str, str]
) -> None:
    proxies = Proxies(TRUSTED.networks, root_path)
    scope = proxies.resolved(_scope(peer, path, x_forwarded_prefix=header))
    assert (scope["root_path"], scope["path"], route_path(scope)) == resolved
    assert scope["raw_path"].decode() == resolved[1]


def test_a_client_is_an_ipv4_address_or_a_network_of_ipv6() -> None:
    assert client_key("192.0.2.1") == client_key("::ffff:192.0.2.1") == "192.0.2.1"
    assert client_key("2001:db8::1") == client_key("2001:db8::ffff:1") != client_key("2001:db9::1")
    assert client_key("") == "" and client_key("testclient") == "testclient"


@pytest.mark.parametrize(
    "check, text",
    [
        (parsed_networks, "nginx"),
        (parsed_networks, "*"),
        (parsed_networks, "10.0.0.0/99"),
        (checked_root_path, "/api"),
        (checked_root_path, "/static/x"),
        (checked_root_path, "//evil.example"),
        (checked_root_path, "/a b"),
        (checked_root_path, "/.."),
        (checked_root_path, "https://evil.example/"),
        (checked_origin, "*"),
        (checked_origin, "null"),
        (checked_origin, "app.example"),
        (checked_origin, "https://app.example/path"),
        (checked_origin, "file://x"),
    ],
)
def test_values_that_cannot_be_used_are_refused_with_a_hint(check: Any, text: str) -> None:
    with pytest.raises(ImgSearchError) as raised:
        check(text)
    assert text in str(raised.value) and "such as" in raised.value.hint


def test_spellings_of_a_prefix_and_an_origin() -> None:
    assert [checked_root_path(text) for text in ("", "/", "photos", "/a/b/")] == [
        "", "", "/photos", "/a/b",
    ]  # fmt: skip
    assert checked_origin("https://App.example:8443/") == "https://app.example:8443"


# A server


@pytest.fixture(scope="module")
def proxied(light_library: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that trusts this machine as its proxy, below /photos."""
    from tests.crash.process import environment

    library = tmp_path_factory.mktemp("proxied") / "library"
    shutil.copytree(light_library.library, library)
    options = ("--trust-proxy", "127.0.0.1", "--root-path", "/photos", "--new-token")
    more = ("--allow-host", "photos.example", "--allow-origin", "https://app.example")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        with serving(library, *options, *more) as served:
            yield served


def _token(served: Served) -> str:
    match = re.search(r"^Token: (\S+)$", served.printed, re.MULTILINE)
    assert match is not None
    return match[1]


@pytest.mark.slow
@full_only
def test_a_server_behind_a_proxy_needs_a_token(light: Place) -> None:
    refused = process("--library", light.library, "serve", "--trust-proxy", "127.0.0.1")
    assert refused.status == 1
    assert "behind a proxy" in refused.err and "--new-token" in refused.err
    refused = process("--library", light.library, "serve", "--trust-proxy", "nginx")
    assert refused.status == 1 and "'nginx' is not the address of a proxy" in refused.err


@pytest.mark.slow
def test_sign_in_tries_count_per_real_client(proxied: Served) -> None:
    """A client cannot escape by forging the beginning of the list."""

    def statuses(client: str) -> list[int]:
        return [
            proxied.post(
                "/session", {"token": "x"}, **{"X-Forwarded-For": f"198.51.100.{each}, {client}"}
            ).status
            for each in range(8)
        ]

    assert 429 in statuses("203.0.113.7")
    assert statuses("203.0.113.8")[0] == 401
    assert statuses("203.0.113.7")[0] == 429


@pytest.mark.slow
def test_the_cookie_is_secure_with_tls_and_has_the_path_of_the_page(proxied: Served) -> None:
    def cookie(**headers: str) -> str:
        reply = proxied.post("/session", {"token": _token(proxied)}, **headers)
        assert reply.status == 204
        return reply.headers["set-cookie"]

    secure = cookie(**{"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.20"})
    assert "; Secure" in secure and "; Path=/photos/" in secure
    plain = cookie(**{"X-Forwarded-For": "203.0.113.21"})
    assert "Secure" not in plain and "; Path=/photos/" in plain


@pytest.mark.slow
def test_links_redirects_and_the_document_have_the_prefix(proxied: Served) -> None:
    bearer = {"Authorization": f"Bearer {_token(proxied)}"}
    assert proxied.url.endswith("/photos/"), "the page below its prefix"
    for prefix in ("", "/photos"):  # removed by the proxy, or not
        reply = proxied.ask(f"{prefix}{API}/search", headers=bearer)
        hit = reply.json["hits"][0]
        assert hit["thumb"].startswith(f"/photos{API}/thumb/{hit['id']}?v=")
        assert proxied.ask(hit["thumb"], headers=bearer).headers["content-type"] == "image/webp"
        details = proxied.ask(f"{prefix}{API}/images/{hit['id']}", headers=bearer).json
        assert details["original"] == f"/photos{API}/original/{hit['id']}"
        assert proxied.ask(f"{prefix}/static/js/main.js").status == 200
        document = proxied.ask(f"{prefix}{API}/openapi.json", headers=bearer).json
        assert document["servers"] == [{"url": "/photos"}]
    page = proxied.ask("/photos/").body.decode()
    assert not re.search(r'(?:href|src|action)="/', page), "links are relative"
    redirect = proxied.ask("/photos")
    assert (redirect.status, redirect.headers["location"]) == (308, "/photos/")
    slash = proxied.ask(f"/photos{API}/search/", headers=bearer | {"X-Forwarded-Proto": "https"})
    assert slash.status in (307, 404)
    if slash.status == 307:
        assert slash.headers["location"].startswith("https://127.0.0.1")
        assert f"/photos{API}/search" in slash.headers["location"]


@pytest.mark.slow
def test_pages_of_an_allowed_origin_may_use_the_api(proxied: Served) -> None:
    bearer = {"Authorization": f"Bearer {_token(proxied)}"}
    ours = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = proxied.ask(f"{API}/search", "OPTIONS", headers=ours | ask)
    assert preflight.status == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    reply = proxied.ask(f"{API}/search", "POST", b"{}",
                        ours | bearer | {"Content-Type": "application/json"})  # fmt: skip
    assert reply.status == 200 and reply.json["hits"]
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in reply.headers
    refused = proxied.ask(f"{API}/search", headers=ours)
    assert refused.status == 401
    assert "access-control-allow-origin" in refused.headers, "its page can read why"
    for origin in ("https://evil.example", "null", "https://app.example.evil.example"):
        other = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        reply = proxied.ask(f"{API}/search", headers=other | bearer)
        assert reply.status == 403 and "access-control-allow-origin" not in reply.headers
        preflight = proxied.ask(f"{API}/search", "OPTIONS", headers=other | ask)
        assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.slow
@pytest.mark.parametrize("behind", [behind_nginx, behind_caddy])
def test_the_recipe_for_a_proxy_works(behind: Behind, proxied: Served, tmp_path: Path) -> None:
    bearer = {"Authorization": f"Bearer {_token(proxied)}", "Host": "photos.example"}
    with behind(tmp_path, proxied.port) as front:
        bare = front.ask("/photos", headers={"Host": "photos.example"})
        assert bare.status in (301, 302, 308) and bare.headers["location"].endswith("/photos/")
        reply = front.ask(f"/photos{API}/search", headers=bearer)
        assert reply.status == 200 and reply.json["hits"]
        thumb = front.ask(reply.json["hits"][0]["thumb"], headers=bearer)
        assert thumb.headers["content-type"] == "image/webp"
        # The same origin as the page's, and a client that forges an address.
        sent = {"Origin": "https://photos.example", "X-Forwarded-For": "203.0.113.99",
                "Content-Type": "application/json", "Host": "photos.example"}  # fmt: skip
        body = b'{"token": "%s"}' % _token(proxied).encode()
        signed = front.ask(f"/photos{API}/session", "POST", body, sent)
        assert signed.status == 204
        assert "; Secure" in signed.headers["set-cookie"]
        assert "; Path=/photos/" in signed.headers["set-cookie"]
        tries = [
            front.ask(f"/photos{API}/session", "POST", b'{"token": "x"}',
                      sent | {"X-Forwarded-For": f"203.0.113.{each}"}).status
            for each in range(8)
        ]  # fmt: skip
        assert 429 in tries
        evil = front.ask(f"/photos{API}/status", headers=bearer | {"Host": "evil.example"})
        assert evil.status == 403 or not evil.body, "refused by us, or by the proxy without a word"
