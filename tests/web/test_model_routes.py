"""Models over HTTP: listed, downloaded from a hub on this machine, switched to and forgotten."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests import tiny_models
from tests.cli.calls import Place
from tests.conftest import full_only
from tests.tiny_hub import COMMIT, Repository, serve
from tests.web.server_process import API, Events, Reply, Served, ends, serving

pytestmark = pytest.mark.slow

HUB = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
NAME = "clip-vit-b-32"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model cache for this process and its children."""
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def repository(published: Path, tmp_path: Path) -> Repository:
    return Repository(HUB, shutil.copytree(published, tmp_path / "published"))


@pytest.fixture
def served(
    light: Place, cache: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A server of four pictures with their vectors of "cheap", and a hub with a tiny CLIP."""
    with serve(repository) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with serving(light.library, "--rate", 100_000) as served:
            yield served
        repository.released.set()


def model(served: Served, name: str) -> dict[str, Any]:
    (found,) = [each for each in served.get("/models")["models"] if each["name"] == name]
    return found


def finished(served: Served, reply: Reply) -> dict[str, Any]:
    """The last event of the run that a request has started."""
    events = Events(served)
    last = events.until(ends(reply))[-1]
    events.close()
    return last


def forget(served: Served, name: str) -> Reply:
    return served.ask(f"{API}/models?model={quote(name)}", "DELETE")


def test_a_library_changes_to_another_model_and_forgets_the_first(served: Served) -> None:
    before = served.get("/models")
    assert (before["images"], before["setting"], before["running"]) == (4, "", None)
    cheap = model(served, "cheap")
    assert (cheap["here"], cheap["in_use"], cheap["images"], cheap["hubs"]) == (True, True, 4, [])
    large = model(served, "gme-qwen2-vl-2b")
    assert not large["here"] and large["obstacle"] and large["images"] == 0
    assert large["hubs"] == ["Alibaba-NLP/gme-Qwen2-VL-2B-Instruct"]
    assert large["licence"] == "Apache-2.0" and large["bytes"] == 2 * 2_210_000_000
    refused = forget(served, "cheap")
    assert refused.status == 400 and "searches with cheap" in refused.json["error"]
    reply = served.post("/models/switch", {"model": "builtin"})
    assert (reply.json["task"], reply.json["model"]) == ("switch", "builtin")
    for path in ("/models/switch", "/models/download"):
        busy = served.post(path, {"model": NAME})
        assert busy.status == 409 and "indexed with builtin" in busy.json["error"]
    assert forget(served, "cheap").status == 409
    last = finished(served, reply)
    assert last["state"] == "done" and last["model"] == "builtin", last
    assert "Searches now use builtin; cheap stays in the library." in last["notes"]
    assert served.get("/search", q="an owl")["hits"][0]["name"] == "owl.jpg"
    assert model(served, "builtin")["in_use"] and not model(served, "cheap")["in_use"]
    assert forget(served, "cheap").json == {"model": "cheap", "vectors": 4}
    assert model(served, "cheap")["images"] == 0


def test_a_model_is_downloaded_and_can_be_used(served: Served, cache: Path) -> None:
    listed = model(served, NAME)
    assert not listed["here"] and listed["hubs"] == [HUB]
    missing = served.post("/models/switch", {"model": NAME})
    assert missing.status == 409 and "not on this machine" in missing.json["error"]
    assert f"imgsearch models download {NAME}" in missing.json["hint"]
    last = finished(served, served.post("/models/download", {"model": NAME}))
    assert last["state"] == "done" and last["revisions"] == [COMMIT], last
    assert last["bytes"] > 0 and last["unchecked"] == []
    assert model(served, NAME)["here"]
    assert served.get("/status")["model"] == "cheap", "which it does not change"
    assert (cache / "models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K").is_dir()


def test_a_download_reports_its_progress_and_is_stopped(
    served: Served, repository: Repository, cache: Path
) -> None:
    repository.held = {WEIGHTS}
    reply = served.post("/models/download", {"model": NAME})
    until = time.monotonic() + 120
    while True:
        running = served.get("/models")["running"]
        assert running is not None and time.monotonic() < until
        if running["stage"] == "download" and running["total"]:
            break
        time.sleep(0.1)
    assert running["model"] == NAME and 0 <= running["done"] < running["total"]
    assert served.ask(f"{API}/index", "DELETE").status == 202
    assert finished(served, reply)["state"] == "interrupted"
    assert not list(cache.rglob("*.incomplete"))
    assert not model(served, NAME)["here"]
    assert served.ask(f"{API}/index", "DELETE").status == 409


def test_a_model_that_is_not_in_the_list_is_refused(served: Served, published: Path) -> None:
    for name in ("someone/some-clip", str(published), "", "clip-vit-b-3"):
        for path in ("/models/switch", "/models/download"):
            refused = served.post(path, {"model": name})
            assert refused.status == 404 and "GET /models" in refused.json["hint"], (path, name)
    for path in ("/models/switch", "/models/download"):
        for body in ({}, {"model": 7}, {"model": NAME, "revision": "v1"}, [NAME]):
            assert served.post(path, body).status == 400, body
    own = served.post("/models/download", {"model": "builtin"})
    assert own.status == 409 and "comes with its package" in own.json["error"]
    assert forget(served, NAME).status == 400
    assert served.get("/status")["indexing"] is None


@full_only
def test_a_hub_that_cannot_be_reached_is_reported(
    light: Place, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with serving(light.library, "--rate", 100_000) as served:
        last = finished(served, served.post("/models/download", {"model": NAME}))
    assert last["state"] == "failed"
    assert f"{NAME} could not be fetched from http://127.0.0.1:9" in last["error"]
    assert "copy models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K" in last["hint"]


@full_only
def test_a_client_without_the_token_and_another_site_are_refused(light: Place) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    with serving(light.library, "--new-token", "--require-token") as locked:
        for method, path in (
            ("GET", "/models"),
            ("POST", "/models/download"),
            ("POST", "/models/switch"),
            ("DELETE", "/models?model=x"),
        ):
            assert locked.ask(API + path, method).status == 401, path
            assert locked.ask(API + path, method, headers=foreign).status == 403, path


@full_only
def test_a_setting_that_overrides_the_library_is_named(
    light: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMGSEARCH_MODEL", "cheap")
    with serving(light.library, "--rate", 100_000) as served:
        assert served.get("/models")["setting"] == "cheap"
        reply = served.post("/models/switch", {"model": "builtin"})
        assert finished(served, reply)["state"] == "done"
        assert model(served, "cheap")["in_use"] and model(served, "builtin")["images"] == 4
    with serving(tmp_path / "none", "--rate", 100_000) as empty:
        assert empty.post("/models/switch", {"model": "builtin"}).status == 409
