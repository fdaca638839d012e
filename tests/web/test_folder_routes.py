"""The care of a library by HTTP: folders are chosen, added and forgotten; what was skipped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.calls import Place
from tests.conftest import PHOTOS
from tests.web.server_process import API, Served, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two folders of pictures, one of them with a broken file; no library yet."""
    folder = tmp_path_factory.mktemp("cared")
    place = Place(folder / "home" / "photos", folder / "library")
    (place.photos / "old").mkdir(parents=True)
    shutil.copy(PHOTOS / "crab.jpg", place.photos)
    shutil.copy(PHOTOS / "owl.jpg", place.photos / "old")
    (place.photos / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (folder / "elsewhere").mkdir()
    (place.photos / "out").symlink_to(folder / "elsewhere")
    return place


@pytest.fixture(scope="module")
def own(place: Place) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGSEARCH_FOLDER_PLACES", str(place.photos.parent))
        with serving(place.library, "--rate", 100_000) as served:
            yield served


def finished(served: Served) -> None:
    """Wait for the end of a run."""
    until = time.monotonic() + 120
    while served.get("/status")["indexing"] is not None:
        assert time.monotonic() < until
        time.sleep(0.1)


def forget(served: Served, path: object) -> tuple[int, object]:
    reply = served.ask(f"{API}/roots?path={quote(str(path))}", "DELETE")
    return reply.status, reply.json


def test_an_empty_library_gets_a_folder_that_was_chosen(own: Served, place: Place) -> None:
    assert own.get("/roots") == {"roots": []}
    assert own.get("/skipped") == {"total": 0, "files": []}
    assert own.get("/recent") == {"pictures": []}
    top = own.get("/folders")
    assert [each["name"] for each in top["folders"]] == ["photos"]
    chosen = own.get("/folders", path_=top["folders"][0]["path"])
    assert [each["name"] for each in chosen["folders"]] == ["old"]
    assert chosen["pictures"] == 2
    reply = own.post("/roots", {"path": chosen["path"], "exclude": ["old/"]})
    assert reply.status == 202 and reply.json["state"] == "running"
    assert own.post("/roots", {"path": chosen["path"]}).status == 409
    assert forget(own, place.photos)[0] == 409
    finished(own)
    (root,) = own.get("/roots")["roots"]
    assert (root["path"], root["images"], root["exclude"], root["there"]) == (
        str(place.photos), 1, ["old/"], True
    )  # fmt: skip
    assert [each["name"] for each in own.get("/recent")["pictures"]] == ["crab.jpg"]
    listed = own.get("/skipped")
    assert listed["total"] == 1
    assert listed["files"][0]["path"] == f"{place.photos}/broken.jpg"
    assert listed["files"][0]["reason"]
    assert own.get("/skipped", kind="partial") == {"total": 0, "files": []}
    assert own.get("/skipped", start=1)["files"] == []


def test_nothing_outside_the_places_is_listed_or_added(own: Served, place: Place) -> None:
    outside = (
        "/", "/etc", f"{place.photos}/out", f"{place.photos}/..", f"{place.photos}/../..",
        str(place.photos.parent.parent / "elsewhere"), "photos", f"{place.photos}/crab.jpg",
    )  # fmt: skip
    for path in outside:
        allowed = path.endswith("photos/..")  # the place itself
        assert own.ask(f"{API}/folders", path_=path).status == (200 if allowed else 400), path
        if not allowed:
            assert own.post("/roots", {"path": path}).status == 400, path
    assert own.ask(f"{API}/skipped", kind="all").status == 400
    assert own.post("/index", {"path": "/etc"}).status == 400


def test_a_folder_is_forgotten_and_its_files_stay(own: Served, place: Place) -> None:
    before = sorted(place.photos.rglob("*"))
    assert forget(own, place.photos.parent)[0] == 400
    assert forget(own, place.photos) == (200, {"path": str(place.photos), "images": 1})
    assert own.get("/roots") == {"roots": []}
    assert own.get("/search")["hits"] == []
    assert sorted(place.photos.rglob("*")) == before


def test_another_site_and_a_client_without_the_token_are_refused(
    place: Place, tmp_path: Path
) -> None:
    with serving(tmp_path / "library", "--new-token", "--require-token") as locked:
        for method, path in (("GET", "/folders"), ("POST", "/roots"), ("DELETE", "/roots?path=x"),
                             ("GET", "/skipped"), ("GET", "/roots"), ("GET", "/models"),
                             ("POST", "/models/download"), ("POST", "/models/switch"),
                             ("DELETE", "/models?model=x")):  # fmt: skip
            assert locked.ask(API + path, method).status == 401, path
            foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
            assert locked.ask(API + path, method, headers=foreign).status == 403, path
