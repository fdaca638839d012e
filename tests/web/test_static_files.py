"""The files of the page: compressed, and kept by browsers under the version of all of them."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from pathlib import Path

from PIL import Image

from imgsearch.web import static_files
from tests.cli.calls import Place
from tests.conftest import PHOTOS
from tests.web.server_process import API, Served

GZIP = {"Accept-Encoding": "br, gzip;q=0.8"}


def test_versioned_files_are_kept_and_others_are_asked_for_again(server: Served) -> None:
    page = server.ask("/")
    assert page.headers["cache-control"] == "no-cache"
    names = re.findall(r'"(static/[^"]+)"', page.body.decode())
    assert len(names) > 8
    assert {name.split("/")[1] for name in names} == {f"~{static_files.version()}"}
    for name in names:
        reply = server.ask(f"/{name}")
        assert reply.status == 200
        assert reply.headers["cache-control"] == "private, max-age=31536000, immutable"
        plain = re.sub(r"~\w+/", "", name)
        assert server.ask(f"/{plain}").headers["cache-control"] == "no-cache"
    words = server.ask(f"/static/~{static_files.version()}/words/de.json", headers=GZIP)
    assert words.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert words.headers["content-encoding"] == "gzip" and words.headers["etag"]
    other = server.ask(f"/static/~{'0' * 16}/js/main.js")
    assert other.status == 200, "a page that was loaded before an update"
    assert other.headers["cache-control"] == "no-cache"
    for path in ("~x/js/main.js", f"~{'0' * 16}/~{'0' * 16}/js/main.js", f"~{'0' * 16}/../x.js"):
        assert server.ask(f"/static/{path}").status == 404


def test_files_are_compressed_for_those_who_accept_it(server: Served) -> None:
    path = "/static/js/main.js"
    plain = server.ask(path)
    packed = server.ask(path, headers=GZIP)
    assert "content-encoding" not in plain.headers and plain.headers["vary"] == "accept-encoding"
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert packed.headers["etag"] != plain.headers["etag"]
    again = server.ask(path, headers=GZIP | {"If-None-Match": packed.headers["etag"]})
    assert again.status == 304 and again.body == b""
    for refusing in ("gzip;q=0", "br", "identity", "gzip;q=0.000, br"):
        reply = server.ask(path, headers={"Accept-Encoding": refusing})
        assert "content-encoding" not in reply.headers, refusing


def test_selected_pictures_come_as_one_file(server: Served, demo: Place) -> None:
    ids = [server.id_of(name) for name in ("koala.jpg", "owl.jpg")]
    reply = server.ask(f"{API}/zip", id=[*ids, ids[0], 10**9])
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/zip"
    assert reply.headers["content-disposition"] == 'attachment; filename="pictures.zip"'
    with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
        assert archive.namelist() == ["koala.jpg", "owl.jpg"]
        assert archive.read("owl.jpg") == Path(PHOTOS / "owl.jpg").read_bytes()


def test_a_download_of_nothing_or_of_too_much_is_refused(server: Served) -> None:
    assert server.ask(f"{API}/zip").status == 400
    assert server.ask(f"{API}/zip", id=10**9).status == 404
    assert server.ask(f"{API}/zip", id=range(1, 502)).status == 400
    assert server.ask(f"{API}/zip", id="../x").status == 400


def test_what_an_installed_page_needs_lies_beside_it_and_follows_the_version(
    server: Served,
) -> None:
    manifest = server.ask("/manifest.webmanifest")
    assert manifest.headers["content-type"] == "application/manifest+json"
    assert (manifest.json["start_url"], manifest.json["scope"]) == ("./", "./"), "below any path"
    sizes = []
    for each in manifest.json["icons"]:
        reply = server.ask(f"/{each['src']}")
        assert (reply.status, reply.headers["content-type"]) == (200, each["type"])
        if each["type"] == "image/png":
            with Image.open(io.BytesIO(reply.body)) as image:
                sizes.append(image.size)
                assert each["sizes"] == f"{image.width}x{image.height}"
                if each.get("purpose") == "maskable":
                    assert image.convert("RGBA").getextrema()[3] == (255, 255), "fills its mask"
    assert sizes == [(192, 192), (512, 512), (512, 512)]
    worker = server.ask("/worker.js")
    assert worker.headers["content-type"].startswith("text/javascript")
    assert worker.headers["cache-control"] == "no-cache"
    assert f'"static/~{static_files.version()}/css/base.css"' in worker.body.decode()
    assert "/api/" not in worker.body.decode()
    shell = server.ask("/offline.html").body.decode()
    for name in re.findall(r'"(static/[^"]+)"', shell):
        assert server.ask(f"/{name}").status == 200
        assert f'"{name}"' in worker.body.decode(), "the worker keeps it"
    assert server.ask("/index.html").status == server.ask("/worker.css").status == 404
