"""imgsearch models switch: searches change over when the last picture is encoded."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests import tiny_models
from tests.cli.calls import Place, call, picture
from tests.conftest import full_only
from tests.crash.process import PLUGIN, drive

PICTURES = 24


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_siglip(tmp_path_factory.mktemp("models") / "siglip")


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> str:
    """A model that starts at once."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    return "cheap"


def images_of(place: Place) -> dict[str, int]:
    """Model of each space to its pictures."""
    spaces = place.call("status", "--json").json["spaces"]
    return {space["model"]: space["images"] for space in spaces}


def default_of(place: Place) -> str:
    spaces = place.call("status", "--json").json["spaces"]
    (model,) = [space["model"] for space in spaces if space["default"]]
    return model


def test_searches_change_over_and_back(place: Place, cheap, siglip):
    place.index(place.photos, "--model", cheap)
    done = place.call("models", "switch", siglip)
    assert done.status == 0, done.err
    assert f"Searches now use {siglip}; cheap stays in the library." in done.err
    assert done.err.endswith("To delete the vectors of cheap: imgsearch models forget cheap\n")
    assert done.text.startswith("Indexed 4 files in ")
    assert default_of(place) == str(siglip)
    assert images_of(place) == {"cheap": 4, str(siglip): 4}
    assert len(place.call("search", "a dog", "--all", "--format", "json").json) == 4
    again = place.call("models", "switch", siglip)
    assert again.status == 0 and f"Searches use {siglip}, as before." in again.err
    picture(place.photos / "new.jpg", 9)
    back = place.call("models", "switch", cheap)
    assert back.status == 0 and default_of(place) == cheap
    assert images_of(place) == {"cheap": 5, str(siglip): 4}
    fused = place.call("search", "a dog", "--all", "--federated", "--format", "json")
    assert sorted(hit["rank"] for hit in fused.json) == [1, 2, 3, 4, 5], fused.err
    explained = place.call("search", "a dog", "--federated", "--explain").err
    assert (
        "federate" in explained and "federate" not in place.call("search", "a dog", "--explain").err
    )


@full_only
def test_pictures_that_cannot_be_reached_keep_the_old_model_in_use(place: Place, cheap, siglip):
    place.index(place.photos, "--model", cheap)
    more = place.photos.with_name("more")
    picture(more / "e.jpg", 11)
    place.index(more)
    more.rename(more.with_name("away"))
    for seed in range(20, 30):
        picture(place.photos / f"{seed}.jpg", seed)
    refused = place.call("models", "switch", siglip)
    assert refused.status == 1
    assert "Searches go on with cheap until" in refused.err and "(4 of 5 so far)" in refused.err
    assert default_of(place) == cheap, "though the new model has more pictures"
    more.with_name("away").rename(more)
    assert place.call("models", "switch", siglip).status == 0
    assert default_of(place) == str(siglip)


def test_a_setting_that_goes_before_it_is_named(place: Place, cheap, siglip, monkeypatch):
    place.index(place.photos, "--model", cheap)
    monkeypatch.setenv("IMGSEARCH_MODEL", cheap)
    done = place.call("models", "switch", siglip)
    assert done.status == 0 and "still name cheap for all libraries" in done.err
    assert default_of(place) == str(siglip)
    assert "still name" not in place.call("models", "switch", cheap).err


@full_only
def test_it_continues_in_the_background(place: Place, cheap, siglip, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    place.index(place.photos, "--model", cheap)
    started = place.call("models", "switch", siglip, "--background", "--batch-size", 2)
    assert (started.status, started.out) == (0, b""), started.err
    assert default_of(place) == cheap
    (log,) = (tmp_path / "state").rglob("switch-*.log")
    assert str(log) in started.err
    deadline = time.monotonic() + 120
    while default_of(place) == cheap:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    assert images_of(place) == {cheap: 4, str(siglip): 4}


def test_a_missing_model_is_reported_before_it_starts(place: Place, cheap, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    place.index(place.photos, "--model", cheap)
    failed = place.call("models", "switch", str(tmp_path / "none"), "--background")
    assert failed.status == 1 and "there is no model folder" in failed.err
    assert not list(tmp_path.rglob("switch-*.log"))


def test_what_cannot_be_switched(place: Place, indexed: Place, tmp_path):
    missing = indexed.call("models", "switch", "siglip2-base")
    assert missing.status == 1
    assert "imgsearch models download siglip2-base" in missing.err
    unknown = indexed.call("models", "switch", "siglip2-bse")
    assert unknown.status == 1 and "Did you mean siglip2-base?" in unknown.err
    nothing = call("--library", tmp_path / "nowhere", "models", "switch", "builtin")
    assert nothing.status == 1 and not (tmp_path / "nowhere").exists()
    assert default_of(indexed) == "builtin"


@full_only
def test_the_vectors_of_the_former_model_can_be_deleted(place: Place, cheap, siglip):
    for seed in range(20):
        picture(place.photos / f"{seed}.jpg", seed + 50)
    place.index(place.photos, "--model", cheap)
    refused = place.call("models", "forget", cheap)
    assert refused.status == 1 and "this library searches with cheap" in refused.err
    assert place.call("models", "switch", siglip).status == 0
    before = index_bytes(place)
    done = place.call("models", "forget", cheap)
    assert done.status == 0 and "Deleted 24 vectors of cheap." in done.err
    assert index_bytes(place) < before
    assert images_of(place) == {cheap: 0, str(siglip): 24}
    found = place.call("search", "a dog", "--all", "-n", 100, "--format", "json")
    assert len(found.json) == 24, "those of the model in use stay"
    none = place.call("search", "a dog", "--model", cheap)
    assert none.status == 1 and "nothing in this library is indexed with cheap" in none.err
    checks = place.call("doctor", "--json").json
    assert {each["verdict"] for each in checks if each["name"] in ("index", "catalog")} == {"ok"}
    assert place.call("models", "forget", cheap).status == 1, "there is nothing left"
    place.index()
    assert place.call("models", "switch", cheap).status == 0
    assert images_of(place) == {cheap: 24, str(siglip): 24}
    assert len(place.call("search", "a dog", "--all", "-n", 100, "--format", "json").json) == 24


def index_bytes(place: Place) -> int:
    return sum(path.stat().st_size for path in (place.library / "index").iterdir())


@full_only
@pytest.mark.slow
def test_a_kill_in_the_middle_loses_no_more_than_a_batch(place: Place, cheap, siglip):
    for seed in range(PICTURES):
        picture(place.photos / f"{seed}.jpg", seed + 100)
    place.index(place.photos, "--model", siglip)
    everything = images_of(place)[str(siglip)]
    switch = ["--library", str(place.library), "models", "switch", cheap, "--batch-size", "2"]
    killed = drive(switch, after=0.0, facts=4)
    assert killed.killed, killed.stdout
    assert default_of(place) == str(siglip)
    found = place.call("search", "a dog", "--all", "-n", 100, "--format", "json")
    assert len(found.json) == everything, found.err
    kept = images_of(place)[cheap]
    assert 0 < kept < everything
    done = drive(switch)
    assert done.status == 0, done.stdout
    assert len(done.committed) == everything - kept, json.dumps(done.committed)
    assert default_of(place) == cheap
    assert images_of(place) == {cheap: everything, str(siglip): everything}
    hits = place.call("search", "a dog", "--all", "--format", "json").json
    assert hits and all(hit["strength"] is not None for hit in hits)
