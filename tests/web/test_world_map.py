"""Pictures on the map of the world, by HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imgsearch.errors import QueryError
from imgsearch.library import Library
from imgsearch.serving import world_map
from imgsearch.settings import Settings
from tests.cli.calls import Place
from tests.cli.test_search_options import photo
from tests.web.server_process import API, Served, serving

BELEM, ALFAMA, PORTO, SUVA, NOWHERE = "belem.jpg", "alfama.jpg", "porto.jpg", "suva.jpg", "n.jpg"
POSITIONS = {
    BELEM: (38.6916, -9.2160), ALFAMA: (38.7118, -9.1300), PORTO: (41.1496, -8.6110),
    SUVA: (-18.1368, 178.4253), NOWHERE: None,
}  # fmt: skip


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("world")
    place = Place(folder / "photos", folder / "library")
    for number, (name, position) in enumerate(POSITIONS.items()):
        if name != PORTO:
            photo(place.photos / name, number, gps=position)
    assert place.index()["added"] == len(POSITIONS) - 1
    photo(place.photos / PORTO, 9, gps=POSITIONS[PORTO])
    assert place.index()["added"] == 1
    return place


@pytest.fixture(scope="module")
def own(album: Place) -> Iterator[Served]:
    with serving(album.library, "--rate", 100_000) as served:
        yield served


def counts(answer: dict) -> list[tuple[int, str]]:
    return [(each["count"], each["place"]) for each in answer["clusters"]]


def test_clusters_split_as_the_zoom_grows(own: Served) -> None:
    assert own.get("/status")["located"] is True
    world = own.get("/places")
    assert (world["total"], world["located"]) == (5, 4)
    assert counts(world) == [(3, "Porto"), (1, "Suva")], "the cover is the one added last"
    assert counts(own.get("/places", zoom=6)) == [(2, "Lisbon"), (1, "Suva"), (1, "Porto")]
    assert len(own.get("/places", zoom=14)["clusters"]) == 4
    iberia = world["clusters"][0]
    assert iberia["latitude"] == pytest.approx((38.6916 + 38.7118 + 41.1496) / 3)
    assert iberia["cover"]["name"] == PORTO


def test_the_box_of_a_cluster_lists_its_pictures(own: Served) -> None:
    for zoom in (0, 6, 14, 20):
        for each in own.get("/places", zoom=zoom)["clusters"]:
            assert own.get("/search", box=each["box"])["total"] == each["count"]


def test_filters_choose_what_is_on_the_map(own: Served) -> None:
    assert counts(own.get("/places", box="38,-10,39,-9")) == [(2, "Lisbon")]
    across = own.get("/places", box="-20,170,-10,-170", where="has gps")
    assert counts(across) == [(1, "Suva")]
    nowhere = own.get("/places", name=NOWHERE)
    assert nowhere == {"total": 1, "located": 0, "clusters": []}
    assert own.ask(f"{API}/places", zoom=21).status == 400
    refused = own.ask(f"{API}/places", box="2,0,1,0")
    assert refused.status == 400 and "lies above its north" in refused.json["error"]


def test_facets_and_the_start_have_places(own: Served) -> None:
    facets = own.get("/facets")
    assert facets["countries"][0] == {"name": "Portugal", "count": 3}
    assert facets["cities"][0] == {"name": "Lisbon", "count": 2}
    assert own.get("/search", place="Lisbon")["total"] == 2
    places = own.get("/start")["places"]
    assert [(each["name"], each["count"]) for each in places] == [
        ("Lisbon", 2), ("Porto", 1), ("Suva", 1)
    ]  # fmt: skip
    assert own.ask(places[0]["thumb"]).headers["content-type"] == "image/webp"


def test_a_map_of_too_many_places_is_refused(album: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_map, "MAX_CELLS", 3)
    library = Library(Settings(library=str(album.library)))
    try:
        assert len(world_map.world_map(library, None, 6).clusters) == 3
        with pytest.raises(QueryError, match="more than 3 places") as caught:
            world_map.world_map(library, None, 14)
        assert "smaller box" in caught.value.hint
    finally:
        library.close()
