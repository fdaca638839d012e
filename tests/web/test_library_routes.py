"""The contents of a library, by HTTP: its start, clusters and duplicates."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from imgsearch.web.tokens import new_token
from tests.cli.calls import Place, picture
from tests.conftest import CHECKOUT, PHOTOS, full_only
from tests.web.server_process import API, Served, serving

DATE_TIME_ORIGINAL = 0x9003
TAKEN = (datetime(2012, 3, 5), datetime(2014, 3, 5), datetime(2014, 7, 1, 12), datetime(2014, 7, 9))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Four dated pictures, and two photos with copies."""
    folder = tmp_path_factory.mktemp("library")
    place = Place(folder / "photos", folder / "library")
    for number, taken in enumerate(TAKEN):
        path = picture(place.photos / f"block {number}.jpg", number)
        with Image.open(path) as image:
            exif = Image.Exif()
            exif.get_ifd(0x8769)[DATE_TIME_ORIGINAL] = f"{taken:%Y:%m:%d %H:%M:%S}"
            image.save(path, exif=exif)
    for name in ("koala.jpg", "owl.jpg"):
        shutil.copy(PHOTOS / name, place.photos / f"z {name}")
        with Image.open(PHOTOS / name) as image:
            image.resize((image.width // 2, image.height // 2)).save(
                place.photos / f"small {name}", quality=90
            )
        shutil.copy(PHOTOS / name, place.photos / f"y {name}")
    place.index()
    return place


@pytest.fixture(scope="module")
def own(place: Place) -> Iterator[Served]:
    with serving(place.library, "--rate", 100_000) as served:
        yield served


def test_the_start_has_periods_anniversaries_and_what_came_last(own: Served) -> None:
    begin = own.get("/start", day="03-05")
    assert [(each["year"], each["month"], each["count"]) for each in begin["months"][-3:]] == [
        (2014, 7, 2), (2014, 3, 1), (2012, 3, 1)
    ]  # fmt: skip
    counts = {each["year"]: each["count"] for each in begin["years"]}
    assert (counts[2014], counts[2012]) == (3, 1)
    assert all(each["month"] is None for each in begin["years"])
    assert [each["name"] for each in begin["on_this_day"]] == ["block 1.jpg", "block 0.jpg"]
    assert len(begin["recent"]) == 10
    for each in (*begin["months"], *begin["years"], *begin["recent"]):
        assert own.ask(each["thumb"]).headers["content-type"] == "image/webp"
    assert begin["saved"] == [] and begin["clusters"]["clusters"] == []
    listed = own.get("/search", after="2014-07", before="2014-08")
    assert listed["total"] == 2, "as many as the tile says"


def test_the_timeline_counts_months_of_what_passes_the_filters(own: Served) -> None:
    whole = own.get("/timeline")
    assert [tuple(each.values()) for each in whole["months"] if each["year"] < 2015] == [
        (2014, 7, 2), (2014, 3, 1), (2012, 3, 1)
    ]  # fmt: skip
    assert sum(each["count"] for each in whole["months"]) + whole["undated"] == 10
    some = own.get("/timeline", name="block", after="2013")
    assert some == {
        "months": [
            {"year": 2014, "month": 7, "count": 2},
            {"year": 2014, "month": 3, "count": 1},
        ],
        "undated": 0,
    }
    assert own.get("/timeline", where="not has date")["undated"] == whole["undated"]


def test_days_that_make_no_sense_are_refused(own: Served) -> None:
    for day in ("13-01", "1-1", "02-30x", "'"):
        assert own.ask(f"{API}/start", day=day).status == 400
    assert own.get("/start", day="02-29")["on_this_day"] == []


@full_only
@pytest.mark.slow
def test_clusters_are_those_that_were_made(demo: Place, server: Served) -> None:
    before = server.get("/clusters")
    assert before["made"] is False and before["clusters"] == []
    outcome = demo.call("clusters", "--format", "json")
    assert outcome.status == 0, outcome.err
    made = server.get("/clusters")
    assert made["made"] is True
    assert [
        (each["id"], each["name"], each["parent"], each["count"])
        for each in sorted(made["clusters"], key=lambda each: each["id"])
    ] == sorted(
        (each["id"], each["name"], each["parent"], each["count"])
        for each in outcome.json["clusters"]
    )
    for each in made["clusters"]:
        assert server.get("/search", cluster=each["id"], limit=500)["total"] == each["count"]
        assert server.ask(each["thumb"]).status == 200
    start = server.get("/start")["clusters"]
    assert {each["id"] for each in start["clusters"]} == {
        each["id"] for each in made["clusters"] if each["parent"] is None
    }


def test_duplicates_come_page_by_page_with_the_one_to_keep(own: Served, place: Place) -> None:
    whole = own.get("/dupes")
    assert whole["next"] is None
    groups = {each["keep"]["name"]: each for each in whole["groups"]}
    assert sorted(groups) == ["y koala.jpg", "y owl.jpg"], "the first of equal ones by name"
    found = [(each["name"], each["match"]) for each in groups["y owl.jpg"]["duplicates"]]
    assert found == [("z owl.jpg", "exact"), ("small owl.jpg", "copy")]
    assert groups["y owl.jpg"]["count"] == 2
    first = own.get("/dupes", limit=1)
    second = own.get("/dupes", limit=1, cursor=first["next"])
    again = own.get("/dupes", limit=1, cursor=first["next"])
    assert first["groups"] + second["groups"] == whole["groups"]
    assert again == second and second["next"] is None
    exact = own.get("/dupes", level="exact", name="owl", prefer="*/z *")
    assert [each["keep"]["name"] for each in exact["groups"]] == ["z owl.jpg"]


def test_cursors_of_another_list_are_lost(own: Served) -> None:
    cursor = own.get("/dupes", limit=1)["next"]
    assert own.ask(f"{API}/dupes", level="exact", cursor=cursor).status == 410
    assert own.ask(f"{API}/dupes", cursor="x.y").status == 400
    assert own.ask(f"{API}/dupes", level="all").status == 400


def test_an_empty_library_has_an_empty_start(tmp_path: Path) -> None:
    with serving(tmp_path / "none") as served:
        assert served.get("/start")["months"] == []
        assert served.get("/clusters")["made"] is False
        assert served.get("/timeline") == {"months": [], "undated": 0}
        assert served.get("/saved")["saved"] == []
        assert served.ask(f"{API}/dupes").status == 409
        assert not (tmp_path / "none").exists()


def test_pictures_of_a_day_are_those_of_earlier_years(own: Served) -> None:
    named = [each["name"] for each in own.get("/on-this-day", day="03-05")["pictures"]]
    assert named == ["block 1.jpg", "block 0.jpg"]
    assert len(own.get("/on-this-day", day="03-05", limit=1)["pictures"]) == 1
    assert own.get("/on-this-day", day="02-29")["pictures"] == []
    assert own.ask(f"{API}/on-this-day", day="02-30x").status == 400


def test_random_pictures_pass_the_filters_and_differ(own: Served) -> None:
    drawn = own.get("/random", count=100)["pictures"]
    assert sorted(each["id"] for each in drawn) == sorted(
        hit["id"] for hit in own.get("/search", limit=100, apart="true")["hits"]
    )
    blocks = {each["name"] for each in own.get("/random", name="block*", count=100)["pictures"]}
    assert blocks == {f"block {number}.jpg" for number in range(4)}
    of_day = own.get("/random", day="03-05", name="*0*", count=5)["pictures"]
    assert [each["name"] for each in of_day] == ["block 0.jpg"]
    firsts = {own.get("/random")["pictures"][0]["id"] for _ in range(40)}
    assert len(firsts) > 1, "chance of 10 ** -39"


def test_a_photo_frame_is_led_to_a_random_picture_of_its_size(own: Served) -> None:
    """Also through the root path of a proxy, and to another one with each request."""
    image_id = own.id_of("block 2.jpg")
    small = own.ask(f"{API}/random/picture", name="block 2*", size=512)
    assert (small.status, small.headers["location"]) == (302, f"{API}/thumb/{image_id}?size=512")
    assert small.headers["cache-control"] == "no-store"
    assert own.ask(small.headers["location"]).headers["content-type"] == "image/webp"
    large = own.ask(f"{API}/random/picture", name="block 2*", size=1920)
    assert own.ask(large.headers["location"]).headers["content-type"] == "image/jpeg"
    none = own.ask(f"{API}/random/picture", name="nothing")
    assert (none.status, bool(none.json["hint"])) == (404, True)


@full_only
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_documented_request_of_a_photo_frame_works(light: Place, tmp_path: Path) -> None:
    """With the token as a password, which curl also sends to the place that it is led to."""
    page = (CHECKOUT / "docs" / "SERVER.md").read_text(encoding="utf-8")
    match = re.search(r"```\n(curl -L .*?)```", page, re.DOTALL)
    assert match is not None
    token = new_token(str(light.library))
    with serving(light.library, "--require-token") as locked:
        command = match[1].replace("http://photos.local:8765/", locked.url).replace("TOKEN", token)
        for filters, form in (("&rating=4&orientation=landscape", "JPEG"), ("size=1920", "WEBP")):
            assert filters in command
            command = command.replace(filters, "")
            subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True)
            with Image.open(tmp_path / "picture.jpg") as image:
                assert image.format == form
        assert locked.ask(f"{API}/random/picture").status == 401
