"""The map by HTTP, and regions of it as a filter."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from imgsearch.curation.map import MapRegion, PictureMap
from imgsearch.serving import maps
from tests.cli.calls import Place, picture
from tests.web.server_process import API, Served, serving

pytestmark = pytest.mark.slow
WHOLE = "-2,-2;2,-2;2,2;-2,2"


@pytest.fixture(scope="module")
def place(copy_demo) -> Place:
    """The demo photos with clusters."""
    place = copy_demo()
    assert place.call("clusters", "-q").status == 0
    return place


@pytest.fixture(scope="module")
def own(place: Place) -> Iterator[Served]:
    with serving(place.library, "--rate", 100_000) as served:
        yield served


def unpacked(data: bytes) -> tuple[dict, np.ndarray, np.ndarray, np.ndarray]:
    """Header, ids, positions and clusters, read as the document says."""
    length = int.from_bytes(data[:4], "little")
    head, start, parts = json.loads(data[4 : 4 + length]), 4 + length, []
    for kind, width in (("<i8", 1), ("<u2", 2), ("<u2", 1)):
        assert start % 8 == 0
        part = np.frombuffer(data, kind, width * head["count"], start)
        parts.append(part)
        start += part.nbytes + -part.nbytes % 8
    assert start == len(data)
    ids, places, clusters = parts
    return head, ids, places.reshape(-1, 2) / 32767.5 - 1, clusters


def test_a_map_as_bytes(own: Served, place: Place) -> None:
    head, ids, positions, clusters = unpacked(own.ask(f"{API}/map").body)
    assert head["count"] == head["total"] == 44
    listed = place.call("map", "--json").json
    where = {each["id"]: (each["x"], each["y"]) for each in listed["points"]}
    assert ids.tolist() == sorted(where)
    for key, position in zip(ids.tolist(), positions, strict=True):
        assert tuple(position) == pytest.approx(where[key], abs=3e-5)
    named = {each["id"]: each["cluster"] for each in listed["points"]}
    regions = [None, *(each["id"] for each in head["regions"])]
    assert [regions[each] for each in clusters.tolist()] == [named[key] for key in ids.tolist()]
    assert all(0 < each["colour"] < len(head["palette"]) for each in head["regions"])


def test_it_is_sent_again_only_if_it_has_changed(own: Served) -> None:
    first = own.ask(f"{API}/map")
    again = own.ask(f"{API}/map", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    some = own.ask(f"{API}/map", type="jpeg")
    assert some.headers["etag"] != first.headers["etag"]
    assert 0 < unpacked(some.body)[0]["count"] < 44
    assert own.ask(f"{API}/map", type="gif").status == 400


def test_a_region_is_a_filter_of_searches_and_facets(own: Served) -> None:
    """The border runs where a JPEG and a picture of another type lie left of it: a map depends on
    the processor, because vectors do in their last digits."""
    _, ids, positions, _ = unpacked(own.ask(f"{API}/map").body)
    jpegs = {hit["id"] for hit in own.get("/search", type="jpeg", limit=500)["hits"]}
    order = sorted(zip(positions[:, 0].tolist(), ids.tolist(), strict=True))
    other = next(n for n, (_, key) in enumerate(order) if key not in jpegs)
    count = max(other + 1, len(order) // 2)
    left = {key for _, key in order[:count]}
    border = round((order[count - 1][0] + order[count][0]) / 2, 6)
    region = f"-2,-2;{border},-2;{border},2;-2,2"
    listed = own.get("/search", region=region, limit=500)
    assert {hit["id"] for hit in listed["hits"]} == left and listed["total"] == len(left)
    ranked = own.get("/search", q="a dog", all="true", region=region, limit=500)
    assert {hit["id"] for hit in ranked["hits"]} == left
    assert len(own.get("/search", region=WHOLE, limit=500)["hits"]) == 44
    some, every = (own.get("/timeline", **given) for given in ({"region": region}, {}))
    inside, total = (
        each["undated"] + sum(month["count"] for month in each["months"]) for each in (some, every)
    )
    assert 0 < inside < total
    groups = own.get("/dupes", region=region, level="shots")["groups"]
    shown = [image["id"] for group in groups for image in (group["keep"], *group["duplicates"])]
    assert {*shown} <= {hit["id"] for hit in listed["hits"]}
    counts = own.get("/facets", region=region, type="jpeg")
    both = own.get("/search", region=region, type="jpeg", limit=500)
    assert counts["total"] == len(both["hits"]) < len(left)
    assert own.get("/search", region="1.5,1.5;2,1.5;2,2")["hits"] == []


def test_pages_of_a_region(own: Served) -> None:
    first = own.get("/search", region=WHOLE, limit=20)
    rest = own.get("/search", region=WHOLE, limit=500, cursor=first["next"])
    ids = [hit["id"] for hit in (*first["hits"], *rest["hits"])]
    assert len(set(ids)) == len(ids) == 44
    other = own.ask(f"{API}/search", region="-1,-1;0,0;1,1", limit=20, cursor=first["next"])
    assert other.status in (400, 410), "the cursor belongs to another region"


@pytest.mark.parametrize(
    "region", ("1,2;3,4", "1", "a,b;c,d;e,f", "nan,0;1,1;0,1", "1e9,0;1,1;0,1", "0,0;" * 99 + "0,0")
)
def test_what_is_no_region_is_refused(own: Served, region: str) -> None:
    assert own.ask(f"{API}/search", region=region).status == 400


def test_a_search_in_a_region_is_not_saved(own: Served) -> None:
    reply = own.post("/saved", {"name": "left", "search": {"region": WHOLE}})
    assert reply.status == 400 and "region" in reply.json["detail"]


def test_a_library_of_one_picture_has_no_map(tmp_path) -> None:
    place = Place(tmp_path / "photos", tmp_path / "library")
    picture(place.photos / "a.jpg", 1)
    place.index()
    with serving(place.library) as served:
        reply = served.ask(f"{API}/map")
        assert reply.status == 400 and "two pictures" in reply.json["detail"]


def test_a_map_of_very_many_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(maps, "MAX_MAP_IMAGES", 100)
    rng = np.random.default_rng(0)
    positions = rng.uniform(-1, 1, (5001, 2)).astype(np.float32)
    region = MapRegion(7, "sea", None, 5001, 0.0, 0.0, ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    shown = PictureMap(
        "toy", "1", np.arange(5001) * 10**15, positions, np.full(5001, 7), (region,), 0
    )
    head, ids, places, clusters = unpacked(maps.packed(shown))
    assert (head["count"], head["total"]) == (100, 5001)
    assert np.allclose(places, positions[ids // 10**15], atol=3e-5) and (clusters == 1).all()
    quarters = (places[:, 0] > 0) * 2 + (places[:, 1] > 0)
    assert np.bincount(quarters).tolist() == [25] * 4, "from all over the map"
