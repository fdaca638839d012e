"""Indexing started and followed over HTTP, in a separate process."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from imgsearch.ocr import rapid
from imgsearch.web.server import STOP_SECONDS
from tests.cli.calls import Place, picture, process
from tests.conftest import PHOTOS, full_only
from tests.web.server_process import API, Events, Served, ends, serving

pytestmark = [pytest.mark.slow, full_only]

FIRST = ("crab.jpg", "owl.jpg", "moose.jpg", "koala.jpg")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder with four pictures that are not indexed yet."""
    folder = tmp_path_factory.mktemp("grows")
    (folder / "photos").mkdir()
    for name in FIRST:
        shutil.copy(PHOTOS / name, folder / "photos")
    return Place(folder / "photos", folder / "library")


@pytest.fixture(scope="module")
def served(place: Place) -> Iterator[Served]:
    with serving(place.library, "--rate", 100_000) as served:
        yield served


def _indexers(served: Served) -> list[psutil.Process]:
    """The newest first: one that has reported its end may take a moment to exit."""
    children = psutil.Process(served.process.pid).children()
    found = [each for each in children if "imgsearch.serving.indexer_process" in each.cmdline()]
    return sorted(found, key=lambda each: each.create_time(), reverse=True)


def test_a_new_library_does_not_index_folders_named_by_a_page(served: Served, place: Place) -> None:
    assert served.get("/status")["images"] == 0
    assert served.get("/status")["folders"] == []
    assert served.ask(f"{API}/search", q="a crab").status == 409
    for request in ({}, {"path": str(place.photos)}, {"path": "/"}):
        reply = served.post("/index", request)
        assert reply.status == 400
        assert "imgsearch index FOLDER" in reply.json["hint"]


def test_pictures_indexed_elsewhere_are_found_at_once(served: Served, place: Place) -> None:
    result = process("--library", place.library, "index", place.photos, "-q")
    assert result.status == 0, result.err
    assert served.get("/search", q="a crab")["hits"][0]["name"] == "crab.jpg"
    assert served.get("/status")["images"] == len(FIRST)


def test_a_link_does_not_give_a_page_new_folders(served: Served, place: Place) -> None:
    """Otherwise a client of the page could see pictures outside the library's folders."""
    before = served.get("/status")["folders"]
    for name, away in (("out", place.photos.parent / "library"), ("up", place.photos.parent)):
        (place.photos / name).symlink_to(away)
        reply = served.post("/index", {"path": str(place.photos / name)})
        (place.photos / name).unlink()
        assert reply.status == 400 and "not in a folder of this library" in reply.json["error"]
    assert served.get("/status")["folders"] == before


def test_a_server_that_watches_indexes_what_changes(tmp_path: Path) -> None:
    photos, library = tmp_path / "photos", tmp_path / "library"
    photos.mkdir()
    shutil.copy(PHOTOS / "crab.jpg", photos)
    assert process("--library", library, "index", photos, "-q").status == 0
    with serving(library, "--watch") as server:
        events = Events(server)
        events.until(lambda event: event["state"] == "done")  # the first run, over all folders
        shutil.copy(PHOTOS / "bison.jpg", photos)
        events.until(lambda event: event["state"] == "done" and event["run"] > 1)
        assert server.get("/search", q="a bison")["hits"][0]["name"] == "bison.jpg"
        events.until(ends(server.post("/index", {})))  # a run on request, between those
        events.close()


def test_events_of_a_run_and_stable_pages_during_it(served: Served, place: Place) -> None:
    before = served.get("/search", limit=2)
    for name in ("bison.jpg", "lemurs.jpg", "windmill.jpg"):
        shutil.copy(PHOTOS / name, place.photos)
    events = Events(served)
    assert events.until(lambda event: True)[-1]["state"] == "idle"
    reply = served.post("/index", {})
    assert reply.status == 202, reply.body
    assert served.post("/index", {}).status == 409
    assert served.get("/status")["indexing"]["state"] == "running"
    seen = events.until(ends(reply))
    events.close()
    assert seen[-1]["state"] == "done", seen
    assert seen[-1]["added"] == 3
    assert any(event.get("stage") == "encode" for event in seen)
    assert served.get("/status")["indexing"] is None
    # The new picture is found; lists started before stay as they were.
    assert served.get("/search", q="a windmill")["hits"][0]["name"] == "windmill.jpg"
    rest = served.get("/search", limit=2, cursor=before["next"])
    assert rest["revision"] == before["revision"] < served.get("/search")["revision"]
    names = [hit["name"] for hit in before["hits"] + rest["hits"]]
    assert sorted(names) == sorted(FIRST)
    assert rest["next"] is None


def test_excludes_add_up_and_the_last_event_lists_them(served: Served, place: Place) -> None:
    events = Events(served)
    for request, held in (
        ({"exclude": ["lem*"]}, ["lem*"]),
        ({"exclude": ["#snapshot"]}, ["lem*", "#snapshot"]),
        ({"exclude": ["secret/"], "no_exclude": True}, ["secret/"]),
        ({"no_exclude": True}, []),
    ):
        last = events.until(ends(served.post("/index", request)))[-1]
        assert last["exclude"] == ({str(place.photos): held} if held else {}), last
        hits = served.get("/search")["hits"]
        assert any(hit["name"] == "lemurs.jpg" for hit in hits) == ("lem*" not in held)
    last = events.until(ends(served.post("/index", {"exclude": ["../x"]})))[-1]
    events.close()
    assert last["state"] == "failed" and "exclude pattern" in last["error"]


def test_a_subfolder_is_indexed_but_no_folder_outside(served: Served, place: Place) -> None:
    (place.photos / "new").mkdir()
    shutil.copy(PHOTOS / "baseball.png", place.photos / "new")
    for path in ("/etc", str(place.photos) + "/..", str(place.photos) + "x", "photos", "\0"):
        assert served.post("/index", {"path": path}).status == 400, path
    events = Events(served)
    reply = served.post("/index", {"path": str(place.photos / "new")})
    assert events.until(ends(reply))[-1]["added"] == 1
    events.close()


def test_a_killed_indexer_does_not_affect_the_server(served: Served, place: Place) -> None:
    shutil.copy(PHOTOS / "biplane.jpg", place.photos)
    events = Events(served)
    reply = served.post("/index", {})
    _indexers(served)[0].kill()
    last = events.until(ends(reply))[-1]
    assert last["state"] == "failed"
    assert "signal 9" in last["error"]
    assert served.get("/search", q="a crab")["hits"]
    again = ends(served.post("/index", {}))
    assert events.until(again)[-1]["state"] == "done", "indexing can be started again"
    events.close()


def test_a_run_is_stopped(served: Served, place: Place) -> None:
    assert served.ask(f"{API}/index", "DELETE").status == 409
    for path in sorted(PHOTOS.iterdir())[:20]:
        shutil.copy(path, place.photos / f"again-{path.name}")
    events = Events(served)
    reply = served.post("/index", {})
    assert served.ask(f"{API}/index", "DELETE").status == 202
    assert events.until(ends(reply))[-1]["state"] == "interrupted"
    events.close()


def test_the_indexer_ends_with_the_server(place: Place) -> None:
    with serving(place.library) as served:
        for path in sorted(PHOTOS.iterdir())[20:40]:
            shutil.copy(path, place.photos / f"more-{path.name}")
        assert served.post("/index", {}).status == 202
        process = _indexers(served)[0]
        served.process.kill()
        _, alive = psutil.wait_procs([process], timeout=60)
        assert not alive


def test_a_server_stops_in_time_while_indexing(place: Place) -> None:
    with serving(place.library) as served:
        events = Events(served)
        events.until(lambda event: True)
        served.post("/index", {})
        started = time.monotonic()
        served.stop()
        assert time.monotonic() - started < 45
        assert not Path(f"/proc/{served.process.pid}").exists() or served.process.poll() is not None
        events.close()


def test_an_open_page_does_not_delay_the_stop(light: Place) -> None:
    with serving(light.library) as served:
        events = Events(served)
        events.until(lambda event: True)
        started = time.monotonic()
        served.stop()
        assert time.monotonic() - started < STOP_SECONDS, "uvicorn had to cancel the stream"
        events.close()


def test_changes_of_the_library_by_any_process_are_events(served: Served, place: Place) -> None:
    """Here another process: the command line."""
    events = Events(served, "/events")
    before = events.until(lambda event: True)[-1]["revision"]
    assert before == served.get("/status")["revision"]
    picture(place.photos / f"after {before}.jpg", before)
    place.index()
    after = served.get("/status")["revision"]
    assert after > before
    events.until(lambda event: event["revision"] == after)
    events.close()


def test_texts_are_read_as_requested_and_remembered(served: Served, place: Place) -> None:
    place.index(place.photos)
    before = served.get("/status")
    assert before["ocr"] == "off" and before["texts"]["passed_over"] == 0
    assert served.post("/index", {"ocr": "always"}).status == 400
    events = Events(served)
    last = events.until(ends(served.post("/index", {"ocr": "off"})))[-1]
    events.close()
    assert last["state"] == "done"
    after = served.get("/status")
    assert (after["ocr"], after["texts"]["mode"]) == ("off", "off")


@full_only
def test_pictures_without_text_are_passed_over_on_request(served: Served, place: Place) -> None:
    if not rapid.installed():
        pytest.skip("the extra ocr is not installed")
    place.index(place.photos)
    events = Events(served)
    last = events.until(ends(served.post("/index", {"ocr": "auto"})))[-1]
    events.close()
    assert last["state"] == "done", last
    status = served.get("/status")
    assert status["ocr"] == "auto"
    assert status["texts"]["passed_over"] + status["texts"]["read"] == status["images"]
