"""Models over HTTP: listed, downloaded from a hub on this machine, switched to and forgotten."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from imgsearch.errors import LibraryMissing
from imgsearch.serving.models import model_list, require_switch
from imgsearch.settings import Settings
from tests.cli.calls import Place
from tests.conftest import ROOT
from tests.crash.process import environment
from tests.tiny_hub import COMMIT, Repository, serve
from tests.web.server_process import API, Events, Reply, Served, ends, serving

pytestmark = pytest.mark.slow

NAME, HUB = "gme-qwen2-vl-2b", "Alibaba-NLP/gme-Qwen2-VL-2B-Instruct"
WEIGHTS = "model-00002-of-00003.safetensors"
PUBLISHED = ROOT / "tests" / "golden" / "gme" / "model"
FOLDER = "models--Alibaba-NLP--gme-Qwen2-VL-2B-Instruct"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def repository() -> Repository:
    """A tiny model that a hub on this machine has."""
    return Repository(HUB, PUBLISHED)


@pytest.fixture(scope="module")
def served(light_library: Place, cache: Path, repository: Repository) -> Iterator[Served]:
    """A server of four pictures with their vectors of "cheap"; each test begins where the last one
    ended."""
    library = cache / "library"
    shutil.copytree(light_library.library, library)
    with pytest.MonkeyPatch.context() as patch, serve(repository) as address:
        patch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        patch.setenv("SENTENCE_TRANSFORMERS_HOME", str(cache))
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("HF_ENDPOINT", address)
        with serving(library, "--rate", 100_000) as served:
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


def test_models_are_listed_and_others_refused(served: Served) -> None:
    listed = served.get("/models")
    assert (listed["images"], listed["setting"], listed["running"]) == (4, "", None)
    cheap = model(served, "cheap")
    assert (cheap["here"], cheap["in_use"], cheap["images"], cheap["hubs"]) == (True, True, 4, [])
    large = model(served, NAME)
    assert not large["here"] and "not on this machine" in large["obstacle"]
    assert (large["hubs"], large["images"], large["licence"]) == ([HUB], 0, "Apache-2.0")
    assert large["bytes"] == 2 * 2_210_000_000
    for name in ("someone/some-clip", str(PUBLISHED), "", "gme-qwen2-vl-2"):
        for path in ("/models/switch", "/models/download"):
            refused = served.post(path, {"model": name})
            assert refused.status == 404 and "GET /models" in refused.json["hint"], (path, name)
    for path in ("/models/switch", "/models/download"):
        for body in ({}, {"model": 7}, {"model": NAME, "revision": "v1"}, [NAME]):
            assert served.post(path, body).status == 400, body
    own = served.post("/models/download", {"model": "builtin"})
    assert own.status == 409 and "comes with its package" in own.json["error"]
    missing = served.post("/models/switch", {"model": NAME})
    assert missing.status == 409 and f"imgsearch models download {NAME}" in missing.json["hint"]
    assert forget(served, NAME).status == 400
    in_use = forget(served, "cheap")
    assert in_use.status == 400 and "searches with cheap" in in_use.json["error"]
    assert served.get("/status")["indexing"] is None


def test_a_download_reports_its_progress_and_is_stopped(
    served: Served, repository: Repository, cache: Path
) -> None:
    repository.held = {WEIGHTS}
    reply = served.post("/models/download", {"model": NAME})
    events = Events(served)
    running = events.until(lambda event: bool(event.get("total")))[-1]
    events.close()
    assert (running["task"], running["model"], running["stage"]) == ("download", NAME, "download")
    assert 0 <= running["done"] < running["total"]
    assert served.get("/models")["running"]["model"] == NAME
    busy = served.post("/models/switch", {"model": "builtin"})
    assert busy.status == 409 and f"{NAME} is being downloaded" in busy.json["error"]
    assert served.ask(f"{API}/index", "DELETE").status == 202
    assert finished(served, reply)["state"] == "interrupted"
    assert not list(cache.rglob("*.incomplete"))
    assert not model(served, NAME)["here"]
    assert served.ask(f"{API}/index", "DELETE").status == 409
    repository.held = set()


def test_a_model_is_downloaded(served: Served, cache: Path) -> None:
    last = finished(served, served.post("/models/download", {"model": NAME}))
    assert last["state"] == "done" and last["revisions"] == [COMMIT], last
    size = sum(path.stat().st_size for path in (cache / FOLDER / "blobs").iterdir())
    assert last["bytes"] == size and last["unchecked"] == []
    assert model(served, NAME)["here"]
    assert served.get("/status")["model"] == "cheap", "which it does not change"


def test_a_model_that_the_hub_does_not_have_is_reported(served: Served) -> None:
    last = finished(served, served.post("/models/download", {"model": "siglip2-base"}))
    assert last["state"] == "failed" and "the hub has no model google/siglip2" in last["error"]
    assert "Check the id" in last["hint"]


def test_a_library_changes_to_another_model_and_forgets_the_first(served: Served) -> None:
    reply = served.post("/models/switch", {"model": "builtin"})
    assert (reply.json["task"], reply.json["model"]) == ("switch", "builtin")
    busy = served.post("/models/download", {"model": "siglip2-base"})
    assert busy.status == 409 and "indexed with builtin" in busy.json["error"]
    assert forget(served, "cheap").status == 409
    last = finished(served, reply)
    assert last["state"] == "done", last
    assert "Searches now use builtin; cheap stays in the library." in last["notes"]
    assert served.get("/search", q="an owl")["hits"][0]["name"] == "owl.jpg"
    assert model(served, "builtin")["in_use"] and not model(served, "cheap")["in_use"]
    assert forget(served, "cheap").json == {"model": "cheap", "vectors": 4}
    assert model(served, "cheap")["images"] == 0


def test_a_setting_overrides_the_model_of_the_library(light: Place, tmp_path: Path) -> None:
    found = model_list(Settings(library=str(light.library), model="builtin"))
    assert (found.in_use, found.setting, found.images) == ("builtin", "builtin", 4)
    nothing = model_list(Settings(library=str(tmp_path / "none")))
    assert (nothing.in_use, nothing.images) == ("builtin", 0)
    with pytest.raises(LibraryMissing):
        require_switch(Settings(library=str(tmp_path / "none")), "builtin")
