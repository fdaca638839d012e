"""The HTTP API of a real server process."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable

import pytest
from PIL import Image

from imgsearch.filters.options import filter_from
from imgsearch.library import Library
from imgsearch.searching.request import SearchRequest, Term
from tests.cli.calls import Place
from tests.conftest import PHOTOS, full_only
from tests.web.server_process import API, Served

COUNT = len(list(PHOTOS.iterdir()))


@pytest.fixture(scope="module")
def library(demo: Place) -> Library:
    from imgsearch.settings import Settings

    return Library(Settings(library=str(demo.library), device="cpu", threads=1))


def _names(answer: dict[str, object]) -> list[str]:
    hits = answer["hits"]
    assert isinstance(hits, list)
    return [hit["name"] for hit in hits]


@pytest.mark.parametrize(
    "text, minus, where",
    [
        ("a polar bear", [], {}),
        ("a bird", ["water"], {}),
        ("a mountain landscape", [], {"type": ("jpeg",), "min_size": ("500x500",)}),
    ],
)
def test_a_search_returns_the_hits_of_the_library(
    server: Served, library: Library, text: str, minus: list[str], where: dict[str, tuple[str, ...]]
) -> None:
    terms = [Term(text=text), *(Term(text=each, weight=-0.5) for each in minus)]
    query = SearchRequest(terms, 500, where=filter_from(where))
    expected = [(h.rank, h.image.id, h.named) for h in library.search(query)]
    assert expected
    answer = server.get("/search", q=text, not_=minus, **where)
    assert [(h["rank"], h["id"], h["named"]) for h in answer["hits"]] == expected
    assert answer["total"] == len(expected)
    assert not answer["by_date"]


def test_a_post_search_equals_a_get_search(server: Served) -> None:
    request = {"q": "a bird", "not": ["water^0.7"], "and": ["a tree"], "all": True, "limit": 9}
    plain = server.get("/search", q="a bird", not_="water^0.7", and_="a tree", all="1", limit=9)
    posted = server.post("/search", request).json
    form = server.send_pictures(q="a bird", not_="water^0.7", and_="a tree", all="1", limit="9")
    assert len(plain["hits"]) == 9
    for each in (posted, form.json):
        assert each["hits"] == plain["hits"]


@full_only
def test_searches_with_example_pictures(server: Served) -> None:
    owl = (PHOTOS / "owl.jpg").read_bytes()
    answer = server.send_pictures(owl).json
    assert answer["hits"][0]["name"] == "owl.jpg"
    heic = (PHOTOS / "horses.heic").read_bytes()
    assert server.send_pictures(heic).json["hits"][0]["name"] == "horses.heic"
    both = server.send_pictures(owl, heic, all="1").json
    assert set(_names(both)[:2]) == {"owl.jpg", "horses.heic"}


def test_like_unlike_and_feedback_take_ids(server: Served) -> None:
    owl, bear = server.id_of("owl.jpg"), server.id_of("polar_bear.jpg")
    similar = server.get(f"/similar/{owl}", all="1")
    assert similar["hits"][0]["id"] == owl
    assert similar["hits"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert server.get("/search", like=owl, all="1")["hits"] == similar["hits"]
    ranks = {}
    for name, more in (("plain", {}), ("good", {"good": bear}), ("bad", {"bad": bear})):
        hits = server.get("/search", q="an animal", all="1", mode="semantic", **more)["hits"]
        ranks[name] = next(hit["score"] for hit in hits if hit["id"] == bear)
    assert ranks["good"] > ranks["plain"] > ranks["bad"]
    away = server.get("/search", q="an animal", unlike=bear, all="1", mode="semantic")["hits"]
    assert next(hit["score"] for hit in away if hit["id"] == bear) < ranks["plain"]


def test_without_terms_all_pictures_are_listed_by_date(server: Served) -> None:
    answer = server.get("/search", limit=100)
    assert answer["by_date"]
    assert not answer["no_match"]
    assert answer["total"] == COUNT == len(answer["hits"])
    dates = [hit["taken_at"] for hit in answer["hits"] if hit["taken_at"]]
    assert dates == sorted(dates, reverse=True)
    assert answer["hits"][0]["taken_at"], "pictures without a date come last"


def test_pages_add_up_to_the_whole_list(server: Served) -> None:
    for query in ({}, {"q": "an animal", "all": "1"}):
        whole = server.get("/search", limit=500, **query)
        pages, cursor = [], None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = server.get("/search", limit=7, **query, **more)
            pages += page["hits"]
            cursor = page["next"]
            if cursor is None:
                break
        assert pages == whole["hits"]


def test_pages_of_another_order_add_up_to_the_whole_list(server: Served) -> None:
    for query in ({}, {"q": "an animal", "all": "true"}):
        names, cursor = [], {}
        while True:
            answer = server.get("/search", sort="name", limit=17, **query, **cursor)
            names += _names(answer)
            if answer["next"] is None:
                break
            cursor = {"cursor": answer["next"]}
        assert names == sorted(names) and len(names) == COUNT


def test_a_cursor_belongs_to_its_search(server: Served) -> None:
    cursor = server.get("/search", limit=3)["next"]
    assert server.ask(f"{API}/search", limit=3, cursor=cursor, q="a dog").status == 400
    assert server.ask(f"{API}/search", limit=3, cursor=cursor + "9").status == 410
    for invalid in ("x", "....", "\u00e9", "A" * 200):
        assert server.ask(f"{API}/search", limit=3, cursor=invalid).status == 410


@pytest.mark.parametrize("strength", ["50%", "50", "0.5"])
def test_a_strength_is_read_as_the_table_shows_it(server: Served, strength: str) -> None:
    expected = server.get("/search", q="a bird", mode="semantic", min_strength=0.5)["hits"]
    assert expected and all(hit["strength"] >= 0.5 for hit in expected)
    assert all(hit["matched"] == ["meaning"] for hit in expected)
    hits = server.get("/search", q="a bird", mode="semantic", min_strength=strength)["hits"]
    assert hits == expected


def test_no_match_is_reported(server: Served) -> None:
    answer = server.get("/search", q="qqqq zzzz", mode="text")
    assert (answer["hits"], answer["no_match"], answer["total"]) == ([], True, 0)
    answer = server.get("/search", q="a dog", camera="no such camera")
    assert "No picture passes the filter" in answer["note"]


def test_copies_are_folded(server: Served) -> None:
    answer = server.get("/search", q="an animal", all="1", unique="1")
    whole = server.get("/search", q="an animal", all="1")
    assert len(answer["hits"]) + sum(hit["duplicates"] for hit in answer["hits"]) == len(
        whole["hits"]
    )


def test_thumbnails_are_upright_webp_of_fixed_sizes(server: Served, demo: Place) -> None:
    image_id = server.id_of("horses.heic")
    details = server.get(f"/images/{image_id}")
    for size, side in ((1, 256), (256, 256), (300, 384), (600, 768), (4000, 1024)):
        reply = server.ask(f"{API}/thumb/{image_id}", size=size)
        assert reply.headers["content-type"] == "image/webp"
        with Image.open(io.BytesIO(reply.body)) as image:
            assert image.format == "WEBP"
            assert max(image.size) <= side
            upright = details["width"] / details["height"]
            assert image.width / image.height == pytest.approx(upright, rel=0.02)
    cached = list((demo.library / "thumbnails").rglob(f"{details['content_hash']}-*.webp"))
    assert {path.name.rsplit("-", 1)[1] for path in cached} == {
        f"{side}.webp" for side in (256, 384, 768, 1024)
    }
    hit = server.get("/search", name="horses.heic")["hits"][0]
    assert "immutable" in server.ask(hit["thumb"]).headers["cache-control"]
    assert "immutable" not in server.ask(f"{API}/thumb/{image_id}", v="0").headers["cache-control"]


def test_originals_are_sent_unchanged_or_as_jpeg(server: Served) -> None:
    owl, horses = server.id_of("owl.jpg"), server.id_of("horses.heic")
    reply = server.ask(f"{API}/original/{owl}")
    assert reply.body == (PHOTOS / "owl.jpg").read_bytes()
    assert reply.headers["content-type"] == "image/jpeg"
    reply = server.ask(f"{API}/original/{horses}")
    assert reply.body == (PHOTOS / "horses.heic").read_bytes()
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"].startswith("attachment")
    reply = server.ask(f"{API}/original/{horses}", as_="jpeg")
    with Image.open(io.BytesIO(reply.body)) as image:
        assert image.format == "JPEG"


@pytest.mark.parametrize(
    "header, status, first, last",
    [
        ("bytes=0-0", 206, 0, 0),
        ("bytes=100-199", 206, 100, 199),
        ("Bytes = 100-", 206, 100, -1),
        ("bytes=-50", 206, -50, -1),
        ("bytes=-99999999999", 206, 0, -1),
        ("bytes=10-99999999999", 206, 10, -1),
        ("bytes=99999999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=9-3", 200, 0, -1),
        ("bytes=0-9,20-29", 200, 0, -1),
        ("bytes=-", 200, 0, -1),
        ("bytes=1e3-", 200, 0, -1),
        ("bytes=" + "9" * 40 + "-", 200, 0, -1),
        ("lines=0-9", 200, 0, -1),
    ],
)
def test_parts_of_an_original(
    server: Served, header: str, status: int, first: int, last: int
) -> None:
    whole = (PHOTOS / "owl.jpg").read_bytes()
    path = f"{API}/original/{server.id_of('owl.jpg')}"
    reply = server.ask(path, headers={"Range": header})
    assert reply.status == status
    if status == 416:
        assert reply.headers["content-range"] == f"bytes */{len(whole)}"
        assert reply.json["hint"]
        return
    assert reply.headers["accept-ranges"] == "bytes"
    first, last = first % len(whole), last % len(whole)
    assert reply.body == whole[first : last + 1]
    assert reply.headers["content-length"] == str(last + 1 - first)
    content_range = reply.headers.get("content-range")
    assert content_range == (f"bytes {first}-{last}/{len(whole)}" if status == 206 else None)


def test_conditional_requests_for_an_original(server: Served) -> None:
    path = f"{API}/original/{server.id_of('owl.jpg')}"
    tag = server.ask(path).headers["etag"]
    size = (PHOTOS / "owl.jpg").stat().st_size

    def status(**headers: str) -> int:
        reply = server.ask(path, headers={n.replace("_", "-"): v for n, v in headers.items()})
        assert reply.status not in (304, 412) or len(reply.body) < size
        return reply.status

    assert tag.startswith('"')
    assert status(If_None_Match=tag) == status(If_None_Match=f'"x", W/{tag}') == 304
    assert status(If_None_Match="*") == 304
    assert status(If_None_Match='"another"') == status(If_None_Match=tag.strip('"')) == 200
    assert status(If_Match=tag) == status(If_Match="*") == 200
    assert status(If_Match='"another"') == status(If_Match=f"W/{tag}") == 412
    assert status(Range="bytes=0-9", If_Range=tag) == 206
    for other in ('"another"', f"W/{tag}", "Mon, 23 Nov 2026 00:00:00 GMT"):
        assert status(Range="bytes=0-9", If_Range=other) == 200
    assert status(Range="bytes=0-9", If_None_Match=tag) == 304


def test_head_requests_return_headers_only(server: Served) -> None:
    owl = server.id_of("owl.jpg")
    for path in (f"/original/{owl}", f"/thumb/{owl}", f"/original/{owl}?as=jpeg"):
        head, full = server.ask(API + path, "HEAD"), server.ask(API + path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(full.body))
        for name in ("content-type", "cache-control", "content-security-policy", "etag"):
            assert head.headers.get(name) == full.headers.get(name)
    ranged = server.ask(f"{API}/original/{owl}", "HEAD", headers={"Range": "bytes=0-9"})
    assert (ranged.status, "content-range" in ranged.headers) == (200, False)
    assert server.ask(f"{API}/original/999999", "HEAD").status == 404


def test_facets_add_up(server: Served, library: Library) -> None:
    answer = server.get("/facets")
    assert answer["total"] == COUNT
    assert answer["dated"] == sum(sum(year["months"]) for year in answer["years"])
    assert answer["dated"] == library.catalog.count(filter_from({"has": ["date"]}))
    assert sum(folder["count"] for folder in answer["folders"]) == COUNT
    assert answer["folders"][0]["path"] == str(PHOTOS)
    assert {each["name"]: each["count"] for each in answer["types"]}["HEIF"] == 1
    some = server.get("/facets", type="heic")
    assert some["total"] == 1
    assert [each["name"] for each in some["types"]] == ["HEIF"]


def test_status_health_and_metrics(server: Served) -> None:
    answer = server.get("/status")
    assert (answer["images"], answer["model"], answer["locked"]) == (COUNT, "builtin", False)
    assert answer["indexing"] is None
    assert server.get("/health") == {"status": "ok"}
    server.get("/search", q="a walrus")
    text = server.ask(f"{API}/metrics").body.decode()
    assert 'route="/search"' in text
    for step in ("queue", "model", "encode", "search", "fetch"):
        assert f'imgsearch_step_seconds_count{{step="{step}"}}' in text
    assert "imgsearch_resident_bytes" in text
    # Without a GPU the metric is missing, not zero.
    assert "imgsearch_gpu" not in text


def test_the_openapi_document_describes_every_route(server: Served) -> None:
    document = server.get("/openapi.json")
    paths = {path.removeprefix(API) for path in document["paths"]}
    assert paths >= {"/search", "/similar/{image_id}", "/images/{image_id}", "/thumb/{image_id}"}
    assert paths >= {"/original/{image_id}", "/facets", "/status", "/health", "/metrics", "/index"}
    assert "a dog on the beach" in json.dumps(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), f"{method} {path} is not described"


@pytest.mark.parametrize(
    "ask, status",
    [
        (lambda s: s.ask(f"{API}/search", limit=501), 400),
        (lambda s: s.ask(f"{API}/search", limit="many"), 400),
        (lambda s: s.ask(f"{API}/search", where="width >"), 400),
        (lambda s: s.ask(f"{API}/search", after="yesterday"), 400),
        (lambda s: s.ask(f"{API}/search", colour="red"), 400),
        (lambda s: s.ask(f"{API}/search", q="a dog", not_="people^-1"), 400),
        (lambda s: s.ask(f"{API}/search", not_="people"), 400),
        (lambda s: s.ask(f"{API}/search", like=999_999), 400),
        (lambda s: s.ask(f"{API}/images/999999"), 404),
        (lambda s: s.ask(f"{API}/images/abc"), 400),
        (lambda s: s.ask(f"{API}/images/{2**63}"), 400),
        (lambda s: s.ask(f"{API}/nothing"), 404),
        (lambda s: s.ask(f"{API}/search", "PUT"), 405),
        (lambda s: s.post("/search", [1]), 400),
        (lambda s: s.ask(f"{API}/search", "POST", b"{", {"Content-Type": "application/json"}), 400),
        (lambda s: s.ask(f"{API}/search", "POST", b"x", {"Content-Type": "text/plain"}), 400),
        (lambda s: s.send_pictures(b"no picture at all"), 400),
        (lambda s: s.send_pictures(*[b"x"] * 9), 400),
    ],
)
def test_invalid_requests_are_answered_with_a_hint(
    server: Served, ask: Callable[[Served], object], status: int
) -> None:
    reply = ask(server)
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json
    assert set(problem) == {"type", "title", "status", "detail", "error", "hint"}
    assert problem["error"] == problem["detail"] != ""
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert not re.search(
        r"Input should|Field required|String should|Extra inputs", problem["error"]
    )


@pytest.mark.parametrize(
    "query, error",
    [
        ({"limit": 501}, "limit can be at most 500"),
        ({"limit": 0}, "limit has to be at least 1"),
        ({"limit": "many"}, "limit has to be a whole number"),
        ({"colour": "red"}, "there is no parameter colour"),
        ({"like": [1] * 100}, "like can have at most 32 values"),
        ({"q": "x" * 2001}, "q can have at most 2000 characters"),
        ({"unique": "perhaps"}, "unique has to be true or false"),
        ({"min_strength": "weak"}, "'weak' is not a strength"),
        ({"mode": "magic"}, "mode has to be 'hybrid', 'semantic' or 'text'"),
        ({"not_": ["x"] * 33}, "not can have at most 32 values"),
    ],
)
def test_what_is_wrong_is_a_sentence(server: Served, query: dict[str, object], error: str) -> None:
    assert server.ask(f"{API}/search", **query).json["error"] == error
