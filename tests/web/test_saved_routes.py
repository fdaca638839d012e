"""Saved searches by HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.calls import Place
from tests.web.server_process import API, Served, serving


@pytest.fixture(scope="module")
def own(copy_demo: Callable[[], Place]) -> Iterator[Served]:
    """A server of a library that these tests write to."""
    with serving(copy_demo().library, "--rate", 100_000) as served:
        yield served


def save(own: Served, name: str, replace: bool = False, **search: object) -> dict[str, object]:
    reply = own.post("/saved", {"name": name, "search": search, "replace": replace})
    assert reply.status == 201, reply.body
    return reply.json


def names(answer: dict[str, list[dict[str, object]]]) -> list[object]:
    return [each["name"] for each in answer["hits"]]


def test_a_saved_search_is_listed_run_renamed_and_removed(own: Served) -> None:
    search = {"q": "an animal", "not": ["people"], "all": True, "sort": "name"}
    kept = save(own, "Animals", **search)
    assert (kept["name"], kept["text"]) == ("Animals", "an animal, without people")
    assert own.get("/saved")["saved"] == [kept]
    query = {"q": "an animal", "not_": "people", "all": "true", "sort": "name", "limit": 9}
    expected = names(own.get("/search", **query))
    assert names(own.get("/search", saved="animals", limit=9)) == expected
    narrower = own.get("/search", saved="animals", name="o*", limit=9)
    assert names(narrower) and all(name.startswith("o") for name in names(narrower))
    renamed = own.post(f"/saved/{kept['id']}", {"name": "Beasts/50%"})
    assert (renamed.status, renamed.json["id"]) == (200, kept["id"])
    first = own.get("/search", saved="beasts/50%", limit=2)
    second = own.get("/search", saved="beasts/50%", limit=2, cursor=first["next"])
    assert names(first) + names(second) == expected[:4]
    assert own.ask(f"{API}/saved/{kept['id']}", "DELETE").status == 204
    assert own.ask(f"{API}/saved/{kept['id']}", "DELETE").status == 404
    assert own.ask(f"{API}/search?saved=beasts/50%25").status == 404


def test_a_refined_saved_search_is_saved_as_a_whole(own: Served) -> None:
    save(own, "first", q="a dog", after=["2000"])
    second = save(own, "second", saved="first", before=["2020"])
    assert second["text"] == "a dog, taken >= 2000-01-01 and taken < 2020-01-01"
    taken = own.post("/saved", {"name": "FIRST", "search": {"q": "x"}})
    assert taken.status == 409 and "already" in taken.json["detail"]
    assert save(own, "FIRST", replace=True, q="a cat")["text"] == "a cat"


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "search": {"q": "x"}},
        {"name": "a\nb\u202e", "search": {"q": "x"}},
        {"name": "x" * 201, "search": {"q": "x"}},
        {"name": "x", "search": {}},
        {"name": "x"},
        {"name": "x", "search": {"colour": "red"}},
        {"name": "x", "search": {"like": [999_999]}},
        [],
    ],
)
def test_what_cannot_be_saved_is_refused(own: Served, body: object) -> None:
    before = own.get("/saved")
    reply = own.post("/saved", body)
    assert reply.status == 400 and reply.json["hint"]
    assert own.get("/saved") == before


def test_pages_of_other_sites_and_clients_without_the_token_save_nothing(
    own: Served, demo: Place, tmp_path: Path
) -> None:
    body = {"name": "theirs", "search": {"q": "x"}}
    foreign = own.post("/saved", body, Origin="http://example.org")
    assert foreign.status == 403
    with serving(demo.library, "--new-token") as locked:
        for path, method in (("/saved", "GET"), ("/saved", "POST"), ("/saved/1", "DELETE")):
            assert locked.ask(API + path, method).status == 401
        assert locked.post("/saved", body).status == 401
